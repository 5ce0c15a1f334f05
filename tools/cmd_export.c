/* phiz export: the model file that a board or a server runs, proved against the trained model. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/import.h"
#include "core/io/onnx.h"
#include "deploy/calibrate.h"
#include "deploy/export.h"
#include "deploy/golden.h"
#include "tools/models.h"
#include "tools/photos.h"
#include "tools/tools.h"
#ifdef PHIZ_HAVE_TRAIN
#include "datasets/synth.h"
#endif

enum { MAX_PICTURES = 200, MAX_CALIBRATION = 128, MAX_KEEP = 64, SAMPLE_PEOPLE = 8, SAMPLE_PHOTOS = 4 };

struct settings {
	const char *output, *precision, *onnx, *calibrate, *safetensors, *clip, *keep, *licence;
	bool trunk;
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "-o", TEXT, output, "FILE.phiz", 0, 0, "the model file to write"),
	PHIZ_OPTION(struct settings, "--precision", TEXT, precision, "P", 0, 0,
                "of the weights: fp32 (default), fp16 or bf16; int8: of weights and activations"),
	PHIZ_OPTION(struct settings, "--calibrate", TEXT, calibrate, "DIR", 0, 0,
                "photos to prove the export on, and to measure activations for int8: a folder, or a folder per person"),
	PHIZ_OPTION(struct settings, "--clip", TEXT, clip, "HOW", 0, 0,
                "range of activations for int8: mse, percentile or max; auto (default): mse, where that is not proved "
                "percentile"),
	PHIZ_OPTION(struct settings, "--keep", TEXT, keep, "NAME,...", 0, 0,
                "layers that stay fp32 with int8 (phiz bench --per-layer names them)"),
	PHIZ_OPTION(struct settings, "--trunk", FLAG, trunk, NULL, 0, 0,
                "a model to train from: batch norm and layers stay as they are"),
	PHIZ_OPTION(struct settings, "--licence", TEXT, licence, "TEXT", 0, 0, "of the weights; kept in the file"),
	PHIZ_OPTION(struct settings, "--onnx", TEXT, onnx, "FILE.onnx", 0, 0,
                "write an ONNX file of the trained model too"),
	PHIZ_OPTION(struct settings, "--safetensors", TEXT, safetensors, "FILE", 0, 0,
                "write the weights under torchvision's names too, for PyTorch"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

/* Where pictures go. */
struct sink {
	struct phiz_prover *prover;
	struct phiz_calibrator *calibrator;
};

static enum phiz_status take(const struct sink *sink, const struct phiz_image *image)
{
	return sink->prover ? phiz_prover_add(sink->prover, image) : phiz_calibrator_add(sink->calibrator, image);
}

/* `most` photos, evenly spread over those of a folder and of the folders in it. */
static enum phiz_status take_folder(struct phiz_ctx *ctx, const struct sink *sink, const char *dir, size_t most)
{
	struct phiz_names files = {0};
	enum phiz_status status = phiz_photo_paths_add(ctx, dir, 1, &files);
	size_t count = files.count < most ? files.count : most;

	for (size_t i = 0; i < count && !status && !phiz_interrupted; i++) {
		struct phiz_image image;
		if (phiz_image_read(ctx, files.name[i * files.count / count], NULL, &image)) {
			phiz_log(ctx, PHIZ_LOG_WARN, "left out: %s", phiz_ctx_message(ctx));
			continue;
		}
		status = take(sink, &image);
		phiz_image_free(ctx, &image);
	}
	phiz_names_free(ctx, &files);
	return status;
}

/* Without photos: rendered people. */
static enum phiz_status take_samples(struct phiz_ctx *ctx, const struct sink *sink)
{
#ifdef PHIZ_HAVE_TRAIN
	struct phiz_synth_options o;
	enum phiz_status status = PHIZ_OK;

	phiz_synth_defaults(&o);
	o.people = SAMPLE_PEOPLE;
	o.photos = SAMPLE_PHOTOS;
	for (int i = 0; i < SAMPLE_PEOPLE * SAMPLE_PHOTOS && !status; i++) {
		struct phiz_image image;
		struct phiz_face_truth truth;
		status = phiz_synth_render(ctx, &o, i / SAMPLE_PHOTOS, i % SAMPLE_PHOTOS, &image, &truth);
		if (status)
			return status;
		status = take(sink, &image);
		phiz_image_free(ctx, &image);
	}
	return status;
#else
	(void)sink;
	return phiz_fail(ctx, PHIZ_E_ARG, "--calibrate DIR: an export is proved on photos, and this phiz renders none");
#endif
}

