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
#include "deploy/export.h"
#include "tools/models.h"
#include "tools/photos.h"
#include "tools/tools.h"
#ifdef PHIZ_HAVE_TRAIN
#include "datasets/synth.h"
#endif

enum { MAX_PICTURES = 200, SAMPLE_PEOPLE = 8, SAMPLE_PHOTOS = 4 };

struct settings {
	const char *output, *precision, *onnx, *calibrate, *safetensors;
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "-o", TEXT, output, "FILE.phiz", 0, 0, "the model file to write"),
	PHIZ_OPTION(struct settings, "--precision", TEXT, precision, "P", 0, 0,
                "of the weights: fp32 (default), fp16 or bf16"),
	PHIZ_OPTION(struct settings, "--calibrate", TEXT, calibrate, "DIR", 0, 0,
                "photos to prove the export on: a folder, or a folder per person"),
	PHIZ_OPTION(struct settings, "--onnx", TEXT, onnx, "FILE.onnx", 0, 0,
                "write an ONNX file of the trained model too"),
	PHIZ_OPTION(struct settings, "--safetensors", TEXT, safetensors, "FILE", 0, 0,
                "write the weights under torchvision's names too, for PyTorch"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

/* The first MAX_PICTURES photos of a folder and of the folders in it. */
static enum phiz_status prove_on_folder(struct phiz_ctx *ctx, struct phiz_prover *prover, const char *dir)
{
	struct phiz_names files = {0};
	enum phiz_status status = phiz_photo_paths_add(ctx, dir, 1, &files);

	for (size_t i = 0; i < files.count && i < MAX_PICTURES && !status && !phiz_interrupted; i++) {
		struct phiz_image image;
		if (phiz_image_read(ctx, files.name[i], NULL, &image)) {
			phiz_log(ctx, PHIZ_LOG_WARN, "left out: %s", phiz_ctx_message(ctx));
			continue;
		}
		status = phiz_prover_add(prover, &image);
		phiz_image_free(ctx, &image);
	}
	phiz_names_free(ctx, &files);
	return status;
}

/* Without photos: rendered people. */
static enum phiz_status prove_on_samples(struct phiz_ctx *ctx, struct phiz_prover *prover)
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
		status = phiz_prover_add(prover, &image);
		phiz_image_free(ctx, &image);
	}
	return status;
#else
	(void)prover;
	return phiz_fail(ctx, PHIZ_E_ARG, "--calibrate DIR: an export is proved on photos, and this phiz renders none");
#endif
}

static enum phiz_status prove(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_model *trained,
                              const struct phiz_model *exported, enum phiz_precision precision,
                              struct phiz_export_proof *proof)
{
	struct phiz_prover *prover;
	const char *data = s->calibrate ? s->calibrate : phiz_model_meta(trained, "data");
	enum phiz_status status = phiz_prover_begin(ctx, trained, exported, precision, &prover);

	if (!status && data && (s->calibrate || phiz_path_is_dir(data))) {
		status = prove_on_folder(ctx, prover, data);
	} else if (!status) {
		phiz_log(ctx, PHIZ_LOG_INFO, "no photos to prove the export on (--calibrate DIR): using rendered people");
		status = prove_on_samples(ctx, prover);
	}
	if (!status)
		status = phiz_prover_end(prover, proof);
	phiz_prover_free(&prover);
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
		status = phiz_model_write(exported, s->output);
	if (part)
		unlink(part);
	phiz_model_free(&back);
	phiz_free(ctx, part);
	return status;
}

static enum phiz_status print_json(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_export_proof *p)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"file\":");
	phiz_bytes_json(&b, s->output);
	phiz_bytes_printf(&b, ",\"precision\":\"%s\",", s->precision);
	phiz_export_proof_json(p, &b);
	phiz_bytes_text(&b, "}");
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
	return status;
}

static void print_text(const struct settings *s, const struct phiz_export_proof *p)
{
	printf("%s: %s, proved on %lld pictures: ", s->output, s->precision, (long long)p->pictures);
	if (p->embeds)
		printf("embeddings within %.1e of the trained model's (1 - cosine; allowed %.0e)\n", p->cosine,
		       p->bounds.cosine);
	else
		printf("logits within %.1e of the trained model's (allowed %.0e), %lld other best classes, "
		       "%lld other decisions\n", p->logits, p->bounds.logits, (long long)p->other_best,
		       (long long)p->other_decision);
}

extern const struct phiz_verb phiz_verb_export;

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_model *trained = NULL, *exported = NULL;
	struct phiz_export_proof proof;
	enum phiz_precision precision;

	(void)n_args;
	if (!s->output)
		return phiz_usage(&phiz_verb_export, "-o FILE.phiz is missing");
	if (!phiz_precision_parse(s->precision, &precision))
		return phiz_usage(&phiz_verb_export, "--precision: want fp32, fp16 or bf16, got '%s'", s->precision);
	enum phiz_status status = phiz_open_model(ctx, args[0], 0, 0, &trained);
	if (!status)
		status = phiz_export_model(trained, precision, &exported);
	if (!status)
		status = write_proved(ctx, s, trained, exported, precision, &proof);
	if (!status && s->onnx)
		status = phiz_onnx_write(ctx, trained, s->onnx);
	if (!status && s->safetensors)
		status = phiz_export_state_dict(ctx, trained, s->safetensors);
	if (!status && s->json)
		status = print_json(ctx, s, &proof);
	else if (!status)
		print_text(s, &proof);
	phiz_model_free(&exported);
	phiz_model_free(&trained);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static const struct settings defaults = {.precision = "fp32"};

const struct phiz_verb phiz_verb_export = {
	"export",
	"the model file that a board or a server runs",
	"RUN|CHECKPOINT -o FILE.phiz [--precision P] [--onnx FILE]",
	"Drops what only training needs, folds batch norm, fuses activations and residuals,\n"
	"rounds the weights to the precision, writes the file, reads it back, and runs it\n"
	"beside the trained model on photos. If logits, best classes or threshold decisions\n"
	"(of an embedder: the embeddings, by their cosine) differ by more than the precision\n"
	"explains, the export fails and writes nothing. The figures go into the file (phiz\n"
	"info shows them).",
	options,
	PHIZ_COUNT(options),
	sizeof(struct settings),
	&defaults,
	1,
	1,
	run,
};
