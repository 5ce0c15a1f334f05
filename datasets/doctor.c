/* Faults of single photos and of numbers; puts the findings in order. */
#include "datasets/doctor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "datasets/doctor_internal.h"
#include "datasets/names.h"

void phiz_doctor_defaults(struct phiz_doctor_limits *limits)
{
	*limits = (struct phiz_doctor_limits){
		.eyes = 12, .crop_side = 40, .second = 0.5, .score = 0.6, .sharpness = 12, .mean_low = 0.12, .mean_high = 0.85,
		.dark = 0.5, .bright = 0.35, .yaw = 55, .pitch = 45, .roll = 50, .few = 5, .imbalance = 4,
		.similar = {-1, -1}, .certainty = 3.1,
	};
	for (int i = 0; i < PHIZ_N_FAULTS; i++)
		limits->look_for[i] = true;
}

void phiz_checkup_free(struct phiz_ctx *ctx, struct phiz_checkup *c)
{
	for (size_t i = 0; i < c->count; i++) {
		phiz_free(ctx, c->photo[i].path);
		phiz_free(ctx, c->photo[i].trouble);
	}
	phiz_free(ctx, c->photo);
	phiz_free(ctx, c->hash);
	phiz_free(ctx, c->embedding);
	phiz_names_free(ctx, &c->people);
	memset(c, 0, sizeof(*c));
}

void phiz_findings_free(struct phiz_ctx *ctx, struct phiz_findings *f)
{
	phiz_free(ctx, f->finding);
	memset(f, 0, sizeof(*f));
}

enum phiz_status phiz_doctor_add(struct doctor *d, struct phiz_finding finding)
{
	struct phiz_findings *f = d->out;

	if (!d->limits->look_for[finding.fault])
		return PHIZ_OK;
	if (finding.photo < 0 || d->gone[finding.photo])
		finding.move = false;
	if (phiz_grow(d->ctx, &f->finding, &f->capacity, f->count + 1, sizeof(*f->finding)))
		return PHIZ_E_NOMEM;
	if (finding.move)
		d->gone[finding.photo] = true;
	f->finding[f->count++] = finding;
	f->of_fault[finding.fault]++;
	return PHIZ_OK;
}

struct phiz_finding phiz_doctor_of_photo(const struct doctor *d, enum phiz_fault fault, size_t photo)
{
	return (struct phiz_finding){.fault = fault, .photo = (int64_t)photo, .other = -1,
	                             .person = d->c->photo[photo].person, .other_person = -1};
}

/* --- One photo. --- */

static enum phiz_status add_measured(struct doctor *d, enum phiz_fault fault, size_t i, int detail, double value,
                                     double limit, bool move)
{
	struct phiz_finding f = phiz_doctor_of_photo(d, fault, i);

	f.detail = detail;
	f.value = value;
	f.limit = limit;
	f.move = move;
	d->faulty[i] = true;
	return phiz_doctor_add(d, f);
}

static enum phiz_status judge_exposure(struct doctor *d, size_t i, const struct phiz_quality *q)
{
	const struct phiz_doctor_limits *l = d->limits;

	if (q->mean < l->mean_low)
		return add_measured(d, PHIZ_FAULT_DARK, i, 0, q->mean, l->mean_low, true);
	if (q->dark > l->dark)
		return add_measured(d, PHIZ_FAULT_DARK, i, 1, q->dark, l->dark, true);
	if (q->mean > l->mean_high)
		return add_measured(d, PHIZ_FAULT_BURNT_OUT, i, 0, q->mean, l->mean_high, true);
	if (q->bright > l->bright)
		return add_measured(d, PHIZ_FAULT_BURNT_OUT, i, 1, q->bright, l->bright, true);
	return PHIZ_OK;
}

static enum phiz_status judge_pose(struct doctor *d, size_t i, const struct phiz_quality *q)
{
	const struct phiz_doctor_limits *l = d->limits;

	if (fabs(q->yaw) > l->yaw)
		return add_measured(d, PHIZ_FAULT_POSE, i, 0, q->yaw, l->yaw, true);
	if (fabs(q->pitch) > l->pitch)
		return add_measured(d, PHIZ_FAULT_POSE, i, 1, q->pitch, l->pitch, true);
	if (fabs(q->roll) > l->roll)
		return add_measured(d, PHIZ_FAULT_POSE, i, 2, q->roll, l->roll, true);
	return PHIZ_OK;
}

