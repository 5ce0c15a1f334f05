/* The models that others trained and that phiz knows how to get: what each is, under which licence, from where, and the
 * SHA-256 that what comes must have. */
#ifndef PHIZ_TOOLS_ZOO_H
#define PHIZ_TOOLS_ZOO_H

#include <stddef.h>

#include <phiz/model.h>

enum { PHIZ_ZOO_FILES = 3 };

struct phiz_zoo_file {
	const char *name;   /* as it is called where it comes from, and as --from wants it */
	const char *member; /* its path inside the package's wheel; NULL without a package */
	const char *url;    /* https; NULL with a package */
	const char *sha256; /* 64 hex digits */
	size_t size;        /* bytes */
};

struct phiz_zoo_model {
	const char *name;    /* as verbs name it: the file in the models folder is NAME.phiz */
	const char *task;    /* "detector" or "embedder" */
	const char *summary; /* one line */
	const char *licence; /* of the weights, SPDX */
	const char *source;  /* whose they are */
	const char *package, *version; /* of PyPI, the wheel that holds the files; NULL: url */
	const char *measured; /* what it gave here, with the command; NULL */
	/* Embedders: how its input is made; ONNX files do not say. Detectors: nothing. */
	const struct phiz_preproc *preproc;
	int n_files;
	struct phiz_zoo_file file[PHIZ_ZOO_FILES];
};

extern const struct phiz_zoo_model phiz_zoo[];
extern const int phiz_n_zoo;

/* NULL if there is none of this name. */
const struct phiz_zoo_model *phiz_zoo_find(const char *name);
/* The name that was perhaps meant, or NULL. */
const char *phiz_zoo_suggest(const char *name);

#endif
