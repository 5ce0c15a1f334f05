/* label: full
 * phiz data extract, from outside, on sample people with the truth as the list of faces: a crop per photo and landmarks
 * where the template has them, several faces in a photo told apart by an embedder and without one, photos that are no
 * photos, a run that is killed and taken up again, options that changed, and a video that the test makes itself. */
#include "support/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <phiz/align.h>
#include <phiz/model.h>

#include "core/base/file.h"
#include "datasets/crops.h"
#include "datasets/csv.h"
#include "datasets/landmarks.h"
#include "datasets/synth.h"
#include "support/film.h"
#include "support/photos.h"

enum { PEOPLE = 4, PHOTOS = 5, SIDE = 96 };

struct scene {
	struct phiz_ctx *ctx;
	char top[256], photos[320], list[320], out[320];
	struct phiz_bytes csv;
};

/* Runs phiz with these words; gives its exit status, or -signal. after: milliseconds after which it is killed;
 * 0: never. */
static int phiz(int after, ...)
{
	char program[512], *argv[32] = {program};
	int n = 1, status = 0;
	va_list words;
	pid_t pid;

	snprintf(program, sizeof program, "%s/tools/phiz", getenv("PHIZ_BUILD") ? getenv("PHIZ_BUILD") : "build/release");
	va_start(words, after);
	while (n < 31 && (argv[n] = va_arg(words, char *)))
		n++;
	va_end(words);
	argv[n] = NULL;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		execv(program, argv);
		_exit(127);
	}
	if (after) {
		struct timespec t = {after / 1000, (long)(after % 1000) * 1000000};
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void face_of(int person, int photo, struct phiz_image *image, struct phiz_face_truth *t, struct phiz_ctx *ctx)
{
	struct phiz_synth_options o;

	phiz_synth_defaults(&o);
	o.size = SIDE;
	assert_ok(ctx, phiz_synth_render(ctx, &o, person, photo, image, t));
}

static void list_face(struct scene *s, const char *file, int frame, const struct phiz_face_truth *t, int dx)
{
	phiz_bytes_printf(&s->csv, "%s,", file);
	if (frame >= 0)
		phiz_bytes_printf(&s->csv, "%d", frame);
	phiz_bytes_printf(&s->csv, ",%.2f,%.2f,%.2f,%.2f", t->x + dx, t->y, t->w, t->h);
	for (int i = 0; i < 5; i++)
		phiz_bytes_printf(&s->csv, ",%.2f,%.2f", t->landmark[i][0] + dx, t->landmark[i][1]);
	phiz_bytes_text(&s->csv, "\n");
}

static void paste(struct phiz_image *to, const struct phiz_image *from, int x)
{
	for (int y = 0; y < from->height; y++)
		memcpy(to->data + ((size_t)y * (size_t)to->width + (size_t)x) * 3,
		       from->data + (size_t)y * (size_t)from->width * 3, (size_t)from->width * 3);
}

static void write_photo(struct scene *s, const char *name, const struct phiz_image *image)
{
	char path[700];

	snprintf(path, sizeof path, "%s/%s", s->photos, name);
	assert_ok(s->ctx, phiz_image_write(s->ctx, path, image, 95));
}

/* Person p's own photos, and in the last one somebody else too: larger, in the middle, and first in the list. */
static void make_photos(struct scene *s)
{
	struct phiz_image image, other, both;
	struct phiz_face_truth t, u;
	char name[64], dir[400];

	for (int p = 0; p < PEOPLE; p++) {
		snprintf(dir, sizeof dir, "%s/p%d", s->photos, p);
		assert_ok(s->ctx, phiz_dir_make(s->ctx, dir));
		for (int k = 0; k < PHOTOS; k++) {
			snprintf(name, sizeof name, "p%d/%d.png", p, k);
			face_of(p, k, &image, &t, s->ctx);
			if (k == PHOTOS - 1) {
				face_of((p + 1) % PEOPLE, 0, &other, &u, s->ctx);
				assert_ok(s->ctx, phiz_image_create(s->ctx, 3 * SIDE, SIDE, 3, &both));
				memset(both.data, 90, (size_t)both.width * SIDE * 3);
				paste(&both, &image, 0);
				paste(&both, &other, SIDE);
				u.w *= 1.2;
				list_face(s, name, -1, &u, SIDE);
				list_face(s, name, -1, &t, 0);
				write_photo(s, name, &both);
				phiz_image_free(s->ctx, &both);
				phiz_image_free(s->ctx, &other);
			} else {
				list_face(s, name, -1, &t, 0);
				write_photo(s, name, &image);
			}
			phiz_image_free(s->ctx, &image);
		}
	}
	test_file(s->ctx, s->photos, "p0/broken.jpg", "no photo", 8);
	face_of(9, 0, &image, NULL, s->ctx);
	write_photo(s, "p0/nobody.png", &image); /* in no list */
	phiz_image_free(s->ctx, &image);
}

static void begin(struct scene *s)
{
	s->ctx = test_ctx(1);
	test_folder(s->top);
	snprintf(s->photos, sizeof s->photos, "%s/photos", s->top);
	snprintf(s->list, sizeof s->list, "%s/faces.csv", s->top);
	snprintf(s->out, sizeof s->out, "%s/out", s->top);
	phiz_bytes_init(&s->csv, s->ctx);
	phiz_bytes_text(&s->csv, "file,frame,x,y,w,h,lx1,ly1,lx2,ly2,lx3,ly3,lx4,ly4,lx5,ly5\n");
}

static void write_list(struct scene *s)
{
	assert_ok(s->ctx, phiz_bytes_status(&s->csv));
	assert_ok(s->ctx, phiz_file_write(s->ctx, s->list, s->csv.data, s->csv.size));
}

static void end(struct scene *s)
{
	phiz_bytes_free(&s->csv);
	test_folder_done(s->top);
	test_ctx_done(&s->ctx);
}

static void read_state(struct scene *s, const char *dir, struct phiz_crops *out)
{
	struct phiz_bytes text;
	char path[512];

	phiz_bytes_init(&text, s->ctx);
	snprintf(path, sizeof path, "%s/.extract.csv", dir);
	assert_ok(s->ctx, phiz_file_read(s->ctx, path, 1 << 24, &text));
	assert_ok(s->ctx, phiz_crops_parse(s->ctx, text.data, text.size, path, out));
	phiz_bytes_free(&text);
}

static int count(const struct phiz_crops *c, enum phiz_crop_fate fate)
{
	int n = 0;

	for (size_t i = 0; i < c->count; i++)
		n += c->crop[i].fate == fate;
	return n;
}

/* The crops that were kept are there, of the right size, and show what phiz_align_crop makes of the photo. */
static void check_crops(struct scene *s, const char *dir, const struct phiz_crops *c, int size)
{
	const struct phiz_align align = {PHIZ_ALIGN_ARCFACE, 0, size};

	for (size_t i = 0; i < c->count; i++) {
		struct phiz_image photo, want, got;
		char path[700];

		if (!*c->crop[i].file || c->crop[i].frame >= 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, c->crop[i].file);
		assert_ok(s->ctx, phiz_image_read(s->ctx, path, NULL, &got));
		assert_ok(s->ctx, phiz_image_read(s->ctx, c->crop[i].source, NULL, &photo));
		assert_ok(s->ctx, phiz_align_crop(s->ctx, &align, &photo, &c->crop[i].face, &want));
		assert_int_equal(got.width, size);
		assert_int_equal(got.height, size);
		assert_memory_equal(got.data, want.data, (size_t)size * (size_t)size * 3);
		phiz_image_free(s->ctx, &photo);
		phiz_image_free(s->ctx, &want);
		phiz_image_free(s->ctx, &got);
	}
}

/* An embedder that needs no training: the picture itself, small, without its mean colour. */
static void make_embedder(struct scene *s, char path[320])
{
	static const char cfg[] = "[net]\nname = small\nsize = 64\nclasses = 2\n\n"
	                          "[avg_pool]\nkernel = 8\nstride = 8\n\n[flatten]\n\n"
	                          "[linear]\nname = fc\noutputs = classes\n";
	struct phiz_model *model;

	assert_ok(s->ctx, phiz_model_from_cfg(s->ctx, cfg, "small.cfg", 2, 64, 1, &model));
	model->preproc.mode = PHIZ_RESIZE_STRETCH;
	model->preproc.size = model->preproc.resize = 64;
	for (int i = 0; i < 3; i++) {
		model->preproc.mean[i] = 0.45f;
		model->preproc.std[i] = 0.25f;
	}
	model->preproc.align = (struct phiz_align){PHIZ_ALIGN_ARCFACE, 0, 64};
	snprintf(path, 320, "%s/small.phiz", s->top);
	assert_ok(s->ctx, phiz_model_write(model, path));
	phiz_model_free(&model);
}

static void test_photos(void **state)
{
	struct scene s;
	struct phiz_crops c;
	struct phiz_bytes text;
	struct phiz_csv csv;
	char path[512];

	(void)state;
	begin(&s);
	make_photos(&s);
	write_list(&s);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", "none",
	                      "--format", "png", "--quiet", NULL), 0);
	read_state(&s, s.out, &c);
	assert_int_equal(count(&c, PHIZ_CROP_KEPT), PEOPLE * PHOTOS);
	assert_int_equal(count(&c, PHIZ_CROP_ASIDE), PEOPLE);
	assert_int_equal(count(&c, PHIZ_CROP_NONE), 1);
	assert_int_equal(count(&c, PHIZ_CROP_UNREADABLE), 1);
	check_crops(&s, s.out, &c, 112);
	/* Without an embedder the larger face in the middle is taken: here the wrong one. */
	for (size_t i = 0; i < c.count; i++)
		if (c.crop[i].width == 3 * SIDE)
			assert_int_equal(c.crop[i].fate == PHIZ_CROP_KEPT, c.crop[i].face.box[0] > SIDE);
	phiz_crops_free(s.ctx, &c);
	/* Landmarks of all crops together lie where the template has them, on average. */
	phiz_bytes_init(&text, s.ctx);
	snprintf(path, sizeof path, "%s/landmarks.csv", s.out);
	assert_ok(s.ctx, phiz_file_read(s.ctx, path, 1 << 20, &text));
	assert_ok(s.ctx, phiz_csv_parse(s.ctx, text.data, text.size, path, &csv));
	assert_int_equal(csv.count, 1 + PEOPLE * PHOTOS);
	for (size_t i = 1; i < csv.count; i++) {
		double x = 0, y = 0;
		for (int k = 0; k < 5; k++) {
			x += strtod(csv.row[i].field[1 + 2 * k], NULL) / 5;
			y += strtod(csv.row[i].field[2 + 2 * k], NULL) / 5;
		}
		/* The template's mean: a similarity keeps it. */
		assert_true(fabs(x - 56.026) < 0.02 && fabs(y - 71.901) < 0.02);
	}
	phiz_csv_free(s.ctx, &csv);
	phiz_bytes_free(&text);
	snprintf(path, sizeof path, "%s/_sheets/p0.jpg", s.out);
	assert_true(phiz_path_is_file(path));
	/* The folder can be trained on as it is: four people, their crops and nothing else. */
	assert_int_equal(phiz(0, "data", "list", s.out, "--quiet", NULL), 0);
	/* Other options are noticed; so is a folder that is not ours. */
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", "none",
	                      NULL), 1);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.photos, NULL), 1);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, NULL), 2);
	end(&s);
}

