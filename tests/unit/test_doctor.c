/* The doctor on made-up records: a clean set gives nothing, each planted fault is found and nothing else. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "datasets/checkup_file.h"

enum { PEOPLE = 8, PHOTOS = 12, DIM = 64, MAX = PEOPLE * PHOTOS + 40 };

struct set {
	struct phiz_ctx *ctx;
	struct phiz_checkup c;
	struct phiz_doctor_limits limits;
	struct phiz_findings found;
	float who[PEOPLE + 4][DIM]; /* what people look like; the last four are in no folder */
	struct phiz_rng rng;
};

static void normalise(float *v)
{
	double sum = 0;

	for (int i = 0; i < DIM; i++)
		sum += (double)v[i] * (double)v[i];
	for (int i = 0; i < DIM; i++)
		v[i] = (float)((double)v[i] / sqrt(sum));
}

/* A photo of somebody: their direction with so much noise that two photos of them have a cosine of 0.6 on average. */
static void embed(struct set *s, size_t photo, int who)
{
	float *v = s->c.embedding + photo * DIM;

	for (int i = 0; i < DIM; i++)
		v[i] = (float)((double)s->who[who][i] + 0.8 * phiz_rng_normal(&s->rng) / sqrt(DIM));
	normalise(v);
	s->c.photo[photo].embedded = true;
}

static size_t add_photo(struct set *s, int person, const char *path)
{
	size_t i = s->c.count++;
	struct phiz_photo *p = &s->c.photo[i];

	assert_true(i < MAX);
	*p = (struct phiz_photo){.person = person, .readable = true, .width = 400, .height = 500, .looked = true,
	                         .faces = 1, .measured = true, .bytes = 50000 + (int64_t)i, .part = PHIZ_PART_TRAIN};
	p->path = phiz_strdup(s->ctx, path);
	p->face = (struct phiz_face){.box = {100, 100, 200, 250}, .score = 0.95f};
	p->quality = (struct phiz_quality){.sharpness = 400, .mean = 0.5, .contrast = 0.2, .eyes = 90, .overall = 0.9};
	p->digest[0] = (unsigned char)i;
	p->digest[1] = (unsigned char)(i >> 8);
	s->c.hash[i].valid = true;
	for (int k = 0; k < 4; k++)
		s->c.hash[i].bit[k] = (uint64_t)phiz_rng_u32(&s->rng) << 32 | phiz_rng_u32(&s->rng);
	for (int k = 0; k < PHIZ_PHASH_BITS; k++)
		s->c.hash[i].step[k] = s->c.hash[i].bit[k / 64] >> k % 64 & 1 ? 20 : -20;
	embed(s, i, person < 0 ? PEOPLE : person);
	return i;
}

static void open_set(struct set *s, int people, int photos)
{
	char path[64];

	memset(s, 0, sizeof(*s));
	s->ctx = test_ctx(2);
	phiz_rng_init(&s->rng, 7, 0, 0, PHIZ_STREAM_TEST);
	for (int p = 0; p < PEOPLE + 4; p++) {
		for (int i = 0; i < DIM; i++)
			s->who[p][i] = (float)phiz_rng_normal(&s->rng);
		normalise(s->who[p]);
	}
	s->c.photo = phiz_calloc(s->ctx, MAX, sizeof(*s->c.photo));
	s->c.hash = phiz_calloc(s->ctx, MAX, sizeof(*s->c.hash));
	s->c.embedding = phiz_calloc(s->ctx, MAX, DIM * sizeof(float));
	assert_true(s->c.photo && s->c.hash && s->c.embedding);
	s->c.dim = DIM;
	s->c.threshold = NAN;
	for (int p = 0; p < people; p++) {
		snprintf(path, sizeof(path), "person%d", p);
		assert_ok(s->ctx, phiz_names_add(s->ctx, &s->c.people, path));
		for (int i = 0; i < photos; i++) {
			snprintf(path, sizeof(path), "person%d/%c%02d.jpg", p, 'a' + i, 7 * i);
			add_photo(s, p, path);
		}
	}
	phiz_doctor_defaults(&s->limits);
}

static void close_set(struct set *s)
{
	phiz_findings_free(s->ctx, &s->found);
	phiz_checkup_free(s->ctx, &s->c);
	test_ctx_done(&s->ctx);
}

