/* phiz data detect: faces in photos, and how good a detector is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/image/draw.h"
#include "core/io/json.h"
#include "deploy/truth.h"
#include "tools/device_args.h"
#include "tools/drawings.h"
#include "tools/models.h"
#include "tools/photos.h"
#include "tools/tools.h"

extern const struct phiz_verb phiz_verb_data_detect;

struct settings {
	const char *detector, *threshold, *draw;
	struct phiz_device_args device;
	struct phiz_list truth;
	double min_face, scale_factor, nms;
	int64_t max_side;
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--detector", TEXT, detector, "NAME|FILE", 0, 0,
	            "a fetched model or a .phiz file (default: the best that is there)"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a photo on standard output"),
	PHIZ_OPTION(struct settings, "--min-face", REAL, min_face, "PIXELS", 1, 16384, "smaller faces are not looked for"),
	PHIZ_OPTION(struct settings, "--threshold", TEXT, threshold, "T", 0, 0,
	            "lowest score, 0 to 1; MTCNN also P,R,O: of its three networks"),
	PHIZ_OPTION(struct settings, "--max-side", INT, max_side, "PIXELS", 16, 16384,
	            "larger photos are made smaller first (default: the detector's)"),
	PHIZ_OPTION(struct settings, "--scale-factor", REAL, scale_factor, "F", 0.1, 0.99,
	            "MTCNN: from one size of the photo to the next (default 0.709)"),
	PHIZ_OPTION(struct settings, "--nms", REAL, nms, "IOU", 0.01, 1,
	            "of two boxes that overlap more the weaker goes (default: the detector's)"),
	PHIZ_DEVICE_OPTIONS(struct settings, device),
	PHIZ_OPTION(struct settings, "--draw", TEXT, draw, "DIR", 0, 0, "write the photos with boxes and points there"),
	PHIZ_OPTION(struct settings, "--truth", LIST, truth, "FILE", 0, 0,
	            "recall and precision on the photos of this file of boxes (again for more)"),
};

/* What one run of the verb works with. */
struct work {
	struct phiz_ctx *ctx;
	const struct settings *s;
	struct phiz_device_choice device;
	struct phiz_detector *detector;
	struct phiz_faces faces;
	struct phiz_bytes text;
	struct phiz_drawings drawings;
	struct phiz_progress progress;
};

/* --- Opening the detector --- */

/* T, or P,R,O. */
static enum phiz_status read_thresholds(struct phiz_ctx *ctx, const char *text, double out[3], int *n)
{
	enum phiz_status status = PHIZ_OK;
	char part[32];

	for (*n = 0; !status && text; ++*n) {
		size_t length = strcspn(text, ",");
		if (*n == 3 || length >= sizeof part)
			return phiz_fail(ctx, PHIZ_E_ARG, "--threshold: want one number, or three with commas between");
		memcpy(part, text, length);
		part[length] = 0;
		status = phiz_parse_f64(ctx, part, 0.000001, 1, &out[*n]);
		text = text[length] ? text + length + 1 : NULL;
	}
	if (status)
		return phiz_fail_in(ctx, "--threshold");
	return *n == 2 ? phiz_fail(ctx, PHIZ_E_ARG, "--threshold: want one number, or three with commas between") : PHIZ_OK;
}

/* threshold: the n that were given. */
static enum phiz_status open_detector(struct work *w, const double *threshold, int n)
{
	const struct settings *s = w->s;
	struct phiz_ctx *ctx = w->ctx;
	struct phiz_detector_options o = {.min_face = s->min_face, .scale_factor = s->scale_factor, .nms = s->nms,
	                                  .max_side = (int)s->max_side};
	struct phiz_model *model = NULL;
	char *path = NULL;
	enum phiz_status status = phiz_choose_model(ctx, PHIZ_MODEL_DETECTOR, s->detector, &path);

	if (!status)
		status = phiz_device_open(ctx, &s->device, &w->device);
	o.backend = w->device.backend;
	o.fallback = w->device.fallback;
	if (!status)
		status = phiz_model_read(ctx, path, &model);
	if (!status) {
		const char *kind = phiz_model_meta(model, "detector");
		bool cascade = kind && !strcmp(kind, "mtcnn");
		for (int i = 0; i < n; i++)
			o.threshold[n == 1 && cascade ? 2 : i] = threshold[i];
		status = phiz_detector_adopt(ctx, model, &o, &w->detector);
		if (status)
			phiz_fail_in(ctx, "%s", path);
	}
	phiz_free(ctx, path);
	return status;
}

/* --- Output --- */

