/* The table of models. To add one: a row, its SHA-256 taken from a download of one's own and compared with what its
 * makers state, its licence read at the source, its preprocessing held against the makers' code. No package of PyPI
 * that was looked at holds YuNet's or SFace's weights (alchemyface, detekface, uniface and others load them when they
 * run), so these come by https only. */
#include "tools/zoo.h"

#include <string.h>

#include "core/base/parse.h"

#define YUNET                                                                                                     \
	"https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/"                                       \
	"0047ac24afb1a50a0c6105001c89d1b5b805dbf1/"
#define ULTRALIGHT                                                                                                \
	"https://raw.githubusercontent.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB/"                   \
	"dffdddda9794a50607cba8f318507a28c1c27cab/"
#define ZOO "https://media.githubusercontent.com/media/opencv/opencv_zoo/966be4cb6eefc2a4f586ed0581bf4bbaa2533070/"

/* OpenCV's FaceRecognizerSF hands the network the crop as RGB, 0..255; what is taken off is in the graph. */
static const struct phiz_preproc sface_preproc = {
	.align = {.kind = PHIZ_ALIGN_ARCFACE, .size = 112},
	.crop = 1, .mode = PHIZ_RESIZE_STRETCH, .size = 112,
	.mean = {0, 0, 0}, .std = {1 / 255.0f, 1 / 255.0f, 1 / 255.0f},
};

const struct phiz_zoo_model phiz_zoo[] = {
	{
		.name = "yunet", .task = "detector", .summary = "YuNet-n: small and fast, boxes and five landmarks",
		.licence = "Apache-2.0", .source = "github.com/ShiqiYu/libfacedetection.train", .n_files = 1,
		.file = {{"yunet_n_dynamic.onnx", NULL, YUNET "onnx/yunet_n_dynamic.onnx",
		          "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12", 322906}},
	},
	{
		.name = "mtcnn", .task = "detector", .summary = "MTCNN: three networks, boxes and five landmarks",
		.licence = "MIT", .source = "github.com/timesler/facenet-pytorch",
		.package = "facenet-pytorch", .version = "2.6.0", .n_files = 3,
		.file = {
			{"pnet.pt", "facenet_pytorch/data/pnet.pt", NULL,
			 "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f", 28570},
			{"rnet.pt", "facenet_pytorch/data/rnet.pt", NULL,
			 "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86", 403147},
			{"onet.pt", "facenet_pytorch/data/onet.pt", NULL,
			 "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d", 1559269},
		},
	},
	{
		.name = "ultralight", .task = "detector", .summary = "Ultra-Light RFB-320: boxes only, no landmarks",
		.licence = "MIT", .source = "github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB", .n_files = 1,
		.file = {{"version-RFB-320.onnx", NULL, ULTRALIGHT "models/onnx/version-RFB-320.onnx",
		          "34cd7e60aeff28744c657de7a3dc64e872d506741de66987f3426f2b79f88017", 1270727}},
	},
	{
		.name = "sface", .task = "embedder", .summary = "SFace: 128 numbers a face, 112 x 112 pixels, OpenCV's own",
		.licence = "Apache-2.0", .source = "github.com/opencv/opencv_zoo", .preproc = &sface_preproc, .n_files = 1,
		.file = {{"face_recognition_sface_2021dec.onnx", NULL,
		          ZOO "models/face_recognition_sface/face_recognition_sface_2021dec.onnx",
		          "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79", 38696353}},
	},
};
const int phiz_n_zoo = (int)(sizeof(phiz_zoo) / sizeof(phiz_zoo[0]));

const struct phiz_zoo_model *phiz_zoo_find(const char *name)
{
	for (int i = 0; i < phiz_n_zoo; i++)
		if (!strcmp(phiz_zoo[i].name, name))
			return &phiz_zoo[i];
	return NULL;
}

const char *phiz_zoo_suggest(const char *name)
{
	const char *names[32];
	size_t n = 0;

	while (n < 32 && (int)n < phiz_n_zoo) {
		names[n] = phiz_zoo[n].name;
		n++;
	}
	return phiz_suggest(name, names, n);
}
