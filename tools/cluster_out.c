#include "tools/cluster_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/system.h"
#include "core/image/sheet.h"
#include "tools/fetch.h"
#include "tools/tools.h"

#define SHEETS "_sheets"

enum { SHEET_FACES = 400, MAX_SAME_NAME = 100000 };

void phiz_cluster_name(int32_t label, int k, char name[32])
{
	int digits = 2;

	for (int n = 100; n <= k && digits < 9; n *= 10)
		digits++;
	if (label < 0)
		snprintf(name, 32, "_unsorted");
	else
		snprintf(name, 32, "cluster_%0*d", digits, label + 1);
}

/* ---- The table ---- */

static void add_row(const struct phiz_grouping *g, int64_t i, struct phiz_bytes *b)
{
	const struct phiz_seen *s = &g->seen[i];
	char name[32];

	if (g->photos)
		phiz_bytes_csv(b, g->photos->name[s->file]);
	else
		phiz_bytes_printf(b, "%zu", s->file);
	phiz_cluster_name(g->clusters->label[i], g->clusters->k, name);
	phiz_bytes_printf(b, ",%d,", s->index);
	if (s->found)
		phiz_bytes_printf(b, "%.1f,%.1f,%.1f,%.1f,%.4f,", (double)s->face.box[0], (double)s->face.box[1],
		                  (double)s->face.box[2], (double)s->face.box[3], (double)s->face.score);
	else
		phiz_bytes_text(b, ",,,,,");
	phiz_bytes_printf(b, "%s,", g->clusters->label[i] < 0 ? "" : name);
	if (g->silhouette && g->clusters->label[i] >= 0)
		phiz_bytes_printf(b, "%.4f", g->silhouette[i]);
	if (g->people->count) {
		phiz_bytes_text(b, ",");
		phiz_bytes_csv(b, g->people->name[s->person]);
	}
	phiz_bytes_text(b, "\n");
}

static enum phiz_status write_table(const struct phiz_grouping *g, const char *folder)
{
	char *path = phiz_path_join(g->ctx, folder, "clusters.csv");
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;
	struct phiz_bytes b;

	phiz_bytes_init(&b, g->ctx);
	phiz_bytes_printf(&b, "%s,face,x,y,width,height,score,cluster,silhouette%s\n", g->photos ? "file" : "row",
	                  g->people->count ? ",person" : "");
	for (int64_t i = 0; i < g->clusters->n; i++)
		add_row(g, i, &b);
	if (!status)
		status = phiz_bytes_status(&b);
	if (!status)
		status = phiz_file_write(g->ctx, path, b.data, b.size);
	phiz_bytes_free(&b);
	phiz_free(g->ctx, path);
	return status;
}

/* ---- Photos ---- */

static enum phiz_status copy_file(struct phiz_ctx *ctx, const char *from, const char *to)
{
	struct phiz_map map;
	enum phiz_status status = phiz_map_open(ctx, from, &map);

	if (status)
		return status;
	status = phiz_file_write(ctx, to, map.data, map.size);
	phiz_map_close(&map);
	return status;
}

/* "photo.jpg", and where that is taken "photo_2.jpg", "photo_3.jpg" ... */
static char *numbered(struct phiz_ctx *ctx, const char *folder, const char *base, int n)
{
	const char *dot = strrchr(base, '.');
	int stem = dot && dot > base ? (int)(dot - base) : (int)strlen(base);

	if (n == 1)
		return phiz_asprintf(ctx, "%s/%s", folder, base);
	return phiz_asprintf(ctx, "%s/%.*s_%d%s", folder, stem, base, n, base + stem);
}

static enum phiz_status place_photo(const struct phiz_grouping *g, const char *photo, const char *folder)
{
	for (int n = 1; n < MAX_SAME_NAME; n++) {
		char *to = numbered(g->ctx, folder, phiz_path_base(photo), n);
		struct stat s;
		enum phiz_status status = to ? PHIZ_OK : PHIZ_E_NOMEM;
		bool taken = to && lstat(to, &s) == 0;
		if (!status && !taken && (g->copy || link(photo, to))) {
			if (errno == EEXIST && !g->copy)
				taken = true;
			else
				status = copy_file(g->ctx, photo, to);
		}
		phiz_free(g->ctx, to);
		if (status || !taken)
			return status;
	}
	return phiz_fail(g->ctx, PHIZ_E_LIMIT, "%s: too many photos of the same name", phiz_path_base(photo));
}

/* ---- Sheets ---- */

/* The face with a quarter of its size around it; the whole picture where no detector found it. */
static enum phiz_status cut_face(struct phiz_ctx *ctx, const char *photo, const struct phiz_seen *s,
                                 struct phiz_image *out)
{
	struct phiz_decode_options lenient = {.lenient = true};
	struct phiz_image whole = {0};
	enum phiz_status status = phiz_image_read(ctx, photo, &lenient, &whole);
	const float *box = s->face.box;
	float side = box[2] > box[3] ? box[2] : box[3];

	memset(out, 0, sizeof *out);
	if (!status && (!s->found || !(side >= 1 && side < 1e5f))) {
		*out = whole;
		return PHIZ_OK;
	}
	if (!status) {
		int size = (int)(side * 1.5f) + 1;
		status = phiz_image_crop(ctx, &whole, (int)(box[0] + (box[2] - (float)size) / 2),
		                         (int)(box[1] + (box[3] - (float)size) / 2), size, size, out);
	}
	phiz_image_free(ctx, &whole);
	return status;
}