/* A model that is trained on crops says how faces are cut where it runs on whole photos. */
static void test_trained(void **state)
{
	struct scene s;
	struct phiz_model *model;
	char run[320], path[400];

	(void)state;
	begin(&s);
	make_photos(&s);
	write_list(&s);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", "none",
	                      "--align", "box", "--margin", "0.4", "--size", "72", "--quiet", NULL), 0);
	snprintf(run, sizeof run, "%s/run", s.top);
	assert_int_equal(phiz(0, "train", "tiny", "--data", s.out, "--run", run, "--set", "train.epochs=1", "--quiet",
	                      NULL), 0);
	snprintf(path, sizeof path, "%s/last.phiz", run);
	assert_ok(s.ctx, phiz_model_read(s.ctx, path, &model));
	assert_int_equal(model->n_labels, PEOPLE);
	assert_int_equal(model->preproc.align.kind, PHIZ_ALIGN_BOX);
	assert_int_equal(model->preproc.align.size, 72);
	assert_true(fabs(model->preproc.align.margin - 0.4) < 1e-9);
	phiz_model_free(&model);
	end(&s);
}

/* The face of this crop as landmarks.csv has it. */
static const struct phiz_face *face_in_crop(const struct phiz_face_table *table, const struct phiz_crop *c)
{
	const struct phiz_face *face = phiz_face_table_find(table, c->file);

	assert_non_null(face);
	return face;
}