static void judge(struct set *s)
{
	phiz_findings_free(s->ctx, &s->found);
	assert_ok(s->ctx, phiz_doctor_run(s->ctx, &s->c, &s->limits, &s->found));
	for (size_t i = 0; i < s->found.count; i++) {
		struct phiz_bytes b;

		phiz_bytes_init(&b, s->ctx);
		phiz_finding_reason(&s->c, &s->found.finding[i], &b);
		assert_ok(s->ctx, phiz_bytes_status(&b));
		assert_true(b.size > 5 && !strchr(b.data, '\n'));
		assert_true(strlen(phiz_finding_advice(&s->c, &s->found.finding[i])) > 5);
		print_message("  %s: %s\n", phiz_fault_name(s->found.finding[i].fault), b.data);
		phiz_bytes_free(&b);
	}
}

/* There is one finding, of this fault, about this photo. */
static const struct phiz_finding *only(struct set *s, enum phiz_fault fault, int64_t photo, bool move)
{
	judge(s);
	if (s->found.count != 1 || s->found.finding[0].fault != fault)
		fail_msg("want one finding of %s, got %zu, the first %s", phiz_fault_name(fault), s->found.count,
		         s->found.count ? phiz_fault_name(s->found.finding[0].fault) : "none");
	assert_int_equal(s->found.of_fault[fault], 1);
	assert_int_equal(s->found.finding[0].photo, photo);
	assert_int_equal(s->found.finding[0].move, move);
	return &s->found.finding[0];
}

static void test_clean(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	judge(&s);
	assert_int_equal(s.found.count, 0);
	assert_true(fabs(s.found.stranger_mean) < 0.05 && s.found.same > 0.2 && s.found.same < 0.5);
	close_set(&s);
}

static void test_quality(void **state)
{
	enum { AT = 20 };
	struct phiz_photo kept;
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	struct phiz_photo *p = &s.c.photo[AT];
	kept = *p;
	p->readable = p->embedded = p->measured = p->looked = s.c.hash[AT].valid = false;
	p->trouble = phiz_strdup(s.ctx, "is cut off");
	only(&s, PHIZ_FAULT_UNREADABLE, AT, true);
	phiz_free(s.ctx, p->trouble);
	s.c.hash[AT].valid = true;
	*p = kept;
	p->faces = 0;
	p->measured = p->embedded = false;
	only(&s, PHIZ_FAULT_NO_FACE, AT, true);
	*p = kept;
	p->faces = 2;
	p->second = 0.3f;
	judge(&s);
	assert_int_equal(s.found.count, 0); /* somebody in the background */
	p->second = 0.8f;
	only(&s, PHIZ_FAULT_SEVERAL_FACES, AT, false);
	*p = kept;
	p->quality.eyes = 9;
	only(&s, PHIZ_FAULT_SMALL, AT, true);
	*p = kept;
	p->quality.sharpness = 4;
	only(&s, PHIZ_FAULT_BLURRED, AT, true);
	*p = kept;
	p->quality.mean = 0.05;
	p->quality.sharpness = 4; /* told once */
	only(&s, PHIZ_FAULT_DARK, AT, true);
	*p = kept;
	p->quality.dark = 0.9;
	only(&s, PHIZ_FAULT_DARK, AT, true);
	*p = kept;
	p->quality.bright = 0.9;
	only(&s, PHIZ_FAULT_BURNT_OUT, AT, true);
	*p = kept;
	p->quality.yaw = -80;
	only(&s, PHIZ_FAULT_POSE, AT, true);
	*p = kept;
	s.limits.look_for[PHIZ_FAULT_POSE] = false;
	p->quality.yaw = -80;
	judge(&s);
	assert_int_equal(s.found.count, 0);
	close_set(&s);
}