static void print_json(struct work *w, const char *file, const struct phiz_image *image)
{
	struct phiz_bytes *b = &w->text;

	phiz_bytes_clear(b);
	phiz_bytes_text(b, "{\"file\":");
	phiz_bytes_json(b, file);
	phiz_bytes_printf(b, ",\"width\":%d,\"height\":%d,\"faces\":[", image->width, image->height);
	for (int i = 0; i < w->faces.n; i++) {
		const struct phiz_face *f = &w->faces.face[i];
		phiz_bytes_printf(b, "%s{\"box\":[%.3f,%.3f,%.3f,%.3f],\"score\":%.6f,\"landmarks\":[", i ? "," : "",
		                  (double)f->box[0], (double)f->box[1], (double)f->box[2], (double)f->box[3],
		                  (double)f->score);
		for (int k = 0; k < PHIZ_LANDMARKS; k++)
			phiz_bytes_printf(b, "%s[%.3f,%.3f]", k ? "," : "", (double)f->landmark[k][0], (double)f->landmark[k][1]);
		phiz_bytes_text(b, "]}");
	}
	phiz_bytes_text(b, "]}");
	if (!phiz_bytes_status(b))
		puts(b->data);
}

static void print_text(const struct work *w, const char *file, const struct phiz_image *image)
{
	printf("%s: %dx%d, %d face%s\n", file, image->width, image->height, w->faces.n, w->faces.n == 1 ? "" : "s");
	for (int i = 0; i < w->faces.n; i++) {
		const struct phiz_face *f = &w->faces.face[i];
		printf("  %.3f  %.0fx%.0f at %.0f,%.0f\n", (double)f->score, (double)f->box[2], (double)f->box[3],
		       (double)f->box[0], (double)f->box[1]);
	}
}

static enum phiz_status draw(struct work *w, const char *file, struct phiz_image *image)
{
	static const uint8_t color[3] = {0, 230, 118};
	char score[16];

	for (int i = w->faces.n - 1; i >= 0; i--) {
		snprintf(score, sizeof score, "%.2f", (double)w->faces.face[i].score);
		phiz_draw_face(image, &w->faces.face[i], score, color);
	}
	return phiz_drawings_write(w->ctx, &w->drawings, file, image);
}

/* --- Photos --- */

/* match: with truth. */
static enum phiz_status do_photo(struct work *w, const char *file, const struct phiz_true_photo *truth,
                                 struct phiz_match *match, int n_match)
{
	struct phiz_image image = {0};
	enum phiz_status status = phiz_image_read(w->ctx, file, NULL, &image);

	if (!status && phiz_detector_run(w->detector, &image, &w->faces))
		status = phiz_fail_in(w->ctx, "%s", file);
	for (int i = 0; i < n_match && !status; i++)
		status = phiz_match_add(w->ctx, &match[i], truth, &w->faces);
	if (!status && !truth) {
		phiz_progress_clear(&w->progress);
		if (w->s->json)
			print_json(w, file, &image);
		else
			print_text(w, file, &image);
		status = phiz_bytes_status(&w->text);
	}
	if (!status && w->s->draw)
		status = draw(w, file, &image);
	phiz_image_free(w->ctx, &image);
	return status;
}

static int do_photos(struct work *w, int n_args, char **args)
{
	struct phiz_names paths = {0};
	size_t failed = 0;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < n_args && !status; i++)
		status = phiz_photo_paths_add(w->ctx, args[i], PHIZ_PHOTOS_DEEP, &paths);
	if (status)
		phiz_report(w->ctx);
	for (size_t i = 0; i < paths.count && !status && !phiz_interrupted; i++) {
		phiz_progress_show(&w->progress, (double)i, (double)paths.count, false, "photos");
		if (do_photo(w, paths.name[i], NULL, NULL, 0)) {
			phiz_progress_clear(&w->progress);
			phiz_report(w->ctx); /* names the file; the others are done all the same */
			failed++;
		}
	}
	phiz_progress_clear(&w->progress);
	if (failed && paths.count > 1)
		fprintf(stderr, "phiz: %zu of %zu photos could not be used\n", failed, paths.count);
	phiz_names_free(w->ctx, &paths);
	return status || failed || phiz_interrupted ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

/* --- Truth --- */

enum { N_MATCH = 2 };

static enum phiz_status do_truth(struct work *w, const char *path, struct phiz_match *match, size_t *photos)
{
	size_t n = (size_t)(phiz_path_base(path) - path);
	char *folder = n ? phiz_strndup(w->ctx, path, n) : phiz_strdup(w->ctx, ".");
	struct phiz_truth truth = {0};
	enum phiz_status status = folder ? phiz_truth_read(w->ctx, path, &truth) : PHIZ_E_NOMEM;

	for (size_t i = 0; i < truth.count && !status && !phiz_interrupted; i++, ++*photos) {
		char *file = phiz_path_join(w->ctx, folder, truth.photo[i].file);
		phiz_progress_show(&w->progress, (double)i, (double)truth.count, false, "%s", phiz_path_base(path));
		status = file ? do_photo(w, file, &truth.photo[i], match, N_MATCH) : PHIZ_E_NOMEM;
		phiz_free(w->ctx, file);
	}
	phiz_truth_free(w->ctx, &truth);
	phiz_free(w->ctx, folder);
	return status;
}

