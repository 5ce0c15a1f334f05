/* phiz identify and verify: who is it, and is it the same person. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/draw.h"
#include "tools/drawings.h"
#include "tools/gallery_args.h"
#include "tools/photos.h"

struct settings {
	struct phiz_gallery_args gallery;
	struct phiz_face_args face;
	double threshold;
	int64_t topk;
	const char *draw;
	bool json;
};

static const struct phiz_option identify_options[] = {
	PHIZ_OPTION(struct settings, "--threshold", REAL, threshold, "T", -1, 1,
	            "similarity from which on a face is somebody (default: the gallery's)"),
	PHIZ_OPTION(struct settings, "--topk", INT, topk, "K", 1, 64, "people to list for each face (default 1)"),
	PHIZ_OPTION(struct settings, "--draw", TEXT, draw, "DIR", 0, 0, "write the photos with boxes and names there"),
	PHIZ_GALLERY_OPTIONS(struct settings),
	PHIZ_FACE_OPTIONS(struct settings),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a photo on standard output"),
};

static const struct phiz_option verify_options[] = {
	PHIZ_OPTION(struct settings, "--threshold", REAL, threshold, "T", -1, 1,
	            "similarity from which on they are one person (default: the gallery's, else the model's)"),
	PHIZ_GALLERY_OPTIONS(struct settings),
	PHIZ_FACE_OPTIONS(struct settings),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

static const struct settings defaults = {.threshold = PHIZ_NO_THRESHOLD, .topk = 1};

struct work {
	struct phiz_ctx *ctx;
	const struct settings *s;
	struct phiz_gallery *gallery;
	struct phiz_face_nets nets;
	struct phiz_drawings drawings;
	double threshold;
};

static void close_all(struct work *w)
{
	phiz_face_nets_close(w->ctx, &w->nets);
	phiz_gallery_free(&w->gallery);
}

/* --- identify --- */

static void add_face(struct work *w, struct phiz_bytes *b, const struct phiz_face *face, const struct phiz_match *match,
                     int n)
{
	bool known = n > 0 && match[0].similarity >= w->threshold;

	phiz_bytes_printf(b, "{\"box\":[%.6g,%.6g,%.6g,%.6g],\"name\":", (double)face->box[0],
	                  (double)face->box[1], (double)face->box[2], (double)face->box[3]);
	phiz_bytes_json(b, known ? match[0].name : "unknown");
	if (n > 0)
		phiz_bytes_printf(b, ",\"similarity\":%.9g", match[0].similarity);
	else
		phiz_bytes_text(b, ",\"similarity\":null"); /* nobody to be similar to */
	phiz_bytes_printf(b, ",\"threshold\":%.9g", w->threshold);
	if (w->s->topk > 1) {
		phiz_bytes_text(b, ",\"topk\":[");
		for (int i = 0; i < n; i++) {
			phiz_bytes_text(b, i ? ",{\"name\":" : "{\"name\":");
			phiz_bytes_json(b, match[i].name);
			phiz_bytes_printf(b, ",\"similarity\":%.9g}", match[i].similarity);
		}
		phiz_bytes_text(b, "]");
	}
	phiz_bytes_text(b, "}");
}

static void tell_face(struct work *w, struct phiz_bytes *b, const struct phiz_face *face,
                      const struct phiz_match *match,
                      int n)
{
	bool known = n > 0 && match[0].similarity >= w->threshold;

	if (known)
		phiz_bytes_printf(b, "%s %.2f", match[0].name, match[0].similarity);
	else if (n > 0)
		phiz_bytes_printf(b, "unknown (nearest is %s, %.2f)", match[0].name, match[0].similarity);
	else
		phiz_bytes_text(b, "unknown (nobody is enrolled)");
	for (int i = 1; i < n; i++)
		phiz_bytes_printf(b, ", %s %.2f", match[i].name, match[i].similarity);
	if (!w->s->face.aligned)
		phiz_bytes_printf(b, " at %.0f,%.0f %.0fx%.0f", (double)face->box[0], (double)face->box[1],
		                  (double)face->box[2], (double)face->box[3]);
}