static void test_files(void **state)
{
	size_t i;
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	i = add_photo(&s, 0, "person0/notes.txt");
	s.c.photo[i].kind = PHIZ_FILE_OTHER;
	s.c.photo[i].readable = s.c.photo[i].embedded = s.c.hash[i].valid = false;
	only(&s, PHIZ_FAULT_NO_PICTURE, (int64_t)i, true);
	s.c.photo[i].format = PHIZ_IMAGE_WEBP;
	only(&s, PHIZ_FAULT_NO_PICTURE, (int64_t)i, false);
	s.c.photo[i].kind = PHIZ_FILE_FOLDER;
	only(&s, PHIZ_FAULT_MISPLACED, (int64_t)i, false);
	s.c.photo[i].kind = PHIZ_FILE_LOOSE;
	s.c.photo[i].person = -1;
	only(&s, PHIZ_FAULT_MISPLACED, (int64_t)i, false);
	close_set(&s);
	open_set(&s, PEOPLE, PHOTOS);
	i = add_photo(&s, 0, "person0/x\ty.jpg");
	only(&s, PHIZ_FAULT_ODD_NAME, (int64_t)i, false);
	phiz_free(s.ctx, s.c.photo[i].path);
	s.c.photo[i].path = phiz_strdup(s.ctx, "person0/caf\xe9.jpg");
	only(&s, PHIZ_FAULT_ODD_NAME, (int64_t)i, true);
	phiz_free(s.ctx, s.c.photo[i].path);
	s.c.photo[i].path = phiz_strdup(s.ctx, "person0/A00.JPG");
	judge(&s); /* both of them */
	assert_int_equal(s.found.count, 2);
	assert_int_equal(s.found.of_fault[PHIZ_FAULT_ODD_NAME], 2);
	close_set(&s);
}

/* Makes photo b show what photo a shows, with so many bits of the hash changed. */
static void resemble(struct set *s, size_t a, size_t b, int bits)
{
	s->c.hash[b] = s->c.hash[a];
	for (int k = 0; k < bits; k++) {
		s->c.hash[b].bit[k % 4] ^= (uint64_t)1 << (5 * k % 64);
		s->c.hash[b].step[k % 4 * 64 + 5 * k % 64] = (int8_t)-s->c.hash[b].step[k % 4 * 64 + 5 * k % 64];
	}
}

static void test_copies(void **state)
{
	const struct phiz_finding *f;
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	resemble(&s, 5, 3, 0);
	memcpy(s.c.photo[3].digest, s.c.photo[5].digest, 32);
	s.c.photo[3].bytes = s.c.photo[5].bytes;
	f = only(&s, PHIZ_FAULT_COPY, 5, true); /* the first of equals is kept */
	assert_int_equal(f->other, 3);
	s.c.photo[3].digest[31] = 1;
	s.c.photo[3].width = 200; /* a smaller version */
	resemble(&s, 5, 3, 6);
	f = only(&s, PHIZ_FAULT_NEAR_DUPLICATE, 3, true);
	assert_int_equal(f->other, 5);
	assert_true(f->value > 5.9 && f->value < 6.1);
	resemble(&s, 5, 3, 40);
	judge(&s);
	assert_int_equal(s.found.count, 0);
	/* In another person's folder; who it is decides the embedding, here it is person 0 in both. */
	resemble(&s, 5, PHOTOS + 2, 2);
	s.limits.look_for[PHIZ_FAULT_WRONG_PERSON] = false;
	f = only(&s, PHIZ_FAULT_TWO_NAMES, 5, false);
	assert_int_equal(f->other_person, 1);
	close_set(&s);
}

static void test_leaks(void **state)
{
	const struct phiz_finding *f;
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	s.c.split = true;
	for (size_t i = 0; i < s.c.count; i++)
		s.c.photo[i].part = i % 4 == 0 ? PHIZ_PART_VAL : PHIZ_PART_TRAIN;
	judge(&s);
	assert_int_equal(s.found.count, 0);
	resemble(&s, 1, 4, 7);
	f = only(&s, PHIZ_FAULT_LEAK, 1, true); /* the one to train on goes */
	assert_int_equal(f->other, 4);
	resemble(&s, 1, 4, 80);
	/* A burst: neighbours in a sequence, many bits but little contrast the other way. */
	for (size_t i = 2; i <= 4; i += 2) {
		phiz_free(s.ctx, s.c.photo[i].path);
		s.c.photo[i].path = phiz_asprintf(s.ctx, "person0/IMG_%04zu.jpg", 10 + i / 2);
	}
	resemble(&s, 2, 4, 18);
	f = only(&s, PHIZ_FAULT_LEAK, 2, true);
	assert_true(f->detail & 2);
	s.c.photo[4].part = PHIZ_PART_TRAIN;
	judge(&s);
	assert_int_equal(s.found.count, 0);
	close_set(&s);
}

