/* Tuned choices from inside (tuning.c: the table and its file; tune.c: plans that follow them, and timing). */
#ifndef PHIZ_GRAPH_TUNING_H
#define PHIZ_GRAPH_TUNING_H

#include <phiz/tune.h>

#include "core/base/bytes.h"

struct phiz_choice {
	char *key, *kernel;
	uint32_t hash; /* phiz_name_hash of the key */
};

struct phiz_tuning {
	struct phiz_ctx *ctx;
	char *machine;
	struct phiz_choice *choice;
	size_t count, capacity;
	int trial; /* for timing: plans take the kernel that comes so many behind the best, where there is one */
};

/* machine is copied; NULL: none. */
enum phiz_status phiz_tuning_create(struct phiz_ctx *ctx, const char *machine, struct phiz_tuning **out);
/* The kernel's name or NULL. */
const char *phiz_tuning_find(const struct phiz_tuning *tuning, const char *key);
/* In the place of what was chosen for this key, if anything. */
enum phiz_status phiz_tuning_set(struct phiz_tuning *tuning, const char *key, const char *kernel);

/* The file's text. name is used in messages. */
enum phiz_status phiz_tuning_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                   struct phiz_tuning **out);
void phiz_tuning_format(const struct phiz_tuning *tuning, struct phiz_bytes *out);

#endif