static enum phiz_status judge_face(struct doctor *d, size_t i)
{
	const struct phiz_photo *p = &d->c->photo[i];
	const struct phiz_doctor_limits *l = d->limits;
	int side = p->width < p->height ? p->width : p->height;
	enum phiz_status status = PHIZ_OK;

	if (p->looked && p->faces == 0)
		return add_measured(d, PHIZ_FAULT_NO_FACE, i, 0, 0, l->score, true);
	if (p->looked && p->faces > 1 && p->second >= (float)l->second)
		status = add_measured(d, PHIZ_FAULT_SEVERAL_FACES, i, p->faces, (double)p->second, l->second, false);
	if (!status && !p->looked && d->c->crops && side < l->crop_side)
		status = add_measured(d, PHIZ_FAULT_SMALL, i, 1, side, l->crop_side, true);
	if (status || !p->measured)
		return status;
	if (p->looked && p->quality.eyes < l->eyes)
		status = add_measured(d, PHIZ_FAULT_SMALL, i, 0, p->quality.eyes, l->eyes, true);
	if (!status && p->looked)
		status = judge_pose(d, i, &p->quality);
	if (!status)
		status = judge_exposure(d, i, &p->quality);
	/* A dark face has no edges either, and the one says more. */
	if (!status && p->quality.sharpness < l->sharpness && p->quality.mean >= l->mean_low &&
	    p->quality.mean <= l->mean_high)
		status = add_measured(d, PHIZ_FAULT_BLURRED, i, 0, p->quality.sharpness, l->sharpness, true);
	return status;
}

static enum phiz_status judge_file(struct doctor *d, size_t i)
{
	const struct phiz_photo *p = &d->c->photo[i];
	struct phiz_finding f;

	if (p->kind == PHIZ_FILE_OTHER) {
		f = phiz_doctor_of_photo(d, PHIZ_FAULT_NO_PICTURE, i);
		f.detail = (int)p->format;
		f.move = p->format == PHIZ_IMAGE_UNKNOWN;
		return phiz_doctor_add(d, f);
	}
	if (p->kind != PHIZ_FILE_PHOTO) {
		f = phiz_doctor_of_photo(d, PHIZ_FAULT_MISPLACED, i);
		f.detail = p->kind == PHIZ_FILE_FOLDER;
		return phiz_doctor_add(d, f);
	}
	if (!p->readable) {
		f = phiz_doctor_of_photo(d, PHIZ_FAULT_UNREADABLE, i);
		f.move = true;
		d->faulty[i] = true;
		return phiz_doctor_add(d, f);
	}
	return judge_face(d, i);
}

/* --- Names. --- */

struct named {
	const char *name, *folder;
	size_t folder_length;
	int64_t photo; /* -1: a person's folder */
	int person;
};

static int compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	size_t n = x->folder_length < y->folder_length ? x->folder_length : y->folder_length;
	int c = memcmp(x->folder, y->folder, n);

	if (c || x->folder_length != y->folder_length)
		return c ? c : x->folder_length < y->folder_length ? -1 : 1;
	c = phiz_name_compare_folded(x->name, y->name);
	return c ? c : strcmp(x->name, y->name);
}

static bool same_but_case(const struct named *x, const struct named *y)
{
	return x->folder_length == y->folder_length && memcmp(x->folder, y->folder, x->folder_length) == 0 &&
	       strcmp(x->name, y->name) != 0 && phiz_name_compare_folded(x->name, y->name) == 0;
}

static enum phiz_status judge_names(struct doctor *d)
{
	const struct phiz_checkup *c = d->c;
	struct named *named = phiz_alloc(d->ctx, c->count + c->people.count, sizeof(*named));
	enum phiz_status status = named ? PHIZ_OK : PHIZ_E_NOMEM;
	size_t n = 0;

	for (size_t i = 0; !status && i < c->count; i++) {
		const char *path = c->photo[i].path, *base = phiz_path_base(path);
		named[n++] = (struct named){base, path, (size_t)(base - path), (int64_t)i, c->photo[i].person};
	}
	for (size_t p = 0; !status && p < c->people.count; p++)
		named[n++] = (struct named){c->people.name[p], "", 0, -1, (int)p};
	if (!status && n)
		qsort(named, n, sizeof(*named), compare_named);
	for (size_t i = 0; !status && i < n; i++) {
		unsigned oddities = phiz_name_oddities(named[i].name);

		if ((i > 0 && same_but_case(&named[i - 1], &named[i])) ||
		    (i + 1 < n && same_but_case(&named[i], &named[i + 1])))
			oddities |= PHIZ_NAME_CASE;
		if (!oddities)
			continue;
		struct phiz_finding f = {.fault = PHIZ_FAULT_ODD_NAME, .photo = named[i].photo, .other = -1,
		                         .person = named[i].person, .other_person = -1, .detail = (int)oddities};
		/* What phiz cannot read is out of the set anyhow. */
		f.move = named[i].photo >= 0 && c->photo[named[i].photo].kind == PHIZ_FILE_PHOTO &&
		         oddities & PHIZ_NAME_NOT_UTF8;
		f.value = oddities & PHIZ_NAME_LONG ? (double)strlen(named[i].name) : 0;
		f.limit = oddities & PHIZ_NAME_LONG ? PHIZ_NAME_MAX : 0;
		status = phiz_doctor_add(d, f);
	}
	phiz_free(d->ctx, named);
	return status;
}

