#include "deploy/truth.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"

enum { MAX_BOXES = 1000000, MAX_BYTES = 256 << 20, FIELD = 64, MAX_PATH = 4096 };
#define MAX_PIXELS 1e6

struct reader {
	struct phiz_ctx *ctx;
	const char *name;
	const char *at, *end;
	struct phiz_truth *truth;
	size_t boxes;
	int line;
};

static enum phiz_status fail(struct reader *r, const char *what)
{
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s:%d: %s", r->name, r->line, what);
}

void phiz_truth_free(struct phiz_ctx *ctx, struct phiz_truth *truth)
{
	for (size_t i = 0; i < truth->count; i++) {
		phiz_free(ctx, truth->photo[i].file);
		phiz_free(ctx, truth->photo[i].box);
	}
	phiz_free(ctx, truth->photo);
	memset(truth, 0, sizeof *truth);
}

/* A new photo at the end. file: n bytes. */
static enum phiz_status add_photo(struct reader *r, const char *file, size_t n)
{
	struct phiz_truth *t = r->truth;

	if (n == 0 || n >= MAX_PATH || memchr(file, 0, n) || !phiz_utf8_valid(file, n))
		return fail(r, "want the name of a photo of at most 4095 bytes of UTF-8");
	if (t->count >= MAX_BOXES)
		return phiz_fail(r->ctx, PHIZ_E_LIMIT, "%s:%d: more than %d photos", r->name, r->line, MAX_BOXES);
	if (phiz_grow(r->ctx, &t->photo, &t->capacity, t->count + 1, sizeof *t->photo))
		return PHIZ_E_NOMEM;
	struct phiz_true_photo *p = &t->photo[t->count];
	memset(p, 0, sizeof *p);
	p->file = phiz_strndup(r->ctx, file, n);
	if (!p->file)
		return PHIZ_E_NOMEM;
	t->count++;
	return PHIZ_OK;
}

static enum phiz_status add_box(struct reader *r, struct phiz_true_photo *p, const struct phiz_true_box *box)
{
	if (r->boxes++ >= MAX_BOXES)
		return phiz_fail(r->ctx, PHIZ_E_LIMIT, "%s:%d: more than %d boxes", r->name, r->line, MAX_BOXES);
	if (!(box->box[2] > 0 && box->box[3] > 0))
		return fail(r, "a box without width or height");
	if (phiz_grow(r->ctx, &p->box, &p->capacity, p->n + 1, sizeof *p->box))
		return PHIZ_E_NOMEM;
	p->box[p->n++] = *box;
	return PHIZ_OK;
}

/* n bytes as a number of pixels. */
static enum phiz_status read_number(struct reader *r, const char *text, size_t n, const char *what, double *out)
{
	char copy[FIELD];

	if (n >= sizeof copy || memchr(text, 0, n))
		return fail(r, "a number of more than 63 characters");
	memcpy(copy, text, n);
	copy[n] = 0;
	if (!phiz_parse_f64(r->ctx, copy, -MAX_PIXELS, MAX_PIXELS, out))
		return PHIZ_OK;
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s:%d: %s: want a number of pixels from -%g to %g", r->name, r->line, what,
	                 MAX_PIXELS, MAX_PIXELS);
}

/* --- CSV --- */

/* Up to the comma or the end of the line; quotes as in RFC 4180 are taken off, unless there is a quote in between. */
static enum phiz_status next_field(struct reader *r, const char **at, const char *end, const char **field, size_t *n)
{
	const char *p = *at, *stop;

	if (p < end && *p == '"') {
		stop = memchr(p + 1, '"', (size_t)(end - p - 1));
		if (!stop || (stop + 1 < end && stop[1] != ','))
			return fail(r, "quotes that do not enclose a field");
		*field = p + 1;
		*n = (size_t)(stop - p - 1);
		stop++;
	} else {
		stop = memchr(p, ',', (size_t)(end - p));
		stop = stop ? stop : end;
		*field = p;
		*n = (size_t)(stop - p);
	}
	*at = stop < end ? stop + 1 : NULL;
	return PHIZ_OK;
}

/* The photo of this name, searched from the end: lines of a photo are mostly together. */
static enum phiz_status find_photo(struct reader *r, const char *file, size_t n, struct phiz_true_photo **out)
{
	struct phiz_truth *t = r->truth;