static void test_numbers(void **state)
{
	char path[64];
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, 5);
	s.limits.few = 6;
	judge(&s);
	assert_int_equal(s.found.of_fault[PHIZ_FAULT_FEW], PEOPLE);
	s.limits.few = 3;
	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "person2/more%c.jpg", 'a' + i);
		add_photo(&s, 2, path);
	}
	const struct phiz_finding *f = only(&s, PHIZ_FAULT_IMBALANCE, -1, false);
	assert_int_equal(f->person, 2);
	assert_true(f->value > 20.5 && f->value < 21.5 && f->limit > 4.9 && f->limit < 5.1);
	close_set(&s);
}

static void test_wrong_person(void **state)
{
	const struct phiz_finding *f;
	struct set s;

	(void)state;
	for (int photos = 3; photos <= PHOTOS; photos += 3) {
		open_set(&s, PEOPLE, photos);
		s.limits.few = 2;
		embed(&s, 1, 5); /* person 5 in the folder of person 0 */
		f = only(&s, PHIZ_FAULT_WRONG_PERSON, 1, true);
		assert_int_equal(f->other_person, 5);
		assert_int_equal(s.c.photo[f->other].person, 5);
		if (photos >= 6) {
			embed(&s, 1, PEOPLE + 1); /* somebody without a folder */
			f = only(&s, PHIZ_FAULT_WRONG_PERSON, 1, true);
			assert_int_equal(f->other_person, -1);
			/* Two that were swapped. */
			embed(&s, 1, 2);
			embed(&s, (size_t)(2 * photos + 1), 0);
			judge(&s);
			assert_int_equal(s.found.count, 2);
			assert_int_equal(s.found.of_fault[PHIZ_FAULT_WRONG_PERSON], 2);
		}
		close_set(&s);
	}
}

