/* The recipes of configs/, made into C by train/CMakeLists.txt. */
#ifndef PHIZ_TRAIN_RECIPE_BUILTIN_H
#define PHIZ_TRAIN_RECIPE_BUILTIN_H

struct phiz_builtin_recipe {
	const char *name, *text;
};

/* Ends with a row of NULLs. */
extern const struct phiz_builtin_recipe phiz_builtin_recipes[];

#endif
