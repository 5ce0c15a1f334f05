/* The table of tuned choices and its file:
 *
 *     phiz tuning 1
 *     machine: 0.9; cpu; AMD EPYC; avx2 avx512
 *     conv2d f32[1,64,56,56]* f32[64,64,3,3] f32[64] -> f32[1,64,56,56]* act=1 = winograd4.avx512
 *
 * Lines of printable ASCII; a choice is its key, " = " and the name of a kernel, which has no space. */
#include "core/graph/tuning.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/graph/graph.h"

enum { MAX_FILE = 1 << 20, MAX_LINE = 2000, MAX_CHOICES = 4096 };

static const char first_line[] = "phiz tuning 1", machine_word[] = "machine: ", equals[] = " = ";

enum phiz_status phiz_tuning_create(struct phiz_ctx *ctx, const char *machine, struct phiz_tuning **out)
{
	struct phiz_tuning *t = phiz_calloc(ctx, 1, sizeof *t);

	*out = NULL;
	if (!t)
		return PHIZ_E_NOMEM;
	t->ctx = ctx;
	t->machine = phiz_strdup(ctx, machine ? machine : "");
	if (!t->machine) {
		phiz_tuning_free(&t);
		return PHIZ_E_NOMEM;
	}
	*out = t;
	return PHIZ_OK;
}

void phiz_tuning_free(struct phiz_tuning **tuning)
{
	struct phiz_tuning *t = tuning ? *tuning : NULL;

	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++) {
		phiz_free(t->ctx, t->choice[i].key);
		phiz_free(t->ctx, t->choice[i].kernel);
	}
	phiz_free(t->ctx, t->choice);
	phiz_free(t->ctx, t->machine);
	phiz_free(t->ctx, t);
	*tuning = NULL;
}

static struct phiz_choice *find(const struct phiz_tuning *t, const char *key)
{
	uint32_t hash = phiz_name_hash(key);

	for (size_t i = 0; i < t->count; i++)
		if (t->choice[i].hash == hash && !strcmp(t->choice[i].key, key))
			return &t->choice[i];
	return NULL;
}

const char *phiz_tuning_find(const struct phiz_tuning *tuning, const char *key)
{
	const struct phiz_choice *choice = find(tuning, key);
	return choice ? choice->kernel : NULL;
}

enum phiz_status phiz_tuning_set(struct phiz_tuning *t, const char *key, const char *kernel)
{
	struct phiz_choice *old = find(t, key), new = {.hash = phiz_name_hash(key)};

	new.kernel = phiz_strdup(t->ctx, kernel);
	if (old && new.kernel) {
		phiz_free(t->ctx, old->kernel);
		old->kernel = new.kernel;
		return PHIZ_OK;
	}
	new.key = new.kernel ? phiz_strdup(t->ctx, key) : NULL;
	if (!new.key || phiz_grow(t->ctx, &t->choice, &t->capacity, t->count + 1, sizeof *t->choice)) {
		phiz_free(t->ctx, new.key);
		phiz_free(t->ctx, new.kernel);
		return PHIZ_E_NOMEM;
	}
	t->choice[t->count++] = new;
	return PHIZ_OK;
}

/* --- The text --- */

/* The next line, without its end, into `line`; false if it is none that may stand here. */
static bool take_line(const char **at, const char *end, char line[MAX_LINE + 1])
{
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));
	size_t n = stop ? (size_t)(stop - *at) : 0;

	if (!stop || n == 0 || n > MAX_LINE)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((*at)[i] < ' ' || (*at)[i] > '~')
			return false;
	memcpy(line, *at, n);
	line[n] = 0;
	*at = stop + 1;
	return true;
}

/* Cuts the line at its last " = "; NULL where there is none, or nothing on one side of it, or a key twice. */
static const char *cut_choice(const struct phiz_tuning *t, char *line)
{
	char *kernel = strrchr(line, ' ');

	if (!kernel || kernel - line < 3 || memcmp(kernel - 2, equals, 3) != 0 || !kernel[1])
		return NULL;
	kernel[-2] = 0;
	return find(t, line) ? NULL : kernel + 1;
}

