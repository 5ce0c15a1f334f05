/* phiz enroll: people into the gallery, and what that does to those who are there. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "tools/gallery_args.h"
#include "tools/photos.h"

struct settings {
	struct phiz_gallery_args gallery;
	struct phiz_face_args face;
	const char *consent;
	int64_t keep_days;
	double threshold, min_quality;
	bool people, largest, force, json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--people", FLAG, people, NULL, 0, 0, "DIR holds a folder for each person"),
	PHIZ_OPTION(struct settings, "--largest", FLAG, largest, NULL, 0, 0,
	            "of several faces in a photo take the largest (else the photo is left out)"),
	PHIZ_OPTION(struct settings, "--force", FLAG, force, NULL, 0, 0,
	            "also photos of low quality, and those that look like somebody else"),
	PHIZ_OPTION(struct settings, "--min-quality", REAL, min_quality, "Q", 0, 1,
	            "leave out photos below this quality (default 0.15)"),
	PHIZ_OPTION(struct settings, "--threshold", REAL, threshold, "T", -1, 1,
	            "similarity from which on a face is somebody (default: the gallery's)"),
	PHIZ_OPTION(struct settings, "--consent", TEXT, consent, "TEXT", 0, 0, "a note on the person's consent, kept"),
	PHIZ_OPTION(struct settings, "--keep-days", INT, keep_days, "N", 1, 36500,
	            "phiz gallery purge removes the person so many days after the last photo"),
	PHIZ_OPTION(struct settings, "--encrypt", FLAG, gallery.encrypt, NULL, 0, 0,
	            "a new gallery keeps embeddings under a passphrase or --key"),
	PHIZ_GALLERY_OPTIONS(struct settings),
	PHIZ_FACE_OPTIONS(struct settings),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a person on standard output"),
};

struct enroll {
	struct phiz_ctx *ctx;
	const struct settings *s;
	struct phiz_gallery *gallery;
	struct phiz_face_nets nets;
	double threshold;
	int unreadable, empty; /* empty: people of whom no photo could be taken */
};

/* The photos of one person that will do. */
struct take {
	struct phiz_names files; /* named as in photo[i].source */
	struct phiz_template *photo;
	size_t n, capacity;
	struct phiz_bytes left_out; /* JSON: ,{"file":..,"reason":..} */
};

static void leave_out(struct take *t, const char *file, const char *reason)
{
	fprintf(stderr, "phiz: %s: %s: left out\n", file, reason);
	phiz_bytes_text(&t->left_out, t->left_out.size ? ",{\"file\":" : "{\"file\":");
	phiz_bytes_json(&t->left_out, file);
	phiz_bytes_text(&t->left_out, ",\"reason\":");
	phiz_bytes_json(&t->left_out, reason);
	phiz_bytes_text(&t->left_out, "}");
}

/* Does the face resemble somebody else enough to be taken for them, and more than the person it is given as? */
static enum phiz_status resembles_other(struct enroll *e, const char *name, const float *embedding,
                                        struct phiz_match *other, bool *does)
{
	struct phiz_match match[2];
	int n;
	enum phiz_status status = phiz_gallery_search(e->gallery, embedding, 2, match, &n);

	*does = !status && n > 0 && strcmp(match[0].name, name) && match[0].similarity >= e->threshold;
	if (*does)
		*other = match[0];
	return status;
}

/* A reason against the photo into `reason`, or "". */
static enum phiz_status judge(struct enroll *e, const char *name, const struct phiz_portrait *p, char reason[400])
{
	const struct settings *s = e->s;
	struct phiz_match other;
	bool does = false;

	*reason = '\0';
	if (p->kind == PHIZ_PORTRAIT_NONE)
		snprintf(reason, 400, "no face found");
	else if (p->kind == PHIZ_PORTRAIT_SEVERAL && !s->largest)
		snprintf(reason, 400, "%d faces (--largest takes the largest)", p->n_faces);
	else if (!s->force && p->quality >= 0 && p->quality < s->min_quality)
		snprintf(reason, 400, "the face is of low quality: %.2f, want %.2f (small, blurred, dark or turned away; "
		         "--force takes it)", p->quality, s->min_quality);
	if (*reason || s->force)
		return PHIZ_OK;
	enum phiz_status status = resembles_other(e, name, p->embedding, &other, &does);
	if (does)
		snprintf(reason, 400, "looks like %.200s, who is there (%.2f, threshold %.2f; --force takes it)", other.name,
		         other.similarity, e->threshold);
	return status;
}

