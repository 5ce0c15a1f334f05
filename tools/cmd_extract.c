/* phiz data extract: faces cut out of photos and videos. */
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/base/sha256.h"
#include "tools/extract.h"
#include "tools/models.h"

extern const struct phiz_verb phiz_verb_data_extract;

struct extract_options {
	const char *out, *align, *detector, *model, *faces, *format;
	struct phiz_device_args device;
	int64_t size, per_track;
	double margin, min_score, min_size, min_quality, every, fps;
	bool json;
};

static const struct extract_options defaults = {.align = "arcface", .format = "jpg", .margin = -1, .min_size = 20,
                                                .per_track = 20};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct extract_options, "--out", TEXT, out, "DIR", 0, 0, "where the crops go (required)"),
	PHIZ_OPTION(struct extract_options, "--align", TEXT, align, "HOW", 0, 0,
                "arcface (by landmarks, default), facenet or box"),
	PHIZ_OPTION(struct extract_options, "--margin", REAL, margin, "M", 0, 1023,
                "facenet: pixels of the crop (default 32); box: share of its side (default 0.25)"),
	PHIZ_OPTION(struct extract_options, "--size", INT, size, "S", 16, 1024,
                "side of a crop in pixels (default 112; facenet 160)"),
	PHIZ_OPTION(struct extract_options, "--min-score", REAL, min_score, "P", 0, 1,
                "of the detector (default: all it gives)"),
	PHIZ_OPTION(struct extract_options, "--min-size", REAL, min_size, "PIXELS", 0, 100000,
                "shorter side of a face in the photo (default 20)"),
	PHIZ_OPTION(struct extract_options, "--min-quality", REAL, min_quality, "Q", 0, 1,
                "of sharpness, size, pose, exposure and contrast together (default 0)"),
	PHIZ_OPTION(struct extract_options, "--detector", TEXT, detector, "MODEL", 0, 0,
                "what finds faces (default: the best that is there, of yunet, mtcnn, ultralight)"),
	PHIZ_OPTION(struct extract_options, "--faces", TEXT, faces, "FILE.csv", 0, 0,
                "take the faces from a list instead of finding them"),
	PHIZ_OPTION(struct extract_options, "--model", TEXT, model, "MODEL", 0, 0,
                "embedder that tells people apart; 'none': without (default: the best that is there)"),
	PHIZ_DEVICE_OPTIONS(struct extract_options, device),
	PHIZ_OPTION(struct extract_options, "--format", TEXT, format, "jpg|png", 0, 0,
                "of the crops (default jpg, quality 95)"),
	PHIZ_OPTION(struct extract_options, "--every", REAL, every, "N", 1, 1000000,
                "videos: take each N-th frame (default 1)"),
	PHIZ_OPTION(struct extract_options, "--fps", REAL, fps, "F", 0.001, 1000, "videos: take F frames a second"),
	PHIZ_OPTION(struct extract_options, "--per-track", INT, per_track, "N", 1, 1000,
                "videos: crops kept of each person, the best (default 20)"),
	PHIZ_OPTION(struct extract_options, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

static enum phiz_status hash_file(struct phiz_ctx *ctx, const char *path, char out[80])
{
	struct phiz_sha256 sum;
	struct phiz_map map;
	enum phiz_status status = phiz_map_open(ctx, path, &map);

	if (status)
		return status;
	phiz_sha256_init(&sum);
	phiz_sha256_add(&sum, map.data, map.size);
	phiz_sha256_hex(&sum, out);
	phiz_map_close(&map);
	return PHIZ_OK;
}

/* How crops are cut, from the options. false, with a usage message printed: they make no sense. */
static bool choose_align(struct phiz_ctx *ctx, const struct extract_options *o, struct phiz_align *a)
{
	if (!phiz_align_parse(o->align, &a->kind) || a->kind == PHIZ_ALIGN_NONE) {
		phiz_usage(&phiz_verb_data_extract, "--align: want arcface, facenet or box, got '%s'", o->align);
		return false;
	}
	if (o->margin >= 0 && a->kind == PHIZ_ALIGN_ARCFACE) {
		phiz_usage(&phiz_verb_data_extract, "--margin goes with --align facenet and box");
		return false;
	}
	a->size = o->size ? (int)o->size : a->kind == PHIZ_ALIGN_FACENET ? 160 : 112;
	a->margin = o->margin >= 0 ? o->margin : a->kind == PHIZ_ALIGN_FACENET ? 32 : a->kind == PHIZ_ALIGN_BOX ? 0.25 : 0;
	if (phiz_align_check(ctx, a)) {
		phiz_usage(&phiz_verb_data_extract, "%s", phiz_ctx_message(ctx));
		return false;
	}
	return true;
}

static enum phiz_status open_detector(struct extract *e, const struct extract_options *o)
{
	enum phiz_status status;

	if (o->faces) {
		status = extract_list_read(e->ctx, o->faces, &e->list);
		return status ? status : hash_file(e->ctx, o->faces, e->settings.detector);
	}
	status = phiz_choose_model(e->ctx, PHIZ_MODEL_DETECTOR, o->detector, &e->detector);
	return status ? status : hash_file(e->ctx, e->detector, e->settings.detector);
}

/* As recognizers do it: a model that does not say how faces are cut out gets the square around the box. */
static struct phiz_align embedder_align(const struct phiz_model *m)
{
	struct phiz_align a = m->preproc.align;
	int side = m->preproc.mode == PHIZ_RESIZE_SHORT ? m->preproc.resize : m->preproc.size;

	if (a.kind == PHIZ_ALIGN_NONE)
		a = (struct phiz_align){PHIZ_ALIGN_BOX, 0.25, side < 16 ? 16 : side > 1024 ? 1024 : side};
	return a;
}

static enum phiz_status open_embedder(struct extract *e, const struct extract_options *o)
{
	enum phiz_status status;

	if (o->model && !strcmp(o->model, "none"))
		return PHIZ_OK;
	status = phiz_choose_model(e->ctx, PHIZ_MODEL_EMBEDDER, o->model, &e->embedder);
	if (status == PHIZ_E_NOTFOUND && !o->model) {
		phiz_ctx_clear(e->ctx);
		return PHIZ_OK;
	}
	if (!status)
		status = hash_file(e->ctx, e->embedder, e->settings.embedder);
	if (!status)
		status = phiz_runtime_open(e->ctx, e->embedder, &e->runtime);
	if (status)
		return status;
	e->embed_align = embedder_align(phiz_runtime_model(e->runtime));
	return PHIZ_OK;
}

static void tell(const struct extract *e, const size_t n[PHIZ_N_CROP_FATES])
{
	const struct extract_told *t = &e->told;

	fprintf(stderr, "%s: %zu crops; %zu photos and %zu videos done now, %zu were done before\n", e->dir,
	        n[PHIZ_CROP_KEPT], t->photos, t->videos, t->there);
	if (n[PHIZ_CROP_NONE])
		fprintf(stderr, "without a face: %zu photos\n", n[PHIZ_CROP_NONE]);
	if (n[PHIZ_CROP_UNREADABLE])
		fprintf(stderr, "cannot be read: %zu photos (manifest.csv says why)\n", n[PHIZ_CROP_UNREADABLE]);
	if (n[PHIZ_CROP_SMALL] + n[PHIZ_CROP_SCORE] + n[PHIZ_CROP_QUALITY] + n[PHIZ_CROP_BEYOND])
		fprintf(stderr,
		        "faces left out: %zu too small, %zu of low score, %zu of low quality, %zu that cannot be cut out\n",
		        n[PHIZ_CROP_SMALL], n[PHIZ_CROP_SCORE], n[PHIZ_CROP_QUALITY], n[PHIZ_CROP_BEYOND]);
	if (t->by_embedding + t->nobody)
		fprintf(stderr, "photos with several faces: %zu; the person was told by resemblance\n",
		        t->by_embedding + t->nobody);
	if (t->nobody)
		fprintf(stderr, "of these, nobody resembles the person in %zu: look at %s/" PHIZ_CROPS_ASIDE "\n", t->nobody,
		        e->dir);
	if (t->by_size)
		fprintf(stderr, "photos with several faces: in %zu the largest and most central one was taken, as %s\n",
		        t->by_size, e->runtime ? "the person is alone in no photo" : "there is no embedder (--model)");
	if (n[PHIZ_CROP_ASIDE])
		fprintf(stderr, "set aside in %s/" PHIZ_CROPS_ASIDE ": %zu faces\n", e->dir, n[PHIZ_CROP_ASIDE]);
	if (t->video_left_out)
		fprintf(stderr, "videos: %zu faces too small, of low score or of low quality were left out\n",
		        t->video_left_out);
	if (t->flickers)
		fprintf(stderr, "videos: %zu faces seen in a single frame were left out\n", t->flickers);
}

static void tell_json(struct phiz_ctx *ctx, const struct extract *e, const size_t n[PHIZ_N_CROP_FATES])
{
	const struct extract_told *t = &e->told;
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"dir\":");
	phiz_bytes_json(&b, e->dir);
	phiz_bytes_printf(&b, ",\"files\":%zu,\"photos\":%zu,\"videos\":%zu,\"frames\":%zu,\"there\":%zu,\"crops\":%zu",
	                  e->count, t->photos, t->videos, t->frames, t->there, n[PHIZ_CROP_KEPT]);
	phiz_bytes_printf(&b, ",\"aside\":%zu,\"small\":%zu,\"low_score\":%zu,\"low_quality\":%zu,\"beyond\":%zu",
	                  n[PHIZ_CROP_ASIDE], n[PHIZ_CROP_SMALL], n[PHIZ_CROP_SCORE], n[PHIZ_CROP_QUALITY],
	                  n[PHIZ_CROP_BEYOND]);
	phiz_bytes_printf(&b, ",\"no_face\":%zu,\"unreadable\":%zu,\"chosen_by_embedding\":%zu,\"chosen_by_size\":%zu",
	                  n[PHIZ_CROP_NONE], n[PHIZ_CROP_UNREADABLE], t->by_embedding, t->by_size);
	phiz_bytes_printf(&b, ",\"nobody\":%zu,\"flickers\":%zu}", t->nobody, t->flickers);
	if (!phiz_bytes_status(&b))
		puts(b.data);
	phiz_bytes_free(&b);
}