static double share(size_t part, size_t of) { return of ? (double)part / (double)of : 0; }

static void print_match(const struct work *w, const struct phiz_match *match, size_t photos)
{
	const char *kind = phiz_model_meta(phiz_detector_model(w->detector), "detector");

	if (w->s->json) {
		printf("{\"detector\":\"%s\",\"photos\":%zu,\"truth\":%zu,\"detections\":%zu,\"iou\":[", kind, photos,
		       match[0].truth, match[0].found);
		for (int i = 0; i < N_MATCH; i++)
			printf("%s{\"iou\":%g,\"matched\":%zu,\"detections\":%zu,\"recall\":%.6f,\"precision\":%.6f}", i ? "," : "",
			       match[i].iou, match[i].matched, match[i].found, share(match[i].matched, match[i].truth),
			       share(match[i].matched, match[i].found));
		printf("]}\n");
		return;
	}
	printf("%s: %zu photos, %zu faces in them, %zu detections\n", kind, photos, match[0].truth, match[0].found);
	for (int i = 0; i < N_MATCH; i++)
		printf("  IoU %.1f: recall %.2f %% (%zu of %zu), precision %.2f %% (%zu of %zu)\n", match[i].iou,
		       100 * share(match[i].matched, match[i].truth), match[i].matched, match[i].truth,
		       100 * share(match[i].matched, match[i].found), match[i].matched, match[i].found);
}

static int do_truths(struct work *w)
{
	struct phiz_match match[N_MATCH] = {{.iou = 0.4}, {.iou = 0.5}};
	size_t photos = 0;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < w->s->truth.count && !status && !phiz_interrupted; i++)
		status = do_truth(w, w->s->truth.item[i], match, &photos);
	phiz_progress_clear(&w->progress);
	if (status)
		return phiz_report(w->ctx);
	if (phiz_interrupted)
		return PHIZ_EXIT_FAILED;
	print_match(w, match, photos);
	return PHIZ_EXIT_DONE;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct work w = {.ctx = ctx, .s = settings};
	double threshold[3];
	int n_thresholds = 0, exit_status;

	if (w.s->threshold && read_thresholds(ctx, w.s->threshold, threshold, &n_thresholds))
		return phiz_usage(&phiz_verb_data_detect, "%s", phiz_ctx_message(ctx));
	if ((n_args > 0) == (w.s->truth.count > 0))
		return phiz_usage(&phiz_verb_data_detect, n_args ? "--truth brings its own photos: name none beside it"
		                                                 : "want photos, or --truth FILE");
	phiz_bytes_init(&w.text, ctx);
	phiz_progress_start(&w.progress);
	enum phiz_status status = open_detector(&w, threshold, n_thresholds);
	if (!status)
		status = phiz_drawings_begin(ctx, &w.drawings, w.s->draw);
	if (status)
		exit_status = phiz_report(ctx);
	else
		exit_status = n_args ? do_photos(&w, n_args, args) : do_truths(&w);
	phiz_drawings_end(ctx, &w.drawings);
	phiz_faces_free(ctx, &w.faces);
	phiz_bytes_free(&w.text);
	phiz_detector_free(&w.detector);
	phiz_device_close(ctx, &w.device);
	return exit_status;
}

const struct phiz_verb phiz_verb_data_detect = {
	"data detect", "find the faces in photos",
	"PHOTO|DIR|LIST... [--detector NAME|FILE] [--json] [--draw DIR] | --truth FILE",
	"A box and five points for each face: the eyes, the tip of the nose and the corners\n"
	"of the mouth, in pixels of the upright photo, best first. Folders are searched with\n"
	"all that is below them; a LIST is a .txt file with a path a line. A photo that\n"
	"cannot be read is named, the others are done, and the exit status is 1.\n"
	"\n"
	"Detectors: yunet (small and quick), mtcnn (slower, exact points), ultralight (no\n"
	"points); the default is the first of these in the models folder. phiz models fetch\n"
	"gets them, phiz import makes them from their authors' files. Large photos are made\n"
	"smaller first; to find faces that are small in them, give --min-face or --max-side.\n"
	"\n"
	"--json prints {\"file\",\"width\",\"height\",\"faces\":[{\"box\":[x,y,w,h],\"score\",\n"
	"\"landmarks\":[[x,y] x5]}]}.\n"
	"\n"
	"--truth compares with boxes that people drew: a CSV (file,x,y,w,h) or the XML of\n"
	"dlib's imglab, photos relative to it. Recall is the share of drawn boxes that were\n"
	"found, precision the share of what was found that was drawn, at an overlap\n"
	"(intersection over union) of at least 0.4 and 0.5.",
	options, PHIZ_COUNT(options), sizeof(struct settings), NULL, 0, -1, run,
};