static enum phiz_status add_photo(struct enroll *e, struct take *t, const char *file, struct phiz_portrait *p)
{
	enum phiz_status status = phiz_grow(e->ctx, &t->photo, &t->capacity, t->n + 1, sizeof *t->photo);

	if (!status)
		status = phiz_names_add(e->ctx, &t->files, phiz_path_base(file));
	if (status)
		return status;
	t->photo[t->n] = (struct phiz_template){.embedding = p->embedding, .quality = p->quality};
	t->photo[t->n].source = t->files.name[t->n];
	t->n++;
	p->embedding = NULL; /* handed over */
	return PHIZ_OK;
}

static enum phiz_status read_photo(struct enroll *e, struct take *t, const char *name, const char *file)
{
	struct phiz_portrait portrait;
	char reason[400];
	enum phiz_status status = phiz_portrait_read(e->ctx, e->nets.recognizer, file, &portrait);

	if (status == PHIZ_E_NOMEM)
		return status;
	if (status) { /* the message names the file; the others are done all the same */
		phiz_report(e->ctx);
		e->unreadable++;
		return PHIZ_OK;
	}
	status = judge(e, name, &portrait, reason);
	if (!status && *reason)
		leave_out(t, file, reason);
	else if (!status)
		status = add_photo(e, t, file, &portrait);
	phiz_portrait_free(e->ctx, &portrait);
	return status;
}

/* How close the nearest others are, before and after. */
struct effect {
	bool has, other_had;  /* is there anybody else; had the other a nearest one before */
	char other[PHIZ_NAME_MAX_BYTES + 1], others[PHIZ_NAME_MAX_BYTES + 1];
	double similarity;    /* of the person to `other`, the nearest, now */
	double other_before;  /* of `other` to `others`, its nearest without the person */
	double before;        /* of the person to the nearest before; NAN: new or alone */
};

static enum phiz_status nearest(struct enroll *e, const char *name, const char *except, struct phiz_match *m,
                                bool *found)
{
	struct phiz_gallery_info info;
	enum phiz_status status = phiz_gallery_describe(e->gallery, &info);

	*found = false;
	if (status || info.photos == 0 || !phiz_gallery_has(e->gallery, name))
		return status;
	return phiz_gallery_nearest(e->gallery, name, except, m, found);
}

static enum phiz_status measure(struct enroll *e, const char *name, struct effect *f)
{
	struct phiz_match m;
	enum phiz_status status = nearest(e, name, NULL, &m, &f->has);

	if (status || !f->has)
		return status;
	snprintf(f->other, sizeof f->other, "%s", m.name);
	f->similarity = m.similarity;
	status = nearest(e, f->other, name, &m, &f->other_had);
	if (!status && f->other_had) {
		snprintf(f->others, sizeof f->others, "%s", m.name);
		f->other_before = m.similarity;
	}
	return status;
}

/* A person's margin is the threshold less the similarity of the nearest other person. */
static void tell_effect(const struct enroll *e, const char *name, const struct effect *f)
{
	double t = e->threshold;
	bool closer = !f->other_had || f->similarity > f->other_before;

	if (!f->has)
		return;
	if (f->similarity >= t) {
		printf("  harder to tell apart: %s and %s resemble each other by %.2f, and %.2f is enough to be taken for the "
		       "other;", name, f->other, f->similarity, t);
		if (f->other_had && closer)
			printf(" before, the nearest to %s was %s at %.2f (margin %+.2f, now %+.2f);", f->other, f->others,
			       f->other_before, t - f->other_before, t - f->similarity);
		printf(" more and better photos of both help, if they are not one person (phiz gallery merge)\n");
	} else if (closer && f->other_had) {
		printf("  a little closer: nearest is %s at %.2f; before, the nearest to %s was %s at %.2f: margin %.2f, now "
		       "%.2f (threshold "
		       "%.2f)\n", f->other, f->similarity, f->other, f->others, f->other_before, t - f->other_before,
		       t - f->similarity, t);
	} else if (closer) {
		printf("  told apart: nearest is %s at %.2f, margin %.2f (threshold %.2f)\n", f->other, f->similarity,
		       t - f->similarity, t);
	} else {
		printf("  nobody is harder to tell apart: nearest is %s at %.2f, margin %.2f (threshold %.2f)\n", f->other,
		       f->similarity, t - f->similarity, t);
	}
	if (isfinite(f->before) && fabs(f->before - f->similarity) >= 0.005)
		printf("  %s's own nearest was at %.2f before\n", name, f->before);
}