/* The face in its photo: green with a name, red without. */
static void draw_face(struct work *w, struct phiz_image *image, const struct phiz_face *face,
                      const struct phiz_match *match, int n)
{
	static const uint8_t known_rgb[3] = {0, 230, 118}, unknown_rgb[3] = {255, 82, 82};
	bool known = n > 0 && match[0].similarity >= w->threshold;
	char text[80];

	if (known)
		snprintf(text, sizeof text, "%.60s %.2f", match[0].name, match[0].similarity);
	else
		snprintf(text, sizeof text, "unknown");
	phiz_draw_face(image, face, text, known ? known_rgb : unknown_rgb);
}

static enum phiz_status identify(struct work *w, const char *file, struct phiz_bytes *b)
{
	const struct phiz_found *found;
	struct phiz_match match[64];
	struct phiz_image image;
	bool json = w->s->json;
	int faces = 0, n;
	enum phiz_status status = phiz_image_read(w->ctx, file, NULL, &image);

	if (status)
		return status;
	status = phiz_recognizer_run(w->nets.recognizer, &image, &found, &faces);
	if (status)
		phiz_fail_in(w->ctx, "%s", file);
	phiz_bytes_clear(b);
	phiz_bytes_text(b, json ? "{\"file\":" : "");
	if (json)
		phiz_bytes_json(b, file);
	else
		phiz_bytes_printf(b, "%s: ", file);
	phiz_bytes_text(b, json ? ",\"faces\":[" : faces ? "" : "no face");
	for (int i = 0; i < faces && !status; i++) {
		status = phiz_gallery_search(w->gallery, found[i].embedding, (int)w->s->topk, match, &n);
		phiz_bytes_text(b, i == 0 ? "" : json ? "," : "; ");
		if (!status)
			(json ? add_face : tell_face)(w, b, &found[i].face, match, n);
		if (!status && w->s->draw)
			draw_face(w, &image, &found[i].face, match, n);
	}
	phiz_bytes_text(b, json ? "]}" : "");
	if (!status)
		status = phiz_bytes_status(b);
	if (!status)
		printf("%s\n", b->data);
	if (!status && w->s->draw)
		status = phiz_drawings_write(w->ctx, &w->drawings, file, &image);
	phiz_image_free(w->ctx, &image);
	return status;
}

static enum phiz_status open_all(struct work *w)
{
	enum phiz_status status = phiz_gallery_args_open(w->ctx, &w->s->gallery, false, &w->gallery);

	if (!status)
		status = phiz_face_args_open(w->ctx, &w->s->face, w->gallery, &w->nets);
	return status ? status : phiz_similarity_threshold(w->s->threshold, w->gallery,
	                                                   phiz_recognizer_model(w->nets.recognizer), &w->threshold);
}