	if (t->count > 0) {
		struct phiz_true_photo *last = &t->photo[t->count - 1];
		if (strlen(last->file) == n && !memcmp(last->file, file, n)) {
			*out = last;
			return PHIZ_OK;
		}
	}
	enum phiz_status status = add_photo(r, file, n);
	*out = status ? NULL : &t->photo[t->count - 1];
	return status;
}

static enum phiz_status read_row(struct reader *r, const char *at, const char *end)
{
	static const char *const what[] = {"file", "x", "y", "w", "h"};
	const char *field[5];
	size_t n[5], empty = 0;
	struct phiz_true_box box = {{0}, false};
	struct phiz_true_photo *photo;
	enum phiz_status status;

	for (int i = 0; i < 5; i++) {
		if (!at)
			return fail(r, "want five fields: file,x,y,w,h");
		status = next_field(r, &at, end, &field[i], &n[i]);
		if (status)
			return status;
	}
	if (at)
		return fail(r, "want five fields: file,x,y,w,h");
	for (int i = 1; i < 5; i++)
		empty += n[i] == 0;
	status = find_photo(r, field[0], n[0], &photo);
	for (int i = 1; i < 5 && !status && empty < 4; i++)
		status = read_number(r, field[i], n[i], what[i], &box.box[i - 1]);
	return status || empty == 4 ? status : add_box(r, photo, &box);
}

static int by_file(const void *a, const void *b)
{
	const struct phiz_true_photo *x = a, *y = b;
	return strcmp(x->file, y->file);
}

/* Photos by name, those that came in several pieces in one. */
static enum phiz_status gather(struct reader *r)
{
	struct phiz_truth *t = r->truth;
	size_t kept = 0;
	enum phiz_status status = PHIZ_OK;

	if (t->count > 1)
		qsort(t->photo, t->count, sizeof *t->photo, by_file);
	r->boxes = 0;
	for (size_t i = 0; i < t->count; i++) {
		struct phiz_true_photo *p = &t->photo[i], *last = kept ? &t->photo[kept - 1] : NULL;
		if (!last || strcmp(last->file, p->file)) {
			if (kept != i) {
				t->photo[kept] = *p;
				memset(p, 0, sizeof *p);
			}
			kept++;
			continue;
		}
		for (size_t k = 0; k < p->n && !status; k++)
			status = add_box(r, last, &p->box[k]);
		phiz_free(r->ctx, p->file);
		phiz_free(r->ctx, p->box);
		memset(p, 0, sizeof *p);
	}
	t->count = kept;
	return status;
}

static enum phiz_status read_csv(struct reader *r)
{
	enum phiz_status status = PHIZ_OK;
	bool header = false;

	while (r->at < r->end && !status) {
		const char *start = r->at, *eol = memchr(start, '\n', (size_t)(r->end - start));
		const char *stop = eol ? eol : r->end;
		r->line++;
		r->at = eol ? eol + 1 : r->end;
		if (stop > start && stop[-1] == '\r')
			stop--;
		if (stop == start || *start == '#')
			continue;
		if (header) {
			status = read_row(r, start, stop);
			continue;
		}
		if (stop - start != 12 || memcmp(start, "file,x,y,w,h", 12))
			return fail(r, "boxes of faces begin with a line file,x,y,w,h (or are dlib's XML)");
		header = true;
	}
	if (!status && !header)
		return fail(r, "no boxes: the file is empty");
	return status ? status : gather(r);
}

/* --- dlib's XML --- */

