/* phiz import: a model file from ONNX, or from weights that PyTorch saved. */
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/import.h"
#include "tools/import_onnx.h"
#include "tools/models.h"
#include "tools/tools.h"

struct settings {
	const char *output, *net, *labels, *licence;
	struct phiz_onnx_wishes onnx;
	int64_t size, classes;
	bool partial, json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "-o", TEXT, output, "OUT.phiz", 0, 0, "the model file to write"),
	PHIZ_OPTION(struct settings, "--net", TEXT, net, "NET", 0, 0,
	            "built-in network or .cfg file (default: told by names and shapes)"),
	PHIZ_OPTION(struct settings, "--classes", INT, classes, "N", 1, 1000000,
	            "give the network a new head of so many classes instead of the file's"),
	PHIZ_OPTION(struct settings, "--size", INT, size, "S", 32, 16384,
	            "of the square input in pixels (default: the network's)"),
	PHIZ_OPTION(struct settings, "--labels", TEXT, labels, "FILE", 0, 0, "class names, a line each"),
	PHIZ_OPTION(struct settings, "--licence", TEXT, licence, "TEXT", 0, 0, "of the weights; kept in the file"),
	PHIZ_OPTION(struct settings, "--task", TEXT, onnx.task, "TASK", 0, 0, "of an ONNX file: classify, embed or detect"),
	PHIZ_OPTION(struct settings, "--preprocess", TEXT, onnx.preprocess, "HOW", 0, 0,
	            "of an ONNX file: a name, or mean=R/G/B,std=R/G/B,... (see below)"),
	PHIZ_OPTION(struct settings, "--align", TEXT, onnx.align, "HOW", 0, 0,
	            "of an ONNX file: how faces are cut out for it (see below)"),
	PHIZ_OPTION(struct settings, "--partial", FLAG, partial, NULL, 0, 0,
	            "missing and unexpected tensors are said, not refused"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

/* A line a class; the number must fit. */
static enum phiz_status read_labels(struct phiz_ctx *ctx, const char *path, struct phiz_model *m)
{
	struct phiz_bytes text;
	struct phiz_names names = {0};

	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_file_read(ctx, path, 16 << 20, &text);
	for (char *line = text.data; !status && line && *line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = 0;
		size_t n = strlen(line);
		if (n && line[n - 1] == '\r')
			line[n - 1] = 0;
		status = phiz_names_add(ctx, &names, line);
		line = end ? end + 1 : NULL;
	}
	if (!status && (int64_t)names.count != phiz_model_classes(m))
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: %zu names for %lld classes", path, names.count,
		                   (long long)phiz_model_classes(m));
	if (!status)
		status = phiz_model_set_labels(m, (const char *const *)names.name, names.count);
	phiz_names_free(ctx, &names);
	phiz_bytes_free(&text);
	return status;
}

static enum phiz_status describe(struct phiz_model *m, const struct settings *s, const char *path)
{
	enum phiz_status status = phiz_model_set_meta(m, "source", phiz_path_base(path));

	if (!status && s->licence)
		status = phiz_model_set_meta(m, "licence", s->licence);
	if (!status)
		status = phiz_model_set_meta(m, "made_by", "phiz " PHIZ_VERSION " import");
	return status;
}

static void print(const struct settings *s, const struct phiz_model *m, const struct phiz_import_report *r)
{
	bool embeds = phiz_model_task(m) == PHIZ_TASK_EMBED;

	if (s->json) {
		printf("{\"file\":");
		phiz_print_json(m->ctx, s->output);
		printf(",\"%s\":%lld,\"loaded\":%zu,\"missing\":%zu,\"unexpected\":%zu,"
		       "\"head_kept\":%s}\n",
		       embeds ? "embedding" : "classes", (long long)phiz_model_classes(m), r->loaded, r->missing, r->unexpected,
		       r->head_kept ? "true" : "false");
		return;
	}
	printf("%s: %zu tensors, %s%lld %s%s\n", s->output, r->loaded, embeds ? "an embedding of " : "",
	       (long long)phiz_model_classes(m), embeds ? "numbers" : "classes",
	       r->head_kept ? ", with a NEW head that knows nothing yet" : "");
}