/* --- Numbers. --- */

static int compare_sizes(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static enum phiz_status judge_numbers(struct doctor *d)
{
	size_t people = d->c->people.count;
	size_t *photos = phiz_calloc(d->ctx, people, sizeof(*photos));
	size_t *sorted = phiz_alloc(d->ctx, people, sizeof(*sorted));
	enum phiz_status status = photos && sorted ? PHIZ_OK : PHIZ_E_NOMEM;
	double median = 0;

	for (size_t i = 0; !status && i < d->c->count; i++) {
		const struct phiz_photo *p = &d->c->photo[i];
		if (p->kind == PHIZ_FILE_PHOTO && p->readable && p->person >= 0)
			photos[p->person]++;
	}
	if (!status && people) {
		memcpy(sorted, photos, people * sizeof(*photos));
		qsort(sorted, people, sizeof(*sorted), compare_sizes);
		median = ((double)sorted[people / 2] + (double)sorted[(people - 1) / 2]) / 2;
	}
	for (size_t p = 0; !status && p < people; p++) {
		double n = (double)photos[p];
		struct phiz_finding f = {.fault = PHIZ_FAULT_FEW, .photo = -1, .other = -1, .person = (int)p,
		                         .other_person = -1, .value = n, .limit = d->limits->few};

		if (n < d->limits->few) {
			status = phiz_doctor_add(d, f);
		} else if (people >= 3 && (n > d->limits->imbalance * median || n * d->limits->imbalance < median)) {
			f.fault = PHIZ_FAULT_IMBALANCE;
			f.limit = median;
			f.detail = n > median;
			status = phiz_doctor_add(d, f);
		}
	}
	phiz_free(d->ctx, photos);
	phiz_free(d->ctx, sorted);
	return status;
}

/* --- All. --- */

/* How far beyond its limit: for the order within a fault. */
static double badness(const struct phiz_finding *f)
{
	return fabs(f->value - f->limit);
}

static int compare_findings(const void *a, const void *b)
{
	const struct phiz_finding *x = a, *y = b;
	double p = badness(x), q = badness(y);

	if (x->fault != y->fault)
		return x->fault < y->fault ? -1 : 1;
	if (p > q || p < q)
		return p > q ? -1 : 1;
	if (x->photo != y->photo)
		return x->photo < y->photo ? -1 : 1;
	if (x->person != y->person)
		return x->person < y->person ? -1 : 1;
	if (x->other_person != y->other_person)
		return x->other_person < y->other_person ? -1 : 1;
	return (x->other > y->other) - (x->other < y->other);
}

enum phiz_status phiz_doctor_run(struct phiz_ctx *ctx, const struct phiz_checkup *checkup,
                                 const struct phiz_doctor_limits *limits, struct phiz_findings *out)
{
	struct doctor d = {.ctx = ctx, .c = checkup, .limits = limits, .out = out};
	enum phiz_status status = PHIZ_E_NOMEM;

	memset(out, 0, sizeof(*out));
	d.faulty = phiz_calloc(ctx, checkup->count, sizeof(*d.faulty));
	d.gone = phiz_calloc(ctx, checkup->count, sizeof(*d.gone));
	if (d.faulty && d.gone)
		status = PHIZ_OK;
	for (size_t i = 0; !status && i < checkup->count; i++)
		status = judge_file(&d, i);
	if (!status)
		status = judge_names(&d);
	if (!status)
		status = judge_numbers(&d);
	if (!status)
		status = phiz_doctor_people(&d);
	if (!status)
		status = phiz_doctor_copies(&d);
	if (!status && out->count)
		qsort(out->finding, out->count, sizeof(*out->finding), compare_findings);
	phiz_free(ctx, d.faulty);
	phiz_free(ctx, d.gone);
	if (status)
		phiz_findings_free(ctx, out);
	return status;
}