static enum phiz_status print_json(struct enroll *e, const char *name, const struct take *t, int added,
                                   const struct effect *f)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, e->ctx);
	phiz_bytes_text(&b, "{\"name\":");
	phiz_bytes_json(&b, name);
	phiz_bytes_printf(&b, ",\"added\":%d,\"left_out\":[%s],\"threshold\":%.9g,\"nearest\":", added,
	                  t->left_out.data ? t->left_out.data : "", e->threshold);
	if (f->has) {
		phiz_bytes_text(&b, "{\"name\":");
		phiz_bytes_json(&b, f->other);
		phiz_bytes_printf(&b, ",\"similarity\":%.9g,\"margin\":%.9g,\"margin_before\":", f->similarity,
		                  e->threshold - f->similarity);
		if (f->other_had)
			phiz_bytes_printf(&b, "%.9g}", e->threshold - f->other_before);
		else
			phiz_bytes_text(&b, "null}");
	} else {
		phiz_bytes_text(&b, "null");
	}
	phiz_bytes_text(&b, "}");
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
	return status;
}

static enum phiz_status store(struct enroll *e, const char *name, const struct take *t)
{
	struct phiz_person_options o = {.consent = e->s->consent, .keep_days = e->s->keep_days};
	struct effect f = {.before = NAN};
	struct phiz_match m;
	bool found = false;
	int added = 0;
	enum phiz_status status = nearest(e, name, NULL, &m, &found);

	f.before = !status && found ? m.similarity : NAN;
	if (!status)
		status = phiz_gallery_enroll(e->gallery, name, t->photo, (int)t->n, &o, &added);
	if (!status)
		status = measure(e, name, &f);
	if (!status && e->s->json)
		status = print_json(e, name, t, added, &f);
	if (!status && !e->s->json) { /* after the commit: what is printed is in */
		printf("%s: %d photos added%s\n", name, added, added < (int)t->n ? ", the others were there already" : "");
		tell_effect(e, name, &f);
	}
	fflush(stdout);
	return status;
}

static enum phiz_status enroll_person(struct enroll *e, const char *name, const struct phiz_names *files)
{
	struct take t = {.n = 0};
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_init(&t.left_out, e->ctx);
	for (size_t i = 0; i < files->count && !status && !phiz_interrupted; i++)
		status = read_photo(e, &t, name, files->name[i]);
	if (!status && phiz_interrupted) {
		status = phiz_fail(e->ctx, PHIZ_E_CANCELLED, "broken off: those printed are in, %s is not", name);
	} else if (!status && t.n == 0) {
		fprintf(stderr, "phiz: %s: none of %zu photos could be taken\n", name, files->count);
		e->empty++;
	} else if (!status) {
		status = store(e, name, &t);
	}
	for (size_t i = 0; i < t.n; i++)
		phiz_free(e->ctx, (void *)(uintptr_t)t.photo[i].embedding);
	phiz_free(e->ctx, t.photo);
	phiz_names_free(e->ctx, &t.files);
	phiz_bytes_free(&t.left_out);
	return status;
}

static enum phiz_status enroll_folders(struct enroll *e, const char *dir)
{
	struct phiz_names people = {0};
	size_t folders = 0;
	enum phiz_status status = phiz_dir_list(e->ctx, dir, &people);

