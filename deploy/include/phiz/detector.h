/* Finding faces: one interface for MTCNN, YuNet and what other detectors a .phiz file holds. */
#ifndef PHIZ_DETECTOR_H
#define PHIZ_DETECTOR_H

#include <phiz/align.h>
#include <phiz/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Used by one thread at a time; several may be made of one file. */
struct phiz_detector;

struct phiz_detector_options {
	double min_face;     /* pixels of the shorter side of the smallest face to find; 0: the detector's default */
	double scale_factor; /* MTCNN: from one pyramid level to the next, 0.1..0.99; 0: 0.709 */
	double threshold[3]; /* MTCNN: of P-, R- and O-Net (0: 0.6, 0.7, 0.7). One-stage detectors: threshold[0] is the
	                        lowest score (0: the detector's default) */
	double nms;          /* IoU above which the weaker of two boxes goes; 0: the detector's default */
	int max_side;        /* a larger photo is made smaller first; bounds time and memory; 0: the detector's default */
	int max_faces;       /* the best are kept; 0: 1024 */
	/* Of its networks, in float32, as in phiz_session_options; NULL: the CPU. Photos are made ready and boxes are read
	 * on the CPU. */
	const struct phiz_backend *backend, *fallback;
};

struct phiz_faces {
	struct phiz_face *face; /* best score first */
	int n, capacity;
};

/* path: a .phiz file whose meta "detector" says which it is ("mtcnn", "yunet", "ultralight"). options may be NULL. ctx
 * must outlive the detector. Errors: those of phiz_model_read, UNSUPPORTED (not a detector), ARG (options), NOMEM. */
PHIZ_API enum phiz_status phiz_detector_open(struct phiz_ctx *ctx, const char *path,
                                             const struct phiz_detector_options *options, struct phiz_detector **out);
/* The same from a model in memory, which is taken over, also on failure. */
PHIZ_API enum phiz_status phiz_detector_adopt(struct phiz_ctx *ctx, struct phiz_model *model,
                                              const struct phiz_detector_options *options, struct phiz_detector **out);
PHIZ_API void phiz_detector_free(struct phiz_detector **detector);
PHIZ_API const struct phiz_model *phiz_detector_model(const struct phiz_detector *detector);

/* Faces of an RGB image of any size from 1x1 up, into `faces` (zero it before the first use; reused, free it at the
 * end). No face is no error. Errors: NOMEM, LIMIT. */
PHIZ_API enum phiz_status phiz_detector_run(struct phiz_detector *detector, const struct phiz_image *image,
                                            struct phiz_faces *faces);
PHIZ_API void phiz_faces_free(struct phiz_ctx *ctx, struct phiz_faces *faces);

#ifdef __cplusplus
}
#endif
#endif
