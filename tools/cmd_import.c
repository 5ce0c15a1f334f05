/* phiz import: a model file from weights that PyTorch saved. */
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/import.h"
#include "tools/models.h"
#include "tools/tools.h"

struct settings {
	const char *output, *net, *labels, *licence;
	int64_t size, classes;
	bool partial, json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "-o", TEXT, output, "OUT.phiz", 0, 0, "the model file to write"),
	PHIZ_OPTION(struct settings, "--net", TEXT, net, "NET", 0, 0,
	            "built-in network or .cfg file (default: resnet18, 34 or 50 by names and shapes)"),
	PHIZ_OPTION(struct settings, "--classes", INT, classes, "N", 1, 1000000,
	            "give the network a new head of so many classes instead of the file's"),
	PHIZ_OPTION(struct settings, "--size", INT, size, "S", 32, 16384,
	            "of the square input in pixels (default: the network's)"),
	PHIZ_OPTION(struct settings, "--labels", TEXT, labels, "FILE", 0, 0, "class names, a line each"),
	PHIZ_OPTION(struct settings, "--licence", TEXT, licence, "TEXT", 0, 0, "of the weights; kept in the file"),
	PHIZ_OPTION(struct settings, "--partial", FLAG, partial, NULL, 0, 0,
	            "missing and unexpected tensors are said, not refused"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

/* The network for the tensors: as asked for, or as it looks. */
static enum phiz_status make_model(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_tensors *t,
                                   const char *path, struct phiz_model **out)
{
	struct phiz_net_guess guess;
	int64_t classes = s->classes;

	if (s->net) {
		const struct phiz_tensor *fc = phiz_tensors_find(t, "fc.weight");
		if (!classes && fc && fc->shape.ndim == 2)
			classes = fc->shape.dim[0];
		return phiz_open_model(ctx, s->net, classes, (int)s->size, out);
	}
	enum phiz_status status = phiz_import_guess_net(ctx, t, path, &guess);
	if (status)
		return phiz_fail_in(ctx, "%s (--net NET names another network)", path);
	return phiz_model_from_cfg(ctx, phiz_net_builtin(guess.net), guess.net, classes ? classes : guess.classes,
	                           (int)s->size, 0, out);
}

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
	if (s->json) {
		printf("{\"file\":");
		phiz_print_json(m->ctx, s->output);
		printf(",\"classes\":%lld,\"loaded\":%zu,\"missing\":%zu,\"unexpected\":%zu,"
		       "\"head_kept\":%s}\n",
		       (long long)phiz_model_classes(m), r->loaded, r->missing, r->unexpected,
		       r->head_kept ? "true" : "false");
		return;
	}
	printf("%s: %zu tensors, %lld classes%s\n", s->output, r->loaded, (long long)phiz_model_classes(m),
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
	enum phiz_status status = phiz_tensors_read(ctx, args[0], &t);
	if (!status)
		status = make_model(ctx, s, &t, args[0], &m);
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
	"import", "a model file from weights that PyTorch saved", "FILE -o OUT.phiz [--net NET] [--classes N]",
	"FILE is a .pth or .pt file of torch.save (zip or legacy; tensors are read, nothing is\n"
	"executed) or a .safetensors file. torchvision's resnet18, 34 and 50 are known by their\n"
	"names and shapes and get torchvision's preprocessing: short side to 256, centre 224,\n"
	"ImageNet's mean and deviation. Classes are named 0, 1, 2 ... without --labels.\n"
	"pnet.pt, rnet.pt and onet.pt of facenet-pytorch together give the face detector\n"
	"MTCNN (MIT licence), for phiz data detect and whatever finds faces.",
	options, PHIZ_COUNT(options), sizeof(struct settings), NULL, 1, 3, run,
};