static enum phiz_status work(struct extract *e, const struct extract_options *o, int n_args, char **args)
{
	enum phiz_status status = extract_collect(e, n_args, args);

	if (!status)
		status = phiz_device_open(e->ctx, &o->device, &e->device);
	if (!status)
		status = open_detector(e, o);
	if (!status)
		status = open_embedder(e, o);
	if (!status)
		status = extract_workers_open(e);
	if (!status)
		status = extract_resume(e);
	return status ? status : extract_run(e);
}

static int run_extract(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct extract_options *o = settings;
	struct extract e = {.ctx = ctx, .dir = o->out, .per_track = (int)o->per_track};
	size_t n[PHIZ_N_CROP_FATES];
	enum phiz_status status;

	if (!o->out)
		return phiz_usage(&phiz_verb_data_extract, "want --out DIR");
	if (strcmp(o->format, "jpg") && strcmp(o->format, "png"))
		return phiz_usage(&phiz_verb_data_extract, "--format: want jpg or png, got '%s'", o->format);
	if (o->every > 0 && o->fps > 0)
		return phiz_usage(&phiz_verb_data_extract, "--every or --fps, not both");
	if (o->faces && o->detector)
		return phiz_usage(&phiz_verb_data_extract, "--faces or --detector, not both");
	if (!choose_align(ctx, o, &e.settings.align))
		return PHIZ_EXIT_USAGE;
	e.settings.png = !strcmp(o->format, "png");
	e.settings.min_score = o->min_score;
	e.settings.min_size = o->min_size;
	e.settings.min_quality = o->min_quality;
	e.settings.every = o->every;
	e.settings.fps = o->fps;
	status = work(&e, o, n_args, args);
	if (!status) {
		extract_count(&e, n);
		if (o->json)
			tell_json(ctx, &e, n);
		if (!phiz_quiet)
			tell(&e, n);
	}
	extract_free(&e);
	phiz_device_close(ctx, &e.device);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_data_extract = {
	"data extract",
	"cut faces out of photos and videos, to train on",
	"PHOTOS|VIDEO|IMAGE... --out DIR [--align arcface|facenet|box] [--margin M] [--size S] ...",
	"PHOTOS has a folder of photos for each person; DIR gets the same folders with a\n"
	"crop for each photo, manifest.csv (where each comes from, box, landmarks, score,\n"
	"quality, and what was left out and why), landmarks.csv (points and box in the crop),\n"
	"a contact sheet for each person in _sheets, and extract.json, from which phiz train\n"
	"knows how the faces are cut, so that the model is run on the same crops. A recipe\n"
	"with data.align cuts them anew out of the crops: leave it room then, as --align box\n"
	"--margin 1 --size 224 does.\n"
	"\n"
	"Several faces in a photo of one person: with an embedder the one is taken that\n"
	"resembles the photos in which the person is alone; without, the largest and most\n"
	"central one. The others go to _aside. Of single images, all faces are taken.\n"
	"\n"
	"In a video, faces are followed from frame to frame; each person seen becomes a\n"
	"folder (person_01 ...) with the best crops, near-duplicates left out.\n"
	"\n"
	"Broken off or killed, the same command goes on where it stopped, and with more\n"
	"photos does only what is new. A folder that was made with other options, or that\n"
	"holds anything else, is not touched.",
	options,
	PHIZ_COUNT(options),
	sizeof(struct extract_options),
	&defaults,
	1,
	-1,
	run_extract,
};