static void skip_blanks(struct reader *r)
{
	for (; r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'); r->at++)
		r->line += *r->at == '\n';
}

/* Behind the next `what`. */
static enum phiz_status skip_to(struct reader *r, const char *what)
{
	size_t n = strlen(what);

	for (; r->at < r->end; r->at++) {
		if ((size_t)(r->end - r->at) >= n && !memcmp(r->at, what, n)) {
			r->at += n;
			return PHIZ_OK;
		}
		r->line += *r->at == '\n';
	}
	return fail(r, "the file ends in the middle of an element");
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == ':' || c == '.';
}

static size_t name_length(const struct reader *r)
{
	size_t n = 0;

	while (r->at + n < r->end && name_char(r->at[n]))
		n++;
	return n;
}

struct attribute {
	const char *name, *value;
	size_t name_n, value_n;
};

/* The next attribute of the element; *done: there is none, and the element is over ('>' or '/>', which sets *empty). */
static enum phiz_status next_attribute(struct reader *r, struct attribute *a, bool *done, bool *empty)
{
	*done = false;
	skip_blanks(r);
	if (r->at < r->end && (*r->at == '>' || *r->at == '/')) {
		*empty = *r->at == '/';
		r->at += *empty;
		if (r->at >= r->end || *r->at != '>')
			return fail(r, "want '>' behind '/'");
		r->at++;
		*done = true;
		return PHIZ_OK;
	}
	a->name = r->at;
	a->name_n = name_length(r);
	r->at += a->name_n;
	skip_blanks(r);
	if (a->name_n == 0 || r->at >= r->end || *r->at != '=')
		return fail(r, "want an attribute as NAME='VALUE'");
	r->at++;
	skip_blanks(r);
	if (r->at >= r->end || (*r->at != '\'' && *r->at != '"'))
		return fail(r, "want an attribute's value in quotes");
	char quote = *r->at++;
	a->value = r->at;
	const char *stop = memchr(r->at, quote, (size_t)(r->end - r->at));
	if (!stop || memchr(r->at, '<', (size_t)(stop - r->at)))
		return fail(r, "an attribute's value that does not end");
	for (; r->at < stop; r->at++)
		r->line += *r->at == '\n';
	a->value_n = (size_t)(stop - a->value);
	r->at = stop + 1;
	return PHIZ_OK;
}

static bool is_name(const char *text, size_t n, const char *name)
{
	return n == strlen(name) && !memcmp(text, name, n);
}

/* The value with XML's five named characters put in. out: MAX_PATH bytes. */
static enum phiz_status plain_text(struct reader *r, const struct attribute *a, char *out, size_t *n)
{
	static const struct {
		const char *name;
		char c;
	} entity[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};

	*n = 0;
	for (size_t i = 0; i < a->value_n;) {
		size_t k = 0, length = 1;
		char c = a->value[i];
		if (c == '&') {
			while (k < 5 && (a->value_n - i < strlen(entity[k].name) ||
			                 memcmp(a->value + i, entity[k].name, strlen(entity[k].name))))
				k++;
			if (k == 5)
				return fail(r, "a character reference other than &amp; &lt; &gt; &quot; &apos;");
			c = entity[k].c;
			length = strlen(entity[k].name);
		}
		if (*n + 1 >= MAX_PATH)
			return fail(r, "a file name of more than 4095 bytes");
		out[(*n)++] = c;
		i += length;
	}
	return PHIZ_OK;
}

static enum phiz_status read_image(struct reader *r, const struct attribute *a)
{
	char file[MAX_PATH];
	size_t n;
	enum phiz_status status = plain_text(r, a, file, &n);

	return status ? status : add_photo(r, file, n);
}

/* The element that begins here, its name still ahead. image: are we in an <image>? */
static enum phiz_status read_element(struct reader *r, bool *in_image)
{
	static const char *const side[] = {"left", "top", "width", "height"};
	const char *name = r->at;
	size_t n = name_length(r);
	bool image = is_name(name, n, "image"), box = is_name(name, n, "box"), done = false, empty = false, file = false;
	struct phiz_true_box b = {{0}, false};
	unsigned have = 0;
	struct attribute a;
	enum phiz_status status = n ? PHIZ_OK : fail(r, "want the name of an element behind '<'");

	if (!status && ((image && *in_image) || (box && !*in_image)))
		return fail(r, image ? "an <image> inside of another" : "a <box> outside of an <image>");
	r->at += n;
	while (!status) {
		status = next_attribute(r, &a, &done, &empty);
		if (status || done)
			break;
		if (image && is_name(a.name, a.name_n, "file") && !file) {
			status = read_image(r, &a);
			file = true;
		}
		for (int k = 0; k < 4 && box && !status; k++)
			if (is_name(a.name, a.name_n, side[k])) {
				status = read_number(r, a.value, a.value_n, side[k], &b.box[k]);
				have |= 1u << k;
			}
		if (box && is_name(a.name, a.name_n, "ignore"))
			b.ignore = is_name(a.value, a.value_n, "1");
	}
	if (!status && image && !file)
		status = fail(r, "an <image> without file");
	if (!status && box && have != 15)
		status = fail(r, "a <box> without left, top, width and height");
	if (!status && box)
		status = add_box(r, &r->truth->photo[r->truth->count - 1], &b);
	if (image && !empty)
		*in_image = true;
	return status;
}

static enum phiz_status read_xml(struct reader *r)
{
	enum phiz_status status = PHIZ_OK;
	bool in_image = false;

	r->line = 1;
	while (!status) {
		const char *next = memchr(r->at, '<', (size_t)(r->end - r->at));
		for (; r->at < (next ? next : r->end); r->at++)
			r->line += *r->at == '\n';
		if (!next)
			break;
		r->at++;
		size_t left = (size_t)(r->end - r->at);
		if (left >= 3 && !memcmp(r->at, "!--", 3)) {
			status = skip_to(r, "-->");
		} else if (left >= 1 && (*r->at == '?' || *r->at == '!')) {
			status = skip_to(r, ">");
		} else if (left >= 1 && *r->at == '/') {
			r->at++;
			if (is_name(r->at, name_length(r), "image"))
				in_image = false;
			status = skip_to(r, ">");
		} else {
			status = read_element(r, &in_image);
		}
	}
	if (!status && in_image)
		status = fail(r, "the file ends in the middle of an <image>");
	if (!status && r->truth->count == 0)
		status = fail(r, "XML without an <image>: want dlib's, as imglab writes it");
	return status;
}

enum phiz_status phiz_truth_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  struct phiz_truth *out)
{
	struct reader r = {ctx, name, text, text + size, out, 0, 0};

