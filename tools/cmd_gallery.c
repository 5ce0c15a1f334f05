/* phiz gallery list, show, rename, merge, remove, reject: the people in it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "tools/gallery_args.h"

struct settings {
	struct phiz_gallery_args gallery;
	struct phiz_face_args face;
	int64_t photo;
	bool json, erase, largest;
};

/* The time of day in UTC, as ISO 8601 has it. */
static const char *show_time(int64_t when, char text[32])
{
	struct tm tm;
	time_t t = (time_t)when;

	if (!gmtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M", &tm))
		snprintf(text, 32, "?");
	return text;
}

static int finish(struct phiz_ctx *ctx, struct phiz_gallery *g, enum phiz_status status)
{
	if (status)
		phiz_report(ctx);
	phiz_gallery_free(&g);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

/* --- list --- */

static void add_person(struct phiz_bytes *b, const struct phiz_person *p)
{
	phiz_bytes_text(b, "{\"name\":");
	phiz_bytes_json(b, p->name);
	phiz_bytes_printf(b, ",\"photos\":%" PRId64 ",\"rejected\":%" PRId64 ",\"created\":%" PRId64 ",\"last\":%" PRId64
	                  ",\"keep_days\":%" PRId64 ",\"consent\":", p->photos, p->rejected, p->created, p->last,
	                  p->keep_days);
	if (p->consent)
		phiz_bytes_json(b, p->consent);
	else
		phiz_bytes_text(b, "null");
}

struct listing {
	struct phiz_ctx *ctx;
	const struct settings *s;
	int64_t people;
};

static enum phiz_status list_person(void *user, const struct phiz_person *p)
{
	struct listing *l = user;
	struct phiz_bytes b;
	char when[32];

	l->people++;
	if (!l->s->json) {
		printf("%-24s %4" PRId64 " photos", p->name, p->photos);
		if (p->rejected)
			printf(", %" PRId64 " rejected", p->rejected);
		printf(", last %s", show_time(p->last, when));
		if (p->keep_days)
			printf(", kept %" PRId64 " days", p->keep_days);
		printf("%s%s\n", p->consent ? ", consent: " : "", p->consent ? p->consent : "");
		return PHIZ_OK;
	}
	phiz_bytes_init(&b, l->ctx);
	add_person(&b, p);
	phiz_bytes_text(&b, "}");
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
	return status;
}

static enum phiz_status tell_gallery(struct phiz_gallery *g, const char *place)
{
	struct phiz_gallery_info info;
	struct phiz_limit limit;
	enum phiz_status status = phiz_gallery_describe(g, &info);

	if (status)
		return status;
	printf("%s: %" PRId64 " people, %" PRId64 " photos, %" PRId64 " rejected; model %s (%.12s, %d numbers)%s\n", place,
	       info.people, info.photos, info.rejected, *info.model_name ? info.model_name : "none yet", info.model,
	       info.dim,
	       info.encrypted ? "; encrypted" : "");
	status = phiz_gallery_limit(g, &limit);
	if (!status)
		printf("threshold %.4f for %g %% of strangers (%" PRId64 " of them, %" PRId64 " pass)\n", limit.value,
		       100 * limit.far, limit.strangers, limit.passed);
	else if (status == PHIZ_E_NOTFOUND)
		printf("threshold: not measured yet (phiz gallery calibrate)\n");
	return status == PHIZ_E_NOTFOUND ? PHIZ_OK : status;
}

static int run_list(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct listing l = {.ctx = ctx, .s = s};
	struct phiz_gallery *g;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	(void)args;
	if (!status && !s->json)
		status = tell_gallery(g, phiz_gallery_place(&s->gallery));
	if (!status)
		status = phiz_gallery_people(g, list_person, &l);
	return finish(ctx, g, status);
}

/* --- show --- */

struct showing {
	const struct settings *s;
	const char *name;
	struct phiz_bytes text; /* the person's line */
	int64_t photos;
	bool found;
};

static enum phiz_status find_person(void *user, const struct phiz_person *p)
{
	struct showing *w = user;
	char when[32];

	if (strcmp(p->name, w->name))
		return PHIZ_OK;
	w->found = true;
	if (w->s->json) {
		add_person(&w->text, p);
		phiz_bytes_text(&w->text, ",\"items\":[");
	} else {
		phiz_bytes_printf(&w->text, "%s: %" PRId64 " photos, %" PRId64 " rejected; since %s", p->name, p->photos,
		                  p->rejected, show_time(p->created, when));
		if (p->keep_days)
			phiz_bytes_printf(&w->text, "; kept %" PRId64 " days from the last photo, %s, on", p->keep_days,
			                  show_time(p->last, when));
		phiz_bytes_printf(&w->text, "\nconsent: %s\n", p->consent ? p->consent : "no note");
	}
	return PHIZ_OK;
}

static enum phiz_status add_photo(void *user, const struct phiz_photo *p)
{
	struct showing *w = user;
	struct phiz_bytes *b = &w->text;
	char when[32];

	if (w->s->json) {
		phiz_bytes_printf(b, "%s{\"id\":%" PRId64 ",\"kind\":\"%s\",\"created\":%" PRId64 ",\"source\":",
		                  w->photos++ ? "," : "", p->id, p->rejected ? "rejected" : "photo", p->created);
		if (p->source)
			phiz_bytes_json(b, p->source);
		else
			phiz_bytes_text(b, "null");
		phiz_bytes_printf(b, p->quality >= 0 ? ",\"quality\":%.4g}" : ",\"quality\":null}", p->quality);
	} else {
		phiz_bytes_printf(b, "%8" PRId64 "  %-8s  %s  ", p->id, p->rejected ? "rejected" : "photo",
		                  show_time(p->created, when));
		if (p->quality >= 0)
			phiz_bytes_printf(b, "quality %.2f  ", p->quality);
		phiz_bytes_printf(b, "%s\n", p->source ? p->source : "");
	}
	return PHIZ_OK;
}

static int run_show(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct showing w = {.s = settings, .name = args[0]};
	struct phiz_gallery *g;
	struct phiz_match match;
	bool near = false;
	enum phiz_status status = phiz_gallery_args_open(ctx, &w.s->gallery, false, &g);

	(void)n_args;
	phiz_bytes_init(&w.text, ctx);
	if (!status)
		status = phiz_gallery_people(g, find_person, &w);
	if (!status)
		status = phiz_gallery_photos(g, args[0], add_photo, &w); /* says so if there is nobody of this name */
	if (!status && !phiz_gallery_nearest(g, args[0], NULL, &match, &near) && near && !w.s->json)
		phiz_bytes_printf(&w.text, "nearest other person: %s, similarity %.3f\n", match.name, match.similarity);
	if (w.s->json)
		phiz_bytes_text(&w.text, "]}\n");
	if (!status)
		status = phiz_bytes_status(&w.text);
	if (!status && w.found)
		fputs(w.text.data, stdout);
	phiz_bytes_free(&w.text);
	return finish(ctx, g, status);
}

/* --- rename, merge, remove --- */

static int run_rename(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_gallery *g;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	if (!status)
		status = phiz_gallery_rename(g, args[0], args[1]);
	if (!status)
		printf("%s is %s now\n", args[0], args[1]);
	return finish(ctx, g, status);
}

static int run_merge(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_gallery *g;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	if (!status)
		status = phiz_gallery_merge(g, args[0], args[1]);
	if (!status)
		printf("%s is part of %s now\n", args[0], args[1]);
	return finish(ctx, g, status);
}

static int run_remove(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_gallery *g;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	if (!status && s->photo)
		status = phiz_gallery_remove_photo(g, args[0], s->photo, s->erase);
	else if (!status)
		status = phiz_gallery_remove(g, args[0], s->erase);
	if (!status && s->photo)
		printf("%s: photo %" PRId64 " %s\n", args[0], s->photo, s->erase ? "erased" : "removed");
	else if (!status)
		printf("%s %s\n", args[0], s->erase ? "erased: no byte of the embeddings is left in the gallery's "
		       "files" : "removed");
	return finish(ctx, g, status);
}

/* --- reject --- */

static enum phiz_status reject(struct phiz_ctx *ctx, const struct settings *s, struct phiz_gallery *g, const char *file,
                               const char *name)
{
	struct phiz_face_nets nets;
	struct phiz_portrait p = {.embedding = NULL};
	double before = 0, after = 0;
	enum phiz_status status = phiz_face_args_open(ctx, &s->face, g, &nets);

	if (!status)
		status = phiz_portrait_read(ctx, nets.recognizer, file, &p);
	if (!status && p.kind == PHIZ_PORTRAIT_NONE)
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no face found", file);
	else if (!status && p.kind == PHIZ_PORTRAIT_SEVERAL && !s->largest)
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: %d faces: which one is meant? --largest takes the largest", file,
		                   p.n_faces);
	if (!status)
		status = phiz_gallery_similarity(g, p.embedding, name, &before);
	if (!status) {
		struct phiz_template t = {.embedding = p.embedding, .source = phiz_path_base(file), .quality = p.quality};
		status = phiz_gallery_reject(g, name, &t, 1, NULL);
	}
	if (!status)
		status = phiz_gallery_similarity(g, p.embedding, name, &after);
	if (!status)
		printf("%s is not %s: similarity %.2f before, %.2f now; other faces are judged as before unless they lie "
		       "nearer to this one\n", file, name, before, after);
	phiz_portrait_free(ctx, &p);
	phiz_face_nets_close(ctx, &nets);
	return status;
}

static int run_reject(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_gallery *g;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	if (!status)
		status = reject(ctx, s, g, args[0], args[1]);
	return finish(ctx, g, status);
}

/* --- The verbs --- */

static const struct phiz_option gallery_options[] = {PHIZ_GALLERY_OPTIONS(struct settings)};
static const struct phiz_option list_options[] = {
	PHIZ_GALLERY_OPTIONS(struct settings),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "JSON on standard output, an object a person"),
};
static const struct phiz_option remove_options[] = {
	PHIZ_OPTION(struct settings, "--erase", FLAG, erase, NULL, 0, 0,
	            "leave no byte of the embeddings in any of the gallery's files"),
	PHIZ_OPTION(struct settings, "--photo", INT, photo, "ID", 1, 9007199254740992.0,
	            "only this photo, or this rejected one (phiz gallery show lists them)"),
	PHIZ_GALLERY_OPTIONS(struct settings),
};
static const struct phiz_option reject_options[] = {
	PHIZ_OPTION(struct settings, "--largest", FLAG, largest, NULL, 0, 0, "of several faces mean the largest"),
	PHIZ_GALLERY_OPTIONS(struct settings),
	PHIZ_FACE_OPTIONS(struct settings),
};