static void test_mixed_folder(void **state)
{
	const struct phiz_finding *f;
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	for (size_t i = 0; i < 5; i++)
		embed(&s, 2 * i, PEOPLE + 2);
	judge(&s);
	assert_int_equal(s.found.count, 1);
	f = &s.found.finding[0];
	assert_int_equal(f->fault, PHIZ_FAULT_MIXED_FOLDER);
	assert_true(f->person == 0 && f->photo % 2 == 1 && f->other % 2 == 0 && !f->move);
	/* Of somebody who has a folder: photos in the wrong place. */
	for (size_t i = 0; i < 5; i++)
		embed(&s, 2 * i, 4);
	judge(&s);
	assert_int_equal(s.found.count, 5);
	assert_int_equal(s.found.of_fault[PHIZ_FAULT_WRONG_PERSON], 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(s.found.finding[i].other_person, 4);
	close_set(&s);
}

static void test_same_person(void **state)
{
	const struct phiz_finding *f;
	struct set s;

	(void)state;
	for (int photos = 1; photos <= PHOTOS; photos += 5) {
		open_set(&s, PEOPLE, PHOTOS);
		s.limits.few = 0;
		s.limits.imbalance = 1000;
		for (size_t i = 6 * PHOTOS; i < 7 * PHOTOS; i++) {
			embed(&s, i, 3);
			s.c.photo[i].embedded = i < 6 * PHOTOS + (size_t)photos;
		}
		judge(&s);
		assert_int_equal(s.found.count, 1);
		f = &s.found.finding[0];
		assert_int_equal(f->fault, PHIZ_FAULT_SAME_PERSON);
		assert_true(f->person == 3 && f->other_person == 6);
		assert_true(s.c.photo[f->photo].person == 3 && s.c.photo[f->other].person == 6);
		close_set(&s);
	}
}

/* An embedder that finds everybody alike: no verdict instead of a hundred wrong ones. */
static void test_alike(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	for (size_t i = 0; i < s.c.count; i++) {
		for (int k = 0; k < DIM; k++)
			s.c.embedding[i * DIM + (size_t)k] = (float)(phiz_rng_normal(&s.rng) + (k == 0 ? 4 : 0));
		normalise(s.c.embedding + i * DIM);
	}
	judge(&s);
	assert_int_equal(s.found.count, 0);
	assert_true(s.found.alike);
	close_set(&s);
}

static void test_threads(void **state)
{
	struct phiz_findings one, four;
	struct phiz_ctx *ctx = test_ctx(4);
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	for (size_t i = 0; i < 6; i++)
		embed(&s, 13 * i, (int)(i + 1) % PEOPLE);
	assert_ok(s.ctx, phiz_doctor_run(s.ctx, &s.c, &s.limits, &one));
	assert_ok(ctx, phiz_doctor_run(ctx, &s.c, &s.limits, &four));
	assert_true(one.count == four.count && one.count >= 5);
	assert_memory_equal(one.finding, four.finding, one.count * sizeof(*one.finding));
	phiz_findings_free(s.ctx, &one);
	phiz_findings_free(ctx, &four);
	close_set(&s);
	test_ctx_done(&ctx);
}

static void test_kept_measurements(void **state)
{
	char key[65], other[65];
	struct phiz_checkup back;
	struct phiz_bytes b;
	struct set s;

	(void)state;
	open_set(&s, PEOPLE, PHOTOS);
	memset(key, 'a', 64);
	memset(other, 'b', 64);
	s.c.photo[7].readable = false;
	s.c.photo[7].trouble = phiz_strdup(s.ctx, "is cut off");
	s.c.photo[8].embedded = s.c.hash[8].valid = false;
	phiz_bytes_init(&b, s.ctx);
	phiz_checkup_format(&s.c, NULL, key, &b);
	assert_fails(s.ctx, PHIZ_E_NOTFOUND, phiz_checkup_parse(s.ctx, b.data, b.size, "cache", other, &back));
	assert_ok(s.ctx, phiz_checkup_parse(s.ctx, b.data, b.size, "cache", key, &back));
	assert_int_equal(back.count, s.c.count);
	for (size_t i = 0; i < s.c.count; i++) {
		const struct phiz_photo *p = phiz_checkup_find(&back, s.c.photo[i].path, s.c.photo[i].bytes, 0);
		size_t k = (size_t)(p - back.photo);

		assert_non_null(p);
		assert_null(phiz_checkup_find(&back, s.c.photo[i].path, s.c.photo[i].bytes, 1));
		assert_memory_equal(&p->quality, &s.c.photo[i].quality, sizeof(p->quality));
		assert_memory_equal(&p->face, &s.c.photo[i].face, sizeof(p->face));
		assert_memory_equal(p->digest, s.c.photo[i].digest, 32);
		assert_int_equal(p->readable, i != 7);
		assert_int_equal(p->embedded, i != 8);
		assert_int_equal(back.hash[k].valid, i != 8);
		if (i != 8) {
			assert_memory_equal(&back.hash[k], &s.c.hash[i], sizeof(back.hash[k]));
			assert_memory_equal(back.embedding + k * DIM, s.c.embedding + i * DIM, DIM * sizeof(float));
		}
	}
	phiz_checkup_free(s.ctx, &back);
	for (size_t n = 0; n < b.size; n += 997) /* cut anywhere, or a bit turned */
		assert_fails(s.ctx, PHIZ_E_FORMAT, phiz_checkup_parse(s.ctx, b.data, n, "cache", key, &back));
	b.data[b.size / 2] ^= 4;
	assert_fails(s.ctx, PHIZ_E_FORMAT, phiz_checkup_parse(s.ctx, b.data, b.size, "cache", key, &back));
	phiz_bytes_free(&b);
	close_set(&s);
}

static enum phiz_status run_small(struct phiz_ctx *ctx, void *user)
{
	struct set *s = user;
	struct phiz_findings f;
	enum phiz_status status = phiz_doctor_run(ctx, &s->c, &s->limits, &f);

	phiz_findings_free(ctx, &f);
	return status;
}

static void test_out_of_memory(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 4, 6);
	resemble(&s, 1, 2, 3);
	resemble(&s, 1, 9, 3);
	embed(&s, 4, 2);
	test_every_oom(s.ctx, run_small, &s);
	close_set(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),       cmocka_unit_test(test_quality),      cmocka_unit_test(test_files),
		cmocka_unit_test(test_copies),      cmocka_unit_test(test_leaks),        cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_wrong_person), cmocka_unit_test(test_mixed_folder), cmocka_unit_test(test_same_person),
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_threads),     cmocka_unit_test(test_kept_measurements),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
