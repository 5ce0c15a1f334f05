#include "train/recipe_builtin.h"

#include <string.h>

#include "train/recipe.h"

const char *phiz_recipe_builtin(const char *name)
{
	int i;

	for (i = 0; phiz_builtin_recipes[i].name; i++)
		if (strcmp(phiz_builtin_recipes[i].name, name) == 0)
			return phiz_builtin_recipes[i].text;
	return NULL;
}

const char *phiz_recipe_builtin_name(int i)
{
	int n = 0;

	while (phiz_builtin_recipes[n].name)
		n++;
	return i >= 0 && i < n ? phiz_builtin_recipes[i].name : NULL;
}
