/* What is written beside the crops: the state, the manifest, landmarks, contact sheets, settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/sheet.h"
#include "tools/extract.h"

static int by_source(const void *a, const void *b)
{
	const struct phiz_crop *x = *(const struct phiz_crop *const *)a, *y = *(const struct phiz_crop *const *)b;
	int order = strcmp(x->source, y->source);

	return order ? order : (x > y) - (x < y); /* rows of one source lie in one array */
}

static int by_person(const void *a, const void *b)
{
	const struct phiz_crop *x = a, *y = b;
	int order = strcmp(x->person, y->person);

	if (!order)
		order = (int)x->fate - (int)y->fate;
	return order ? order : strcmp(x->file, y->file);
}

/* All rows in the order of sources, whatever run they come from; the texts stay where they are. */
static enum phiz_status gather(const struct extract *e, struct phiz_crops *out)
{
	const struct phiz_crop **at;
	size_t n = e->others.count, k = 0;

	*out = (struct phiz_crops){0};
	for (size_t i = 0; i < e->count; i++)
		n += e->source[i].done ? e->source[i].rows.count : 0;
	at = phiz_alloc(e->ctx, n + 1, sizeof *at);
	out->crop = phiz_alloc(e->ctx, n + 1, sizeof *out->crop);
	if (!at || !out->crop) {
		phiz_free(e->ctx, at);
		phiz_free(e->ctx, out->crop);
		return PHIZ_E_NOMEM;
	}
	for (size_t i = 0; i < e->others.count; i++)
		at[k++] = &e->others.crop[i];
	for (size_t i = 0; i < e->count; i++)
		for (size_t r = 0; e->source[i].done && r < e->source[i].rows.count; r++)
			at[k++] = &e->source[i].rows.crop[r];
	if (n)
		qsort(at, n, sizeof *at, by_source);
	for (size_t i = 0; i < n; i++)
		out->crop[out->count++] = *at[i];
	phiz_free(e->ctx, at);
	return PHIZ_OK;
}

static enum phiz_status write_text(struct extract *e, const char *name, const struct phiz_bytes *text)
{
	char *path = extract_crop_path(e->ctx, e, name);
	enum phiz_status status = path ? phiz_bytes_status(text) : PHIZ_E_NOMEM;

	if (!status)
		status = phiz_file_write(e->ctx, path, text->data, text->size);
	phiz_free(e->ctx, path);
	return status;
}

static enum phiz_status write_rows(struct extract *e, const struct phiz_crops *rows, bool state)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, e->ctx);
	status = phiz_crops_format(e->ctx, rows, state, &text);
	if (!status)
		status = write_text(e, state ? PHIZ_CROPS_STATE : PHIZ_CROPS_MANIFEST, &text);
	phiz_bytes_free(&text);
	return status;
}

enum phiz_status extract_save(struct extract *e)
{
	struct phiz_crops rows;
	enum phiz_status status = gather(e, &rows);

	if (!status)
		status = write_rows(e, &rows, true);
	phiz_free(e->ctx, rows.crop);
	return status;
}

static enum phiz_status write_landmarks(struct extract *e, const struct phiz_crops *rows)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, e->ctx);
	status = phiz_crops_landmarks(e->ctx, rows, &e->settings.align, &text);
	if (!status)
		status = write_text(e, PHIZ_CROPS_LANDMARKS, &text);
	phiz_bytes_free(&text);
	return status;
}

/* --- Contact sheets. --- */

static enum phiz_status add_crop(struct extract *e, struct phiz_sheet *sheet, const struct phiz_crop *c)
{
	static const uint8_t red[3] = {200, 40, 40};
	struct phiz_image image;
	char *path = extract_crop_path(e->ctx, e, c->file);
	char *caption = c->frame >= 0 ? phiz_asprintf(e->ctx, "%.1f s\nquality %.2f", c->time, c->quality.overall)
	                              : phiz_asprintf(e->ctx, "%s\nquality %.2f", phiz_path_base(c->source),
	                                              c->quality.overall);
	enum phiz_status status = path && caption ? phiz_image_read(e->ctx, path, NULL, &image) : PHIZ_E_NOMEM;