static int run_identify(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct work w = {.ctx = ctx, .s = settings};
	struct phiz_names files = {0};
	struct phiz_bytes text;
	size_t failed = 0;
	enum phiz_status status = open_all(&w);

	phiz_bytes_init(&text, ctx);
	if (!status)
		status = phiz_drawings_begin(ctx, &w.drawings, w.s->draw);
	for (int i = 0; i < n_args && !status; i++)
		status = phiz_photo_paths_add(ctx, args[i], PHIZ_PHOTOS_DEEP, &files);
	if (status)
		phiz_report(ctx);
	for (size_t i = 0; i < files.count && !status && !phiz_interrupted; i++)
		if (identify(&w, files.name[i], &text)) {
			phiz_report(ctx); /* names the file; the others are done all the same */
			failed++;
		}
	if (failed && files.count > 1)
		fprintf(stderr, "phiz: %zu of %zu photos could not be used\n", failed, files.count);
	phiz_bytes_free(&text);
	phiz_names_free(ctx, &files);
	phiz_drawings_end(ctx, &w.drawings);
	close_all(&w);
	return status || failed || phiz_interrupted ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_identify = {
	"identify", "names for the faces in photos", "PHOTO|DIR... [--gallery FILE] [--json]",
	"Finds all faces in each photo and looks them up in the gallery (phiz enroll). A face\n"
	"whose similarity to everybody lies below the threshold is \"unknown\"; the threshold is\n"
	"the one that phiz gallery calibrate measured. Similarity is the cosine with the mean\n"
	"of a person's photos; at most 0 where the face lies nearer to a photo that was\n"
	"rejected for the person (phiz gallery reject).",
	identify_options, PHIZ_COUNT(identify_options), sizeof(struct settings), &defaults, 1, -1, run_identify,
};

/* --- verify --- */

static enum phiz_status read_face(struct work *w, const char *file, struct phiz_portrait *p)
{
	enum phiz_status status = phiz_portrait_read(w->ctx, w->nets.recognizer, file, p);

	if (!status && p->kind == PHIZ_PORTRAIT_NONE)
		return phiz_fail(w->ctx, PHIZ_E_NOTFOUND, "%s: no face found", file);
	if (!status && p->kind == PHIZ_PORTRAIT_SEVERAL && !phiz_quiet)
		fprintf(stderr, "phiz: %s: %d faces: the largest is compared\n", file, p->n_faces);
	return status;
}

static enum phiz_status compare(struct work *w, const char *a, const char *b, double *similarity)
{
	struct phiz_portrait first = {.embedding = NULL}, second = {.embedding = NULL};
	bool photo = phiz_path_is_file(b);
	enum phiz_status status = read_face(w, a, &first);

	if (!status && photo)
		status = read_face(w, b, &second);
	if (!status && photo) {
		*similarity = 0;
		for (int d = 0; d < phiz_recognizer_dim(w->nets.recognizer); d++)
			*similarity += (double)first.embedding[d] * (double)second.embedding[d];
	} else if (!status) {
		status = phiz_gallery_similarity(w->gallery, first.embedding, b, similarity);
	}
	phiz_portrait_free(w->ctx, &first);
	phiz_portrait_free(w->ctx, &second);
	return status;
}

/* Two photos need no gallery; where there is one of this model, its threshold counts. */
static enum phiz_status open_for_verify(struct work *w, const char *b)
{
	const struct phiz_gallery_args *g = &w->s->gallery;
	bool photos = phiz_path_is_file(b), there = phiz_path_is_file(phiz_gallery_place(g));
	struct phiz_gallery_info info;
	enum phiz_status status = PHIZ_OK;

	if (!photos && !there)
		return phiz_fail(w->ctx, PHIZ_E_NOTFOUND, "%s: neither a photo nor, without a gallery (%s), a person", b,
		                 phiz_gallery_place(g));
	if (!photos)
		return open_all(w);
	status = phiz_face_args_open(w->ctx, &w->s->face, NULL, &w->nets);
	if (!status && there && w->s->threshold <= PHIZ_NO_THRESHOLD) {
		status = phiz_gallery_args_open(w->ctx, g, false, &w->gallery);
		if (!status)
			status = phiz_gallery_describe(w->gallery, &info);
		if (!status && strcmp(info.model, phiz_recognizer_hash(w->nets.recognizer)))
			phiz_gallery_free(&w->gallery);
	}
	return status ? status : phiz_similarity_threshold(w->s->threshold, w->gallery,
	                                                   phiz_recognizer_model(w->nets.recognizer), &w->threshold);
}

static int run_verify(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct work w = {.ctx = ctx, .s = settings};
	double similarity = NAN;
	enum phiz_status status = open_for_verify(&w, args[1]);

	(void)n_args;
	if (!status)
		status = compare(&w, args[0], args[1], &similarity);
	if (status) {
		phiz_report(ctx);
	} else if (w.s->json) {
		printf("{\"same\":%s,\"similarity\":%.9g,\"threshold\":%.9g}\n", similarity >= w.threshold ? "true" : "false",
		       similarity, w.threshold);
	} else {
		printf("%s: similarity %.3f, threshold %.3f\n", similarity >= w.threshold ? "the same person" : "not the same "
		       "person",
		       similarity, w.threshold);
	}
	close_all(&w);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_verify = {
	"verify", "are two photos of one person", "PHOTO_A PHOTO_B|NAME [--gallery FILE] [--json]",
	"Compares the face of a photo (the largest, where there are several) with that of\n"
	"another photo, or with a person of the gallery. The exit status says whether it could\n"
	"be done, not whether they are the same.",
	verify_options, PHIZ_COUNT(verify_options), sizeof(struct settings), &defaults, 2, 2, run_verify,
};