/* What `align` cuts out of the crops is what it cuts out of the photos, but for pixels that were interpolated twice and
 * what lay outside. Gives the mean difference of grey levels. */
static double cut_twice(struct scene *s, const struct phiz_crops *c, const struct phiz_align *align)
{
	struct phiz_face_table table;
	struct phiz_bytes text;
	char path[700];
	double sum = 0;
	size_t n = 0;

	phiz_bytes_init(&text, s->ctx);
	snprintf(path, sizeof path, "%s/landmarks.csv", s->out);
	assert_ok(s->ctx, phiz_file_read(s->ctx, path, 1 << 20, &text));
	assert_ok(s->ctx, phiz_face_table_parse(s->ctx, text.data, text.size, path, &table));
	assert_true(table.boxes);
	for (size_t i = 0; i < c->count; i++) {
		struct phiz_image photo, crop, a, b;
		if (c->crop[i].fate != PHIZ_CROP_KEPT)
			continue;
		snprintf(path, sizeof path, "%s/%s", s->out, c->crop[i].file);
		assert_ok(s->ctx, phiz_image_read(s->ctx, path, NULL, &crop));
		assert_ok(s->ctx, phiz_image_read(s->ctx, c->crop[i].source, NULL, &photo));
		assert_ok(s->ctx, phiz_align_crop(s->ctx, align, &photo, &c->crop[i].face, &a));
		assert_ok(s->ctx, phiz_align_crop(s->ctx, align, &crop, face_in_crop(&table, &c->crop[i]), &b));
		for (int k = 0; k < align->size * align->size * 3; k++)
			sum += abs(a.data[k] - b.data[k]);
		n += (size_t)(align->size * align->size * 3);
		phiz_image_free(s->ctx, &photo);
		phiz_image_free(s->ctx, &crop);
		phiz_image_free(s->ctx, &a);
		phiz_image_free(s->ctx, &b);
	}
	phiz_face_table_free(s->ctx, &table);
	phiz_bytes_free(&text);
	return sum / (double)n;
}

