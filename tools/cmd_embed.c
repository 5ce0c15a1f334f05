/* phiz embed: pictures as vectors. */
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/npy.h"
#include "tools/device_args.h"
#include "tools/embedder.h"
#include "tools/models.h"
#include "tools/photos.h"
#include "tools/tools.h"

struct settings {
	const char *detector, *box, *npy, *names;
	struct phiz_device_args device;
	bool aligned, detect, flip, json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--aligned", FLAG, aligned, NULL, 0, 0,
	            "the pictures are crops already: take them as they are (the default)"),
	PHIZ_OPTION(struct settings, "--detect", FLAG, detect, NULL, 0, 0,
	            "find the faces, cut each out as the model says, and embed it"),
	PHIZ_OPTION(struct settings, "--detector", TEXT, detector, "NAME", 0, 0,
	            "as --detect, by this detector (a name or a file)"),
	PHIZ_OPTION(struct settings, "--box", TEXT, box, "X,Y,W,H", 0, 0, "take this box of each picture, in pixels"),
	PHIZ_OPTION(struct settings, "--flip", FLAG, flip, NULL, 0, 0, "add the embedding of the mirror image"),
	PHIZ_DEVICE_OPTIONS(struct settings, device),
	PHIZ_PRECISION_OPTION(struct settings, device),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object an embedding on standard output"),
	PHIZ_OPTION(struct settings, "--npy", TEXT, npy, "FILE", 0, 0,
	            "write all embeddings as a NumPy array, float32 [N, D]"),
	PHIZ_OPTION(struct settings, "--names", TEXT, names, "FILE", 0, 0,
	            "with --npy: what each row is, a CSV of row,file,face,x,y,width,height"),
};

struct run {
	struct phiz_ctx *ctx;
	const struct settings *settings;
	struct phiz_names files;
	struct phiz_device_choice device;
	struct phiz_embedder *embedder;
	float *rows; /* with --npy: [embedded][dim] */
	size_t rows_capacity;
	struct phiz_bytes names, text;
	struct phiz_progress bar;
	size_t embedded, failed, empty;
};

static void print_json(struct run *r, const struct phiz_embedded *e)
{
	struct phiz_bytes *b = &r->text;

	phiz_bytes_clear(b);
	phiz_bytes_text(b, "{\"file\":");
	phiz_bytes_json(b, r->files.name[e->file]);
	if (e->found) {
		const struct phiz_face *f = &e->face;
		phiz_bytes_printf(b, ",\"face\":%d,\"box\":[%.9g,%.9g,%.9g,%.9g],\"score\":%.9g", e->index, (double)f->box[0],
		                  (double)f->box[1], (double)f->box[2], (double)f->box[3], (double)f->score);
	}
	phiz_bytes_text(b, ",\"embedding\":[");
	for (int i = 0; i < phiz_embedder_dim(r->embedder); i++)
		phiz_bytes_printf(b, i ? ",%.9g" : "%.9g", (double)e->embedding[i]);
	phiz_bytes_text(b, "]}");
	if (!phiz_bytes_status(b))
		printf("%s\n", b->data);
}

/* Without --json: what was done, and the first numbers as a taste. */
static void print_text(struct run *r, const struct phiz_embedded *e)
{
	int dim = phiz_embedder_dim(r->embedder);

	printf("%s:", r->files.name[e->file]);
	if (e->found)
		printf(" face %d at %.0f,%.0f,%.0f,%.0f", e->index + 1, (double)e->face.box[0], (double)e->face.box[1],
		       (double)e->face.box[2], (double)e->face.box[3]);
	for (int i = 0; i < 4 && i < dim; i++)
		printf(" %.4f", (double)e->embedding[i]);
	printf(dim > 4 ? " ... (%d)\n" : " (%d)\n", dim);
}

static void name_row(struct run *r, const struct phiz_embedded *e)
{
	const float *box = e->face.box;

	phiz_bytes_printf(&r->names, "%zu,", r->embedded);
	phiz_bytes_csv(&r->names, r->files.name[e->file]);
	phiz_bytes_printf(&r->names, ",%d,%.9g,%.9g,%.9g,%.9g\n", e->index, (double)box[0], (double)box[1], (double)box[2],
	                  (double)box[3]);
}

static enum phiz_status keep_row(struct run *r, const struct phiz_embedded *e)
{
	size_t dim = (size_t)phiz_embedder_dim(r->embedder), floats;

	if (!phiz_size_mul(r->embedded + 1, dim, &floats))
		return phiz_fail(r->ctx, PHIZ_E_LIMIT, "%s: too many faces", r->settings->npy);
	enum phiz_status status = phiz_grow(r->ctx, &r->rows, &r->rows_capacity, floats, sizeof *r->rows);
	if (!status)
		memcpy(r->rows + r->embedded * dim, e->embedding, dim * sizeof *r->rows);
	return status;
}

static enum phiz_status tell(void *user, const struct phiz_embedded *e)
{
	struct run *r = user;
	enum phiz_status status = PHIZ_OK;

	if (r->settings->names)
		name_row(r, e);
	if (r->settings->npy)
		status = keep_row(r, e);
	r->embedded++;
	if (r->settings->json) {
		print_json(r, e);
	} else if (!r->settings->npy) {
		phiz_progress_clear(&r->bar);
		print_text(r, e);
	}
	if (!status)
		status = phiz_bytes_status(&r->names);
	return status ? status : phiz_bytes_status(&r->text);
}

static enum phiz_status tell_empty(void *user, size_t file)
{
	struct run *r = user;

	r->empty++;
	if (r->settings->npy || r->settings->json)
		return PHIZ_OK;
	phiz_progress_clear(&r->bar);
	printf("%s: no face\n", r->files.name[file]);
	return PHIZ_OK;
}