/* Three files are MTCNN's. */
static int import_mtcnn(struct phiz_ctx *ctx, const struct settings *s, char **args)
{
	struct phiz_tensors t[PHIZ_MTCNN_FILES] = {{0}};
	struct phiz_model *m = NULL;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < PHIZ_MTCNN_FILES && !status; i++)
		status = phiz_tensors_read(ctx, args[i], &t[i]);
	if (!status)
		status = phiz_import_mtcnn(ctx, t, (const char *const *)args, &m);
	if (!status && s->licence)
		status = phiz_model_set_meta(m, "licence", s->licence);
	if (!status)
		status = phiz_model_set_meta(m, "made_by", "phiz " PHIZ_VERSION " import");
	if (!status)
		status = phiz_model_write(m, s->output);
	if (!status && s->json) {
		printf("{\"file\":");
		phiz_print_json(ctx, s->output);
		printf(",\"detector\":\"mtcnn\",\"loaded\":%zu}\n", m->n_entries);
	} else if (!status) {
		printf("%s: %zu tensors, detector mtcnn\n", s->output, m->n_entries);
	}
	for (int i = 0; i < PHIZ_MTCNN_FILES; i++)
		phiz_tensors_free(ctx, &t[i]);
	phiz_model_free(&m);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static const char *task_name(const struct phiz_model *m)
{
	static const char *const names[] = {"classify", "embed", "detect"};

	return names[phiz_model_task(m)];
}

/* The picture that the network was built for, by dim: 2 is the height, 3 the width. */
static int side(const struct phiz_model *m, int dim)
{
	int image = phiz_graph_find_value(m->graph, "image");

	return image == PHIZ_NONE ? 0 : (int)phiz_graph_value(m->graph, image)->type.shape.dim[dim];
}

static void print_onnx(const struct settings *s, const struct phiz_model *m, const char *known)
{
	if (s->json) {
		printf("{\"file\":");
		phiz_print_json(m->ctx, s->output);
		printf(",\"task\":\"%s\",\"known\":", task_name(m));
		if (known)
			phiz_print_json(m->ctx, known);
		else
			printf("null");
		printf(",\"loaded\":%zu,\"nodes\":%d,\"width\":%d,\"height\":%d}\n", m->n_entries,
		       phiz_graph_n_nodes(m->graph), side(m, 3), side(m, 2));
		return;
	}
	printf("%s: %s%s%zu tensors, %d nodes, task %s, input %d x %d (width x height)\n", s->output, known ? known : "",
	       known ? ", " : "", m->n_entries, phiz_graph_n_nodes(m->graph), task_name(m), side(m, 3), side(m, 2));
}

/* What a model file of this task cannot be, said in words that help. */
static enum phiz_status check_task(const struct settings *s, const struct phiz_model *m, const char *path)
{
	int outputs = phiz_graph_n_outputs(m->graph);

	if (phiz_model_task(m) == PHIZ_TASK_DETECT || (outputs == 1 && side(m, 2) == side(m, 3)))
		return PHIZ_OK;
	return phiz_fail(m->ctx, PHIZ_E_UNSUPPORTED, "%s: %d outputs and an input of %d x %d: want one output and a square "
	                 "input%s", path, outputs, side(m, 3), side(m, 2), s->onnx.task ? "" : "; or is it a detector? Say "
	                 "--task detect");
}