/* Trains on the crops with this way of cutting them anew, and judges the model on them. */
static int train_on(struct scene *s, const struct phiz_align *again, const char *run)
{
	char align[64], margin[64], path[400];
	struct phiz_model *model;

	snprintf(align, sizeof align, "data.align=%s", phiz_align_name(again->kind));
	snprintf(margin, sizeof margin, "data.align_margin=%g", again->margin);
	int rc = phiz(0, "train", "tiny", "--data", s->out, "--run", run, "--set", align, "--set", margin, "--set",
	              "data.size=32", "--set", "train.epochs=1", "--quiet", NULL);
	if (rc)
		return rc;
	snprintf(path, sizeof path, "%s/last.phiz", run);
	assert_ok(s->ctx, phiz_model_read(s->ctx, path, &model));
	assert_int_equal(model->preproc.align.kind, again->kind);
	assert_int_equal(model->preproc.align.size, 32);
	assert_true(fabs(model->preproc.align.margin - again->margin) < 1e-9);
	phiz_model_free(&model);
	return phiz(0, "eval", run, "--data", s->out, "--json", "--quiet", NULL);
}

/* Whatever way the crops were cut, every data.align that makes sense cuts the same faces out of them as out of the
 * photos, and is trained. */
static void test_every_align(void **state)
{
	static const struct {
		const char *align, *margin, *size;
		/* Grey levels, by enum phiz_align_kind; 0: refused. Crops by landmarks are turned and tight: boxes there are
		 * others than in the photo. */
		double most[4];
	} cut[] = {
		{"box", "1", "160", {0, 3, 3, 3}},
		{"facenet", "60", "160", {0, 0, 3, 0}},
		{"arcface", NULL, "160", {0, 3, 256, 256}},
	};
	const struct phiz_align again[] = {
		{PHIZ_ALIGN_ARCFACE, 0, 32}, {PHIZ_ALIGN_FACENET, 4, 32}, {PHIZ_ALIGN_BOX, 0.25, 32},
	};
	struct scene s;
	struct phiz_crops c;

	(void)state;
	begin(&s);
	make_photos(&s);
	write_list(&s);
	for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
		snprintf(s.out, sizeof s.out, "%s/out%zu", s.top, i);
		assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", "none",
		                      "--format", "png", "--quiet", "--align", cut[i].align, "--size", cut[i].size,
		                      cut[i].margin ? "--margin" : NULL, cut[i].margin, NULL), 0);
		read_state(&s, s.out, &c);
		for (size_t k = 0; k < sizeof again / sizeof again[0]; k++) {
			char run[320];
			double most = cut[i].most[again[k].kind], difference = cut_twice(&s, &c, &again[k]);

			snprintf(run, sizeof run, "%s/run%zu%zu", s.top, i, k);
			print_message("%s of crops by %s: %.2f grey levels\n", phiz_align_name(again[k].kind), cut[i].align,
			              difference);
			assert_true(most == 0 || difference < most);
			assert_int_equal(train_on(&s, &again[k], run), most > 0 ? 0 : 1);
		}
		phiz_crops_free(s.ctx, &c);
	}
	end(&s);
}