static enum phiz_status tell_failed(void *user, size_t file, const char *message)
{
	struct run *r = user;

	(void)file;
	r->failed++;
	phiz_progress_clear(&r->bar);
	fprintf(stderr, "phiz: %s\n", message);
	return PHIZ_OK;
}

static void show(void *user, size_t done, size_t total)
{
	struct run *r = user;

	if (total > 1)
		phiz_progress_show(&r->bar, (double)done, (double)total, false, "%zu of %zu pictures", done, total);
}

static enum phiz_status open_embedder(struct run *r, const char *model)
{
	const struct settings *s = r->settings;
	bool detect = s->detect || s->detector;
	struct phiz_embedder_options o = {.what = detect ? PHIZ_EMBED_FACES : PHIZ_EMBED_WHOLE, .flip = s->flip};
	char *path = NULL, *detector = NULL;
	enum phiz_status status = phiz_device_open(r->ctx, &s->device, &r->device);

	o.device = &r->device;
	if (!status)
		status = phiz_find_model_file(r->ctx, model, &path);
	if (!status && detect)
		status = phiz_choose_model(r->ctx, PHIZ_MODEL_DETECTOR, s->detector, &detector);
	o.detector = detector;
	if (s->box)
		phiz_box_parse(s->box, o.box);
	if (!status)
		status = phiz_embedder_open(r->ctx, path, &o, &r->embedder);
	phiz_free(r->ctx, path);
	phiz_free(r->ctx, detector);
	return status;
}

/* The array first: who finds the names finds it. */
static enum phiz_status write_files(struct run *r)
{
	enum phiz_status status = PHIZ_OK;

	if (r->settings->npy)
		status = phiz_npy_write(r->ctx, r->settings->npy, r->rows, (int64_t)r->embedded,
		                        phiz_embedder_dim(r->embedder));
	if (!status && r->settings->names)
		status = phiz_file_write(r->ctx, r->settings->names, r->names.data, r->names.size);
	return status;
}

static enum phiz_status embed(struct run *r)
{
	struct phiz_embedder_report report = {tell, tell_empty, tell_failed, show, r};

	if (r->settings->names)
		phiz_bytes_text(&r->names, "row,file,face,x,y,width,height\n");
	phiz_progress_start(&r->bar);
	enum phiz_status status = phiz_embedder_run(r->embedder, r->files.name, r->files.count, &report);
	phiz_progress_clear(&r->bar);
	if (!status)
		status = write_files(r);
	if (!status && r->settings->npy && !r->settings->json)
		printf("%s: %zu embeddings of %d numbers\n", r->settings->npy, r->embedded, phiz_embedder_dim(r->embedder));
	if (!status && r->empty && !phiz_quiet)
		fprintf(stderr, "phiz: no face in %zu of %zu pictures\n", r->empty, r->files.count);
	if (!status && r->failed && r->files.count > 1)
		fprintf(stderr, "phiz: %zu of %zu pictures could not be used\n", r->failed, r->files.count);
	return status;
}

extern const struct phiz_verb phiz_verb_embed;

static int check_usage(const struct settings *s)
{
	int box[4];

	if (s->box && !phiz_box_parse(s->box, box))
		return phiz_usage(&phiz_verb_embed, "--box %s: want X,Y,WIDTH,HEIGHT in whole pixels", s->box);
	if ((s->detect || s->detector) && (s->aligned || s->box))
		return phiz_usage(&phiz_verb_embed, "--aligned and --box take pictures as crops, --detect finds the faces: "
		                  "want one of them");
	if (s->names && !s->npy)
		return phiz_usage(&phiz_verb_embed, "--names belongs to --npy FILE");
	return 0;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct run r = {.ctx = ctx, .settings = settings};
	enum phiz_status status = PHIZ_OK;
	int usage = check_usage(settings);

	if (usage)
		return usage;
	phiz_bytes_init(&r.names, ctx);
	phiz_bytes_init(&r.text, ctx);
	for (int i = 1; i < n_args && !status; i++)
		status = phiz_photo_paths_add(ctx, args[i], PHIZ_PHOTOS_DEEP, &r.files);
	if (!status)
		status = open_embedder(&r, args[0]);
	if (!status)
		status = embed(&r);
	if (status)
		phiz_report(ctx);
	phiz_free(ctx, r.rows);
	phiz_bytes_free(&r.names);
	phiz_bytes_free(&r.text);
	phiz_embedder_free(&r.embedder);
	phiz_device_close(ctx, &r.device);
	phiz_names_free(ctx, &r.files);
	return status || r.failed ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_embed = {
	"embed", "pictures as vectors, to be compared by cosine",
	"MODEL IMAGE|DIR|LIST... [--detect] [--flip] [--json] [--npy FILE --names FILE]",
	"MODEL is an embedder (phiz import, phiz models), or a classifier, of which the\n"
	"embedding is what its last linear layer reads. Embeddings are of length 1, so their dot\n"
	"product is the cosine. Pictures are taken as crops, preprocessed as the model says;\n"
	"--detect finds the faces in photos and aligns them first (--detector NAME; default\n"
	"the best that is there: yunet, mtcnn). A folder means the pictures in it and in its\n"
	"folders; a .txt file is a list, a path on each line. --json prints {\"file\",\"embedding\":[...]} for each, with\n"
	"\"face\", \"box\" [x,y,w,h] and \"score\" under --detect; --npy writes an array [N, D]\n"
	"when all is done. A picture that cannot be read is named, the others are done, and the\n"
	"exit status is 1.",
	options, PHIZ_COUNT(options), sizeof(struct settings), NULL, 2, -1, run,
};