	if (!status) {
		status = phiz_sheet_add(sheet, &image, caption, c->fate == PHIZ_CROP_ASIDE ? red : NULL);
		phiz_image_free(e->ctx, &image);
	}
	phiz_free(e->ctx, path);
	phiz_free(e->ctx, caption);
	return status;
}

/* Rows of one person, those kept first. */
static enum phiz_status write_sheet(struct extract *e, const char *path, const struct phiz_crop *row, size_t n)
{
	struct phiz_sheet_options o = {.title = row->person, .cell = 112, .columns = 8, .gap = 6, .margin = 8,
	                               .caption_lines = 2};
	struct phiz_sheet *sheet;
	struct phiz_image image;
	enum phiz_status status = phiz_sheet_create(e->ctx, &o, &sheet);

	for (size_t i = 0; i < n && !status; i++) {
		if (row[i].fate == PHIZ_CROP_ASIDE && (i == 0 || row[i - 1].fate != PHIZ_CROP_ASIDE))
			status = phiz_sheet_heading(sheet, "set aside");
		if (!status)
			status = add_crop(e, sheet, &row[i]);
	}
	if (!status)
		status = phiz_sheet_finish(sheet, &image);
	if (!status) {
		status = phiz_image_write(e->ctx, path, &image, 88);
		phiz_image_free(e->ctx, &image);
	}
	phiz_sheet_free(&sheet);
	return status;
}

static enum phiz_status one_sheet(struct extract *e, const struct phiz_crop *row, size_t n, bool all)
{
	char *path = phiz_asprintf(e->ctx, "%s/" PHIZ_CROPS_SHEETS "/%s.jpg", e->dir, row->person);
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	if (path && (all || !phiz_path_is_file(path)))
		status = write_sheet(e, path, row, n);
	phiz_free(e->ctx, path);
	return status;
}

/* rows are put into another order. */
static enum phiz_status write_sheets(struct extract *e, struct phiz_crops *rows)
{
	size_t n = 0;
	char *dir = extract_crop_path(e->ctx, e, PHIZ_CROPS_SHEETS);
	enum phiz_status status = dir ? phiz_dir_make(e->ctx, dir) : PHIZ_E_NOMEM;

	for (size_t i = 0; i < rows->count; i++)
		if (*rows->crop[i].file)
			rows->crop[n++] = rows->crop[i];
	if (n)
		qsort(rows->crop, n, sizeof *rows->crop, by_person);
	for (size_t i = 0, m; i < n && !status; i += m) {
		for (m = 1; i + m < n && !strcmp(rows->crop[i].person, rows->crop[i + m].person); m++)
			;
		status = phiz_interrupted ? extract_broken_off(e)
		                          : one_sheet(e, &rows->crop[i], m, e->told.photos || e->told.videos);
	}
	phiz_free(e->ctx, dir);
	return status;
}

enum phiz_status extract_finish(struct extract *e)
{
	struct phiz_crops rows;
	enum phiz_status status = gather(e, &rows);

	if (!status)
		status = write_rows(e, &rows, true);
	if (!status)
		status = write_rows(e, &rows, false);
	if (!status)
		status = write_landmarks(e, &rows);
	if (!status)
		status = write_sheets(e, &rows);
	phiz_free(e->ctx, rows.crop);
	if (status)
		return status;
	e->settings.complete = true;
	return phiz_crops_settings_write(e->ctx, e->dir, &e->settings);
}

void extract_count(const struct extract *e, size_t count[PHIZ_N_CROP_FATES])
{
	memset(count, 0, PHIZ_N_CROP_FATES * sizeof *count);
	for (size_t i = 0; i < e->count; i++)
		for (size_t k = 0; k < e->source[i].rows.count; k++)
			count[e->source[i].rows.crop[k].fate]++;
}