	memset(out, 0, sizeof *out);
	if (size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
		r.at += 3;
	enum phiz_status status = r.at < r.end && *r.at == '<' ? read_xml(&r) : read_csv(&r);
	if (status)
		phiz_truth_free(ctx, out);
	return status;
}

enum phiz_status phiz_truth_read(struct phiz_ctx *ctx, const char *path, struct phiz_truth *out)
{
	struct phiz_bytes text;

	memset(out, 0, sizeof *out);
	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_file_read(ctx, path, MAX_BYTES, &text);
	if (!status)
		status = phiz_truth_parse(ctx, text.data, text.size, path, out);
	phiz_bytes_free(&text);
	return status;
}

/* --- Matching --- */

static double overlap(const double a[4], const float b[4])
{
	double bx = (double)b[0], by = (double)b[1], bw = (double)b[2], bh = (double)b[3];
	double x0 = a[0] > bx ? a[0] : bx, x1 = a[0] + a[2] < bx + bw ? a[0] + a[2] : bx + bw;
	double y0 = a[1] > by ? a[1] : by, y1 = a[1] + a[3] < by + bh ? a[1] + a[3] : by + bh;
	double both = x1 > x0 && y1 > y0 ? (x1 - x0) * (y1 - y0) : 0, all = a[2] * a[3] + bw * bh - both;

	return all > 0 ? both / all : 0;
}

/* The box that the face matches: a free one that counts before one to be ignored (which may be matched often). -1: none
 * does. */
static int best_box(const struct phiz_true_photo *p, const bool *taken, const struct phiz_face *face, double iou)
{
	double best = 0;
	int at = -1;

	for (int ignored = 0; ignored < 2 && at < 0; ignored++)
		for (size_t i = 0; i < p->n; i++) {
			double share = p->box[i].ignore == (ignored == 1) && !taken[i] ? overlap(p->box[i].box, face->box) : 0;
			if (share >= iou && share > best) {
				best = share;
				at = (int)i;
			}
		}
	return at;
}

enum phiz_status phiz_match_add(struct phiz_ctx *ctx, struct phiz_match *m, const struct phiz_true_photo *photo,
                                const struct phiz_faces *faces)
{
	bool *taken = phiz_calloc(ctx, photo->n + 1, sizeof *taken);

	if (!taken)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < photo->n; i++)
		m->truth += !photo->box[i].ignore;
	for (int i = 0; i < faces->n; i++) {
		int box = best_box(photo, taken, &faces->face[i], m->iou);
		if (box >= 0 && photo->box[box].ignore)
			continue;
		m->found++;
		if (box >= 0) {
			taken[box] = true;
			m->matched++;
		}
	}
	phiz_free(ctx, taken);
	return PHIZ_OK;
}