/* The photos that --calibrate names, or else the model's own. */
static enum phiz_status take_pictures(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_model *trained,
                                      const struct sink *sink, size_t most)
{
	const char *data = s->calibrate ? s->calibrate : phiz_model_meta(trained, "data");

	if (data && (s->calibrate || phiz_path_is_dir(data)))
		return take_folder(ctx, sink, data, most);
	phiz_log(ctx, PHIZ_LOG_INFO, "no photos to %s (--calibrate DIR): using rendered people",
	         sink->prover ? "prove the export on" : "measure activations on");
	return take_samples(ctx, sink);
}

static size_t split_names(char *text, const char *name[MAX_KEEP])
{
	size_t n = 0;

	for (char *save = NULL, *at = strtok_r(text, ",", &save); at && n < MAX_KEEP; at = strtok_r(NULL, ",", &save))
		name[n++] = at;
	return n;
}

/* From fp32 to bytes. */
static enum phiz_status quantize(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_model *trained,
                                 enum phiz_clipping clipping, struct phiz_model *exported)
{
	struct sink sink = {NULL, NULL};
	const char *keep[MAX_KEEP];
	char *text = phiz_strdup(ctx, s->keep ? s->keep : "");
	enum phiz_status status = text ? phiz_calibrator_begin(ctx, exported, &sink.calibrator) : PHIZ_E_NOMEM;

	if (!status)
		status = take_pictures(ctx, s, trained, &sink, MAX_CALIBRATION);
	if (!status)
		status = phiz_calibrator_equalize(sink.calibrator);
	if (!status)
		status = take_pictures(ctx, s, trained, &sink, MAX_CALIBRATION);
	if (!status)
		status = phiz_calibrator_end(sink.calibrator, clipping, keep, split_names(text, keep));
	phiz_calibrator_free(&sink.calibrator);
	phiz_free(ctx, text);
	return status;
}

static enum phiz_status prove(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_model *trained,
                              const struct phiz_model *exported, enum phiz_precision precision,
                              struct phiz_export_proof *proof)
{
	struct sink sink = {NULL, NULL};
	enum phiz_status status = phiz_prover_begin(ctx, trained, exported, precision, &sink.prover);

	if (!status)
		status = take_pictures(ctx, s, trained, &sink, MAX_PICTURES);
	if (!status)
		status = phiz_prover_end(sink.prover, proof);
	phiz_prover_free(&sink.prover);
	return status;
}

/* For the self-test of the machine that will run it. A model with more outputs than are worth keeping goes without. */
static enum phiz_status add_golden(struct phiz_ctx *ctx, struct phiz_model *exported)
{
	struct phiz_golden *golden;
	enum phiz_status status = phiz_golden_make(exported, &golden);

	if (status == PHIZ_E_LIMIT) {
		phiz_log(ctx, PHIZ_LOG_INFO, "no self-test goes into the file: %s", phiz_ctx_message(ctx));
		return PHIZ_OK;
	}
	if (!status)
		status = phiz_golden_store(golden, exported);
	phiz_golden_free(&golden);
	return status;
}

/* Writes the file beside its place, reads it back, proves what was read, and only then puts it there. */
static enum phiz_status write_proved(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_model *trained,
                                     struct phiz_model *exported, enum phiz_precision precision,
                                     struct phiz_export_proof *proof)
{
	char *part = phiz_asprintf(ctx, "%s.part", s->output);
	struct phiz_model *back = NULL;
	enum phiz_status status = part ? phiz_model_write(exported, part) : PHIZ_E_NOMEM;

	if (!status)
		status = phiz_model_read(ctx, part, &back);
	if (!status)
		status = prove(ctx, s, trained, back, precision, proof);
	if (!status)
		status = phiz_export_record(exported, proof);
	if (!status)
		status = add_golden(ctx, exported);
	if (!status)
		status = phiz_model_write(exported, s->output);
	if (part)
		unlink(part);
	phiz_model_free(&back);
	phiz_free(ctx, part);
	return status;
}

static enum phiz_status make(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_model *trained,
                             enum phiz_precision precision, enum phiz_clipping clipping,
                             struct phiz_export_proof *proof)
{
	struct phiz_model *exported = NULL;
	enum phiz_status status = s->trunk ? phiz_export_trunk(trained, precision, &exported)
	                                   : phiz_export_model(trained, precision, &exported);

	if (!status && s->licence)
		status = phiz_model_set_meta(exported, "licence", s->licence);
	if (!status && precision == PHIZ_PRECISION_INT8)
		status = quantize(ctx, s, trained, clipping, exported);
	if (!status)
		status = write_proved(ctx, s, trained, exported, precision, proof);
	phiz_model_free(&exported);
	return status;
}