	for (size_t i = 0; i < people.count && !status; i++) {
		struct phiz_names files = {0};
		char *path = phiz_path_join(e->ctx, dir, people.name[i]);
		if (!path) {
			status = PHIZ_E_NOMEM;
		} else if (phiz_path_is_dir(path) && people.name[i][0] != '.' && people.name[i][0] != '_') {
			folders++;
			status = phiz_photo_paths_add(e->ctx, path, 0, &files);
			if (!status)
				status = enroll_person(e, people.name[i], &files);
		}
		phiz_names_free(e->ctx, &files);
		phiz_free(e->ctx, path);
	}
	if (!status && folders == 0)
		status = phiz_fail(e->ctx, PHIZ_E_ARG, "%s: holds no folders, one for each person", dir);
	phiz_names_free(e->ctx, &people);
	return status;
}

static enum phiz_status enroll_one(struct enroll *e, int n_args, char **args)
{
	struct phiz_names files = {0};
	enum phiz_status status = PHIZ_OK;

	for (int i = 1; i < n_args && !status; i++)
		status = phiz_photo_paths_add(e->ctx, args[i], 0, &files);
	if (!status)
		status = enroll_person(e, args[0], &files);
	phiz_names_free(e->ctx, &files);
	return status;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args);

static const struct settings defaults = {.threshold = PHIZ_NO_THRESHOLD, .min_quality = 0.15};

const struct phiz_verb phiz_verb_enroll = {
	"enroll", "add a person to the gallery, by photos", "NAME PHOTO|DIR... | DIR --people [--gallery FILE]",
	"Finds the face in each photo, embeds it, and keeps the embedding (not the photo)\n"
	"under NAME; more photos may be added later. With --people, DIR holds a folder for\n"
	"each person. Each person is added whole or not at all, and printed once that is on\n"
	"disk. Left out, with the reason: photos without a face or with several, of low\n"
	"quality, or of a face that looks like somebody else who is there.\n\n"
	"Then it tells whether anyone got harder to tell apart: the nearest other person, and\n"
	"the margin (the threshold less their similarity) before and after.\n\n"
	"The gallery is an SQLite file that is made where there is none. It is bound to the\n"
	"model that made its embeddings. Faces are biometric data: --encrypt keeps the\n"
	"embeddings under a key, --consent and --keep-days say what was agreed on, and\n"
	"phiz gallery remove NAME --erase leaves no byte of them.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 1, -1, run,
};

/* Where a network is missing, no empty gallery is left behind. */
static enum phiz_status open_all(struct enroll *e)
{
	const struct settings *s = e->s;
	enum phiz_status status = PHIZ_OK;

	if (!phiz_path_is_file(phiz_gallery_place(&s->gallery))) {
		status = phiz_face_args_open(e->ctx, &s->face, NULL, &e->nets);
		phiz_face_nets_close(e->ctx, &e->nets);
	}
	if (!status)
		status = phiz_gallery_args_open(e->ctx, &s->gallery, true, &e->gallery);
	if (!status)
		status = phiz_face_args_open(e->ctx, &s->face, e->gallery, &e->nets);
	return status ? status : phiz_similarity_threshold(s->threshold, e->gallery,
	                                                   phiz_recognizer_model(e->nets.recognizer), &e->threshold);
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct enroll e = {.ctx = ctx, .s = s};

	if (s->people && n_args != 1)
		return phiz_usage(&phiz_verb_enroll, "--people wants one folder that holds the people's folders");
	if (!s->people && n_args < 2)
		return phiz_usage(&phiz_verb_enroll, "want a name and photos");
	if (!s->people && phiz_path_is_dir(args[0]) && n_args == 1)
		return phiz_usage(&phiz_verb_enroll, "%s is a folder: --people takes its folders as people", args[0]);
	enum phiz_status status = open_all(&e);
	if (!status)
		status = s->people ? enroll_folders(&e, args[0]) : enroll_one(&e, n_args, args);
	if (status)
		phiz_report(ctx);
	phiz_face_nets_close(ctx, &e.nets);
	phiz_gallery_free(&e.gallery);
	return status || e.unreadable || e.empty ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}