const struct phiz_verb phiz_verb_gallery_list = {
	"gallery list", "the people in a gallery", "[--gallery FILE] [--json]", NULL, list_options,
		PHIZ_COUNT(list_options),
	sizeof(struct settings), NULL, 0, 0, run_list,
};
const struct phiz_verb phiz_verb_gallery_show = {
	"gallery show", "one person in a gallery, photo by photo", "NAME [--gallery FILE] [--json]", NULL, list_options,
	PHIZ_COUNT(list_options), sizeof(struct settings), NULL, 1, 1, run_show,
};
const struct phiz_verb phiz_verb_gallery_rename = {
	"gallery rename", "give a person another name", "NAME NEW [--gallery FILE]", NULL, gallery_options,
	PHIZ_COUNT(gallery_options), sizeof(struct settings), NULL, 2, 2, run_rename,
};
const struct phiz_verb phiz_verb_gallery_merge = {
	"gallery merge", "make one person of two", "NAME INTO [--gallery FILE]", NULL, gallery_options,
	PHIZ_COUNT(gallery_options), sizeof(struct settings), NULL, 2, 2, run_merge,
};
const struct phiz_verb phiz_verb_gallery_remove = {
	"gallery remove", "remove a person, or one photo of a person", "NAME [--photo ID] [--erase] [--gallery FILE]",
	"With --erase the database is rewritten, its log emptied and the matrix file beside it\n"
	"overwritten, so that no byte of the embeddings is left in them. (What a disk's own\n"
	"electronics or copies elsewhere hold is beyond its reach.) The audit log keeps the\n"
	"name and the date, as proof of the erasure.",
	remove_options, PHIZ_COUNT(remove_options), sizeof(struct settings), NULL, 1, 1, run_remove,
};
const struct phiz_verb phiz_verb_gallery_reject = {
	"gallery reject", "\"this is not NAME\": keep a photo as a counterexample", "PHOTO NAME [--gallery FILE]",
	"From then on a face that lies nearer to the photo than to NAME is not NAME. Nothing\n"
	"changes for other faces. phiz gallery show lists rejected photos, and\n"
	"phiz gallery remove NAME --photo ID takes one back.",
	reject_options, PHIZ_COUNT(reject_options), sizeof(struct settings), NULL, 2, 2, run_reject,
};