/* With an embedder the person is found wherever he stands, and who is on his photo besides is set aside. */
static void test_embedder(void **state)
{
	struct scene s;
	struct phiz_crops c;
	char model[320];
	int right = 0;

	(void)state;
	begin(&s);
	/* Photos of one person that nearly repeat each other, so that so plain an embedder can tell people apart. */
	for (int p = 0; p < 2; p++)
		for (int k = 0; k < 4; k++) {
			struct phiz_image image, other, both;
			struct phiz_face_truth t, u;
			char name[64], dir[400];

			snprintf(dir, sizeof dir, "%s/p%d", s.photos, p);
			assert_ok(s.ctx, phiz_dir_make(s.ctx, dir));
			snprintf(name, sizeof name, "p%d/%d.png", p, k);
			face_of(p ? 3 : 0, 1, &image, &t, s.ctx);
			face_of(p ? 0 : 3, 1, &other, &u, s.ctx);
			assert_ok(s.ctx, phiz_image_create(s.ctx, 2 * SIDE, SIDE, 3, &both));
			memset(both.data, 60 + 20 * k, (size_t)both.width * SIDE * 3);
			paste(&both, &image, k % 2 ? SIDE : 0);
			if (k > 1)
				paste(&both, &other, k % 2 ? 0 : SIDE);
			list_face(&s, name, -1, &t, k % 2 ? SIDE : 0);
			u.w *= 1.3;
			if (k > 1)
				list_face(&s, name, -1, &u, k % 2 ? 0 : SIDE);
			write_photo(&s, name, &both);
			phiz_image_free(s.ctx, &both);
			phiz_image_free(s.ctx, &image);
			phiz_image_free(s.ctx, &other);
		}
	write_list(&s);
	make_embedder(&s, model);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", model,
	                      "--format", "png", "--quiet", NULL), 0);
	read_state(&s, s.out, &c);
	assert_int_equal(count(&c, PHIZ_CROP_KEPT), 8);
	assert_int_equal(count(&c, PHIZ_CROP_ASIDE), 4);
	for (size_t i = 0; i < c.count; i++) {
		const struct phiz_crop *x = &c.crop[i];
		int k = phiz_path_base(x->source)[0] - '0';

		if (k > 1)
			right += (x->fate == PHIZ_CROP_KEPT) == ((x->face.box[0] >= SIDE / 2) == (k % 2 == 1));
		if (x->fate == PHIZ_CROP_ASIDE)
			assert_true(*x->reason && x->similarity > -1 && x->similarity < 1);
	}
	assert_int_equal(right, 8);
	check_crops(&s, s.out, &c, 112);
	phiz_crops_free(s.ctx, &c);
	end(&s);
}

static bool same_file(struct scene *s, const char *a, const char *b, const char *name)
{
	struct phiz_bytes x, y;
	char path[700];
	bool same;

	phiz_bytes_init(&x, s->ctx);
	phiz_bytes_init(&y, s->ctx);
	snprintf(path, sizeof path, "%s/%s", a, name);
	assert_ok(s->ctx, phiz_file_read(s->ctx, path, 1 << 24, &x));
	snprintf(path, sizeof path, "%s/%s", b, name);
	assert_ok(s->ctx, phiz_file_read(s->ctx, path, 1 << 24, &y));
	same = x.size == y.size && !memcmp(x.data, y.data, x.size);
	phiz_bytes_free(&x);
	phiz_bytes_free(&y);
	return same;
}

/* Killed at several moments: no half files, and in the end the same as in one go. A photo that changed is done anew,
 * and a crop that was lost comes back. */
