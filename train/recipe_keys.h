/* The table of a recipe's keys; seen by recipe.c alone. */
#ifndef PHIZ_TRAIN_RECIPE_KEYS_H
#define PHIZ_TRAIN_RECIPE_KEYS_H

#include "train/recipe.h"

enum phiz_key_kind {
	PHIZ_KEY_INT,    /* int64_t */
	PHIZ_KEY_SMALL,  /* int */
	PHIZ_KEY_FLOAT,  /* double */
	PHIZ_KEY_BOOL,   /* bool */
	PHIZ_KEY_CHOICE, /* int: the index into choices */
	PHIZ_KEY_TEXT,   /* char *, checked by `check` */
	PHIZ_KEY_CROP,   /* double: none | center:F */
	PHIZ_KEY_RESIZE, /* struct phiz_recipe_resize: stretch | short:N */
	PHIZ_KEY_TRIPLE, /* double[3] */
	PHIZ_KEY_PAIR,   /* double[2] */
	PHIZ_KEY_SMALLS  /* int[2] */
};

struct phiz_recipe_key {
	const char *section, *key;
	enum phiz_key_kind kind;
	size_t offset; /* in struct phiz_recipe */
	double min, max;
	const char *initial; /* the default, as text */
	const char *const *choices; /* CHOICE: NULL-terminated */
	enum phiz_status (*check)(struct phiz_ctx *ctx, const char *text); /* TEXT: is it well-formed? */
	const char *help;
};

extern const struct phiz_recipe_key phiz_recipe_keys[];
extern const size_t phiz_recipe_n_keys;

#endif