static enum phiz_status take_choices(struct phiz_tuning *t, const char *at, const char *end, const char *name)
{
	enum phiz_status status = PHIZ_OK;
	char line[MAX_LINE + 1];

	for (int n = 3; at < end && !status; n++) {
		const char *kernel = take_line(&at, end, line) ? cut_choice(t, line) : NULL;
		if (!kernel)
			return phiz_fail(t->ctx, PHIZ_E_FORMAT, "%s:%d: not a tuned choice", name, n);
		if (t->count == MAX_CHOICES)
			return phiz_fail(t->ctx, PHIZ_E_LIMIT, "%s: more than %d choices", name, MAX_CHOICES);
		status = phiz_tuning_set(t, line, kernel);
	}
	return status;
}

enum phiz_status phiz_tuning_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                   struct phiz_tuning **out)
{
	const char *at = text, *end = text + size;
	const size_t word = sizeof machine_word - 1;
	char line[MAX_LINE + 1];

	*out = NULL;
	if (!take_line(&at, end, line) || strcmp(line, first_line) != 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: not a file of tuned choices", name);
	if (!take_line(&at, end, line) || strncmp(line, machine_word, word) != 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:2: want the machine", name);
	enum phiz_status status = phiz_tuning_create(ctx, line + word, out);
	if (!status)
		status = take_choices(*out, at, end, name);
	if (status)
		phiz_tuning_free(out);
	return status;
}

void phiz_tuning_format(const struct phiz_tuning *t, struct phiz_bytes *out)
{
	phiz_bytes_printf(out, "%s\n%s%s\n", first_line, machine_word, t->machine);
	for (size_t i = 0; i < t->count; i++)
		phiz_bytes_printf(out, "%s%s%s\n", t->choice[i].key, equals, t->choice[i].kernel);
}

/* --- The file --- */

enum phiz_status phiz_tuning_read(struct phiz_ctx *ctx, const char *path, struct phiz_tuning **out)
{
	struct phiz_bytes text;

	*out = NULL;
	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_file_read(ctx, path, MAX_FILE, &text);
	if (!status)
		status = phiz_tuning_parse(ctx, text.data, text.size, path, out);
	phiz_bytes_free(&text);
	return status;
}

enum phiz_status phiz_tuning_write(const struct phiz_tuning *t, const char *path)
{
	struct phiz_bytes text;

	phiz_bytes_init(&text, t->ctx);
	phiz_tuning_format(t, &text);
	enum phiz_status status = phiz_bytes_status(&text);
	if (!status)
		status = phiz_file_write(t->ctx, path, text.data, text.size);
	phiz_bytes_free(&text);
	return status;
}

static char *beside(struct phiz_ctx *ctx, const char *model)
{
	return phiz_asprintf(ctx, "%s.tune", model);
}

enum phiz_status phiz_tuning_open_beside(struct phiz_ctx *ctx, const char *model, struct phiz_tuning **out)
{
	char *path = beside(ctx, model);
	enum phiz_status status = PHIZ_OK;

	*out = NULL;
	if (!path)
		return PHIZ_E_NOMEM;
	if (phiz_path_is_file(path))
		status = phiz_tuning_read(ctx, path, out);
	if (status && status != PHIZ_E_NOMEM) {
		phiz_log(ctx, PHIZ_LOG_WARN, "%s; going on untuned", phiz_ctx_message(ctx));
		phiz_ctx_clear(ctx);
		status = PHIZ_OK;
	}
	phiz_free(ctx, path);
	return status;
}

enum phiz_status phiz_tuning_write_beside(const struct phiz_tuning *tuning, const char *model)
{
	char *path = beside(tuning->ctx, model);
	enum phiz_status status = path ? phiz_tuning_write(tuning, path) : PHIZ_E_NOMEM;

	phiz_free(tuning->ctx, path);
	return status;
}