static void test_killed(void **state)
{
	static const char *const files[] = {"manifest.csv", "landmarks.csv", "p0/0.jpg", "p3/4.jpg", "_sheets/p2.jpg"};
	struct scene s;
	struct phiz_crops c;
	char other[320], path[700];

	(void)state;
	begin(&s);
	make_photos(&s);
	write_list(&s);
	snprintf(other, sizeof other, "%s/other", s.top);
	for (int after = 15; after <= 60; after += 15)
		phiz(after, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", "none", "--quiet", NULL);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", "none",
	                      "--quiet", NULL), 0);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", other, "--model", "none",
	                      "--threads", "1", "--quiet", NULL), 0);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		assert_true(same_file(&s, s.out, other, files[i]));
	snprintf(path, sizeof path, "%s/p0/0.jpg", s.out);
	assert_int_equal(remove(path), 0);
	snprintf(path, sizeof path, "%s/p1/1.png", s.photos);
	assert_int_equal(remove(path), 0);
	snprintf(path, sizeof path, "%s/p1/0.png", s.photos);
	test_file(s.ctx, s.photos, "p1/0.png", "spoilt", 6);
	assert_int_equal(phiz(0, "data", "extract", s.photos, "--faces", s.list, "--out", s.out, "--model", "none",
	                      "--quiet", NULL), 0);
	assert_true(same_file(&s, s.out, other, "p0/0.jpg"));
	snprintf(path, sizeof path, "%s/p1/0.jpg", s.out);
	assert_false(phiz_path_is_file(path));
	read_state(&s, s.out, &c);
	assert_int_equal(count(&c, PHIZ_CROP_KEPT), PEOPLE * PHOTOS - 1);
	assert_int_equal(count(&c, PHIZ_CROP_UNREADABLE), 2);
	phiz_crops_free(s.ctx, &c);
	end(&s);
}

/* Two people walk towards each other's side; one more is there for a single frame. */
static void test_video(void **state)
{
	enum { FRAMES = 24 };
	struct scene s;
	struct phiz_crops c;
	struct test_film *film;
	char path[320];
	int kept[3] = {0};

	(void)state;
	begin(&s);
	snprintf(path, sizeof path, "%s/film.avi", s.top);
	film = test_film_open(path, TEST_FILM_MJPEG_AVI, 25);
	for (int i = 0; film && i < FRAMES; i++) {
		struct phiz_image frame, image;
		struct phiz_face_truth t;
		int x[3] = {2 * i, 5 * SIDE - 2 * i, 2 * SIDE};

		assert_ok(s.ctx, phiz_image_create(s.ctx, 6 * SIDE, SIDE, 3, &frame));
		memset(frame.data, 80, (size_t)frame.width * SIDE * 3);
		for (int p = 0; p < (i == 7 ? 3 : 2); p++) {
			face_of(p, 2 + i / 8, &image, &t, s.ctx);
			paste(&frame, &image, x[p]);
			list_face(&s, "film.avi", i, &t, x[p]);
			phiz_image_free(s.ctx, &image);
		}
		assert_true(test_film_add(film, &frame));
		phiz_image_free(s.ctx, &frame);
	}
	if (!test_film_close(&film)) {
		puts("no video here");
		end(&s);
		return;
	}
	write_list(&s);
	for (int run = 0; run < 2; run++) /* the second time there is nothing to do */
		assert_int_equal(phiz(0, "data", "extract", path, "--faces", s.list, "--out", s.out, "--model", "none",
		                      "--quiet", NULL), 0);
	read_state(&s, s.out, &c);
	for (size_t i = 0; i < c.count; i++) {
		const struct phiz_crop *x = &c.crop[i];
		int person = strcmp(x->person, "person_01") ? strcmp(x->person, "person_02") ? 2 : 1 : 0;
		char file[700];

		assert_int_equal(x->fate, PHIZ_CROP_KEPT);
		assert_true(fabs(x->time - (double)x->frame / 25) < 0.002);
		/* Who walks where: the left one stays left of the other. */
		assert_int_equal(x->face.box[0] < 2 * SIDE, person == 0);
		snprintf(file, sizeof file, "%s/%s", s.out, x->file);
		assert_true(phiz_path_is_file(file));
		kept[person]++;
	}
	/* 24 frames show three poses each: near-duplicates are left out. */
	assert_true(kept[0] >= 2 && kept[0] <= 12 && kept[1] >= 2 && kept[1] <= 12 && kept[2] == 0);
	phiz_crops_free(s.ctx, &c);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_photos),
		cmocka_unit_test(test_trained),
		cmocka_unit_test(test_every_align),
		cmocka_unit_test(test_embedder),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_video),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