static enum phiz_status add_face(const struct phiz_grouping *g, struct phiz_sheet *sheet, int64_t i)
{
	const char *photo = g->photos->name[g->seen[i].file];
	struct phiz_image face;
	enum phiz_status status = cut_face(g->ctx, photo, &g->seen[i], &face);

	if (!status)
		status = phiz_sheet_add(sheet, &face, phiz_path_base(photo), NULL);
	phiz_image_free(g->ctx, &face);
	return status;
}

static enum phiz_status finish_sheet(const struct phiz_grouping *g, struct phiz_sheet *sheet, const char *folder,
                                     const char *name)
{
	struct phiz_image image = {0};
	char *path = phiz_asprintf(g->ctx, "%s/" SHEETS "/%s.jpg", folder, name);
	enum phiz_status status = path ? phiz_sheet_finish(sheet, &image) : PHIZ_E_NOMEM;

	if (!status)
		status = phiz_image_write(g->ctx, path, &image, 90);
	phiz_image_free(g->ctx, &image);
	phiz_free(g->ctx, path);
	return status;
}

/* ---- A group ---- */

struct progress {
	struct phiz_progress line;
	int64_t done, total;
};

static enum phiz_status write_group(const struct phiz_grouping *g, int32_t label, const char *folder,
                                    struct progress *p)
{
	struct phiz_sheet_options o = {.caption_lines = 1, .max_pictures = SHEET_FACES};
	size_t last = SIZE_MAX;
	struct phiz_sheet *sheet = NULL;
	char name[32], title[64];
	int64_t size = 0;

	phiz_cluster_name(label, g->clusters->k, name);
	for (int64_t i = 0; i < g->clusters->n; i++)
		size += g->clusters->label[i] == label;
	if (!size)
		return PHIZ_OK;
	snprintf(title, sizeof title, "%s: %lld faces", name, (long long)size);
	o.title = title;
	char *inner = phiz_path_join(g->ctx, folder, name);
	enum phiz_status status = inner ? phiz_dir_make(g->ctx, inner) : PHIZ_E_NOMEM;
	if (!status)
		status = phiz_sheet_create(g->ctx, &o, &sheet);
	for (int64_t i = 0; !status && i < g->clusters->n; i++) {
		if (g->clusters->label[i] != label)
			continue;
		if (g->seen[i].file != last) /* faces of one photo follow each other */
			status = place_photo(g, g->photos->name[g->seen[i].file], inner);
		last = g->seen[i].file;
		if (!status && phiz_sheet_count(sheet) < SHEET_FACES)
			status = add_face(g, sheet, i);
		if (phiz_interrupted)
			status = phiz_fail(g->ctx, PHIZ_E_CANCELLED, "broken off; nothing was written");
		phiz_progress_show(&p->line, (double)++p->done, (double)p->total, false, "%s", name);
	}
	if (!status)
		status = finish_sheet(g, sheet, folder, name);
	phiz_sheet_free(&sheet);
	phiz_free(g->ctx, inner);
	return status;
}

static enum phiz_status write_groups(const struct phiz_grouping *g, const char *folder)
{
	struct progress p = {.total = g->clusters->n};
	char *sheets = phiz_path_join(g->ctx, folder, SHEETS);
	enum phiz_status status = sheets ? phiz_dir_make(g->ctx, sheets) : PHIZ_E_NOMEM;

	phiz_progress_start(&p.line);
	for (int32_t label = PHIZ_NOISE; !status && label < g->clusters->k; label++)
		status = write_group(g, label, folder, &p);
	phiz_progress_clear(&p.line);
	phiz_free(g->ctx, sheets);
	return status;
}

/* The folder that `out` is in, as a new string. */
static char *parent_of(struct phiz_ctx *ctx, const char *out)
{
	size_t n = strlen(out);

	while (n > 1 && out[n - 1] == '/')
		n--;
	while (n > 0 && out[n - 1] != '/')
		n--;
	while (n > 1 && out[n - 1] == '/')
		n--;
	return n ? phiz_strndup(ctx, out, n) : phiz_strdup(ctx, ".");
}

/* Where a folder of a temporary name becomes `out`: an empty one may be there. */
static enum phiz_status move_into_place(struct phiz_ctx *ctx, const char *folder, const char *out)
{
	mode_t mask = umask(0);

	umask(mask);
	if (chmod(folder, 0777 & ~mask) || rename(folder, out))
		return phiz_fail_system(ctx, out, "cannot make this folder", errno);
	return PHIZ_OK;
}

static enum phiz_status check_free(struct phiz_ctx *ctx, const char *out)
{
	struct phiz_names names;
	struct stat s;

	if (lstat(out, &s))
		return PHIZ_OK;
	if (!S_ISDIR(s.st_mode))
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: is there already and no folder", out);
	enum phiz_status status = phiz_dir_list(ctx, out, &names);
	if (!status && names.count)
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: is not empty; give --out a new folder", out);
	phiz_names_free(ctx, &names);
	return status;
}

enum phiz_status phiz_cluster_write(const struct phiz_grouping *g, const char *out)
{
	char *parent = parent_of(g->ctx, out), *folder = NULL;
	enum phiz_status status = parent ? check_free(g->ctx, out) : PHIZ_E_NOMEM;

	if (!status)
		status = phiz_dir_make(g->ctx, parent);
	if (!status)
		status = phiz_fetch_folder(g->ctx, parent, &folder);
	if (!status)
		status = write_table(g, folder);
	if (!status && g->photos)
		status = write_groups(g, folder);
	if (!status)
		status = move_into_place(g->ctx, folder, out);
	phiz_fetch_folder_remove(g->ctx, &folder);
	phiz_free(g->ctx, parent);
	return status;
}