static int import_onnx(struct phiz_ctx *ctx, const struct settings *s, const char *path)
{
	struct phiz_model *m = NULL;
	const char *known;
	enum phiz_status status = phiz_import_onnx(ctx, path, (int)s->size, &s->onnx, &known, &m);

	if (!status && !known && !m->n_meta && !m->n_labels && !s->onnx.task && !s->onnx.preprocess && !phiz_quiet)
		fputs("phiz: an ONNX file does not say how pictures are made ready for it: taken as torchvision's networks;\n"
		      "phiz: --task, --preprocess and --align say otherwise\n", stderr);
	if (!status)
		status = check_task(s, m, path);
	if (!status && s->labels)
		status = read_labels(ctx, s->labels, m);
	if (!status)
		status = describe(m, s, path);
	if (!status)
		status = phiz_model_write(m, s->output);
	if (!status)
		print_onnx(s, m, known);
	phiz_model_free(&m);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

extern const struct phiz_verb phiz_verb_import;

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_import_options o = {.new_head = s->classes != 0, .partial = s->partial};
	struct phiz_import_report report = {0};
	struct phiz_tensors t = {0};
	struct phiz_model *m = NULL;

	if (!s->output)
		return phiz_usage(&phiz_verb_import, "-o OUT.phiz is missing");
	if (n_args != 1 && n_args != PHIZ_MTCNN_FILES)
		return phiz_usage(&phiz_verb_import, "want one file, or the three of MTCNN, got %d", n_args);
	if (n_args == PHIZ_MTCNN_FILES && (s->net || s->labels || s->size || s->classes || s->partial))
		return phiz_usage(&phiz_verb_import, "MTCNN's three files take none of --net, --classes, --size, --labels, "
		                  "--partial");
	if (n_args == PHIZ_MTCNN_FILES)
		return import_mtcnn(ctx, s, args);
	if (phiz_is_onnx_name(args[0]) && (s->net || s->classes || s->partial))
		return phiz_usage(&phiz_verb_import, "an ONNX file is a network: --net, --classes and --partial are for "
		                  "others");
	if (phiz_is_onnx_name(args[0]))
		return import_onnx(ctx, s, args[0]);
	if (s->onnx.task || s->onnx.preprocess || s->onnx.align)
		return phiz_usage(&phiz_verb_import, "--task, --preprocess and --align are for ONNX files");
	enum phiz_status status = phiz_tensors_read(ctx, args[0], &t);
	if (!status)
		status = phiz_network_for(ctx, &t, args[0], s->net, s->classes, (int)s->size, &m);
	if (!status) {
		status = phiz_import_weights(ctx, m, &t, args[0], &o, &report);
		if (report.text.size && !phiz_quiet)
			fputs(report.text.data, stderr);
	}
	if (!status && s->labels)
		status = read_labels(ctx, s->labels, m);
	if (!status)
		status = describe(m, s, args[0]);
	if (!status)
		status = phiz_model_write(m, s->output);
	if (!status)
		print(s, m, &report);
	phiz_import_report_free(&report);
	phiz_tensors_free(ctx, &t);
	phiz_model_free(&m);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_import = {
	"import", "a model file from ONNX, or from weights that PyTorch saved",
	"FILE -o OUT.phiz [--net NET] [--classes N]",
	"FILE is a .pth or .pt file of torch.save (zip or legacy; tensors are read, nothing is\n"
	"executed) or a .safetensors file. torchvision's resnet18, 34 and 50 are known by their\n"
	"names and shapes and get torchvision's preprocessing: short side to 256, centre 224,\n"
	"ImageNet's mean and deviation. Classes are named 0, 1, 2 ... without --labels.\n"
	"The embedders MobileFaceNet, as insightface has it, and InceptionResnetV1 of\n"
	"facenet-pytorch are known too; the latter's logits --partial leaves out.\n"
	"pnet.pt, rnet.pt and onet.pt of facenet-pytorch together give the face detector\n"
	"MTCNN (MIT licence), for phiz data detect and whatever finds faces.\n"
	"\n"
	"An .onnx file (opset 7 to 21, one input [N, 3, H, W]) brings its own network. What\n"
	"phiz cannot compute exactly is refused by the node's name. Files that phiz wrote,\n"
	"MobileFaceNet, SFace, YuNet and the Ultra-Light detector are known; of others say\n"
	"  --task classify, embed or detect\n"
	"  --preprocess torchvision, mobilefacenet ((x - 127.5) / 128), arcface ((x - 127.5) /\n"
	"      127.5), facenet, ultralight or raw (0..255), all on RGB stretched to the input; or\n"
	"      parts with commas: mean=R/G/B, std=R/G/B (of pixels from 0 to 255), resize=N (of\n"
	"      the short side, then the centre), bgr (turned in the first convolution)\n"
	"  --align arcface, facenet:MARGIN, box:MARGIN or none",
	options, PHIZ_COUNT(options), sizeof(struct settings), NULL, 1, 3, run,
};