static enum phiz_status print_json(struct phiz_ctx *ctx, const struct settings *s, bool on_gpu,
                                   const struct phiz_export_proof *p)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"file\":");
	phiz_bytes_json(&b, s->output);
	phiz_bytes_printf(&b, ",\"precision\":\"%s\",\"devices\":[\"cpu\"%s],", s->precision, on_gpu ? ",\"cuda\"" : "");
	phiz_export_proof_json(p, &b);
	phiz_bytes_text(&b, "}");
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
	return status;
}

static void print_text(const struct settings *s, bool on_gpu, const struct phiz_export_proof *p)
{
	printf("%s: %s, proved on %lld pictures: ", s->output, s->precision, (long long)p->pictures);
	if (p->embeds)
		printf("embeddings within %.1e of the trained model's (1 - cosine; allowed %.0e)\n", p->cosine,
		       p->bounds.cosine);
	else
		printf("logits within %.1e of the trained model's (allowed %.0e), %lld other best classes, "
		       "%lld other decisions\n", p->logits, p->bounds.logits, (long long)p->other_best,
		       (long long)p->other_decision);
	printf(on_gpu ? "for the CPU and for GPUs\n" : "for the CPU, which runs it where there is a GPU too\n");
}

extern const struct phiz_verb phiz_verb_export;

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_model *trained = NULL;
	struct phiz_export_proof proof;
	enum phiz_precision precision;
	enum phiz_clipping clipping = PHIZ_CLIP_MSE;
	bool choose = !strcmp(s->clip, "auto");

	(void)n_args;
	if (!s->output)
		return phiz_usage(&phiz_verb_export, "-o FILE.phiz is missing");
	if (!phiz_precision_parse(s->precision, &precision))
		return phiz_usage(&phiz_verb_export, "--precision: want fp32, fp16, bf16 or int8, got '%s'", s->precision);
	if (!choose && !phiz_clipping_parse(s->clip, &clipping))
		return phiz_usage(&phiz_verb_export, "--clip: want auto, mse, percentile or max, got '%s'", s->clip);
	if (s->keep && precision != PHIZ_PRECISION_INT8)
		return phiz_usage(&phiz_verb_export, "--keep is for --precision int8");
	if (s->trunk && precision == PHIZ_PRECISION_INT8)
		return phiz_usage(&phiz_verb_export, "--trunk: nothing is trained from int8");
	enum phiz_status status = phiz_open_model(ctx, args[0], 0, 0, &trained);
	if (!status)
		status = make(ctx, s, trained, precision, clipping, &proof);
	if (status == PHIZ_E_NUMERIC && choose && precision == PHIZ_PRECISION_INT8) {
		phiz_log(ctx, PHIZ_LOG_INFO, "%s: trying --clip percentile", phiz_ctx_message(ctx));
		status = make(ctx, s, trained, precision, PHIZ_CLIP_PERCENTILE, &proof);
	}
	if (!status && s->onnx)
		status = phiz_onnx_write(ctx, trained, s->onnx);
	if (!status && s->safetensors)
		status = phiz_export_state_dict(ctx, trained, s->safetensors);
	bool on_gpu = phiz_precision_on_gpu(precision);
	if (!status && s->json)
		status = print_json(ctx, s, on_gpu, &proof);
	else if (!status)
		print_text(s, on_gpu, &proof);
	phiz_model_free(&trained);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static const struct settings defaults = {.precision = "fp32", .clip = "auto"};

const struct phiz_verb phiz_verb_export = {
	"export",
	"the model file that a board or a server runs",
	"RUN|CHECKPOINT -o FILE.phiz [--precision P] [--calibrate DIR] [--onnx FILE]",
	"Drops what only training needs, folds batch norm, fuses activations and residuals,\n"
	"rounds the weights to the precision, writes the file, reads it back, and runs it\n"
	"beside the trained model on photos. If logits, best classes or threshold decisions\n"
	"(of an embedder: the embeddings, by their cosine) differ by more than the precision\n"
	"explains, the export fails and writes nothing. The figures go into the file (phiz\n"
	"info shows them), and so do its outputs for two drawn pictures, against which phiz\n"
	"doctor tests other machines.\n"
	"\n"
	"int8 puts convolutions, linear layers and the pooling between them on bytes: filters\n"
	"with a scale for each output channel, activations with one for each layer, measured\n"
	"on 128 of the photos of --calibrate (the training data, where it is still there).\n"
	"They should be such as the model will see. The file is a quarter as large, and runs\n"
	"several times as fast on processors with AVX512-VNNI or AMX. It is for the CPU, which\n"
	"runs it where there is a GPU too; files of the other precisions run on both.",
	options,
	PHIZ_COUNT(options),
	sizeof(struct settings),
	&defaults,
	1,
	1,
	run,
};
