/* The networks of configs/nets, compiled in (the table is made by core/CMakeLists.txt). */
#ifndef PHIZ_NN_BUILTIN_H
#define PHIZ_NN_BUILTIN_H

struct phiz_builtin_net {
	const char *name, *text; /* both NULL at the end of the table */
};
extern const struct phiz_builtin_net phiz_builtin_nets[];

#endif
