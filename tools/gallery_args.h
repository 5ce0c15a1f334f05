/* What the verbs of faces and galleries share: which gallery, which networks, which photos, which face. */
#ifndef PHIZ_TOOLS_GALLERY_ARGS_H
#define PHIZ_TOOLS_GALLERY_ARGS_H

#include <phiz/gallery.h>
#include <phiz/recognizer.h>

#include "core/base/file.h"
#include "tools/device_args.h"
#include "tools/tools.h"

struct phiz_gallery_args {
	const char *file, *key, *passphrase; /* passphrase: the path of a file that holds it */
	bool encrypt; /* only verbs that may make a gallery offer it */
};
struct phiz_face_args {
	const char *detector, *model;
	struct phiz_device_args device;
	bool aligned;
};
/* The networks that these name; all zero before they are opened. */
struct phiz_face_nets {
	struct phiz_recognizer *recognizer;
	struct phiz_device_choice device;
};

#define PHIZ_GALLERY_OPTIONS(settings) \
	PHIZ_OPTION(settings, "--gallery", TEXT, gallery.file, "FILE", 0, 0, \
	            "the gallery (default $PHIZ_GALLERY, else gallery.db in this folder)"), \
	PHIZ_OPTION(settings, "--key", TEXT, gallery.key, "FILE", 0, 0, \
	            "key file of an encrypted gallery (32 random bytes or more)"), \
	PHIZ_OPTION(settings, "--passphrase-file", TEXT, gallery.passphrase, "FILE", 0, 0, \
	            "instead: its passphrase, the first line of a file (else $PHIZ_GALLERY_PASSPHRASE, or it is asked for)")
#define PHIZ_FACE_OPTIONS(settings) \
	PHIZ_OPTION(settings, "--model", TEXT, face.model, "MODEL", 0, 0, \
	            "the embedder: a .phiz file, a run's folder or a model's name (default: the gallery's, else the best " \
	            "there is)"), \
	PHIZ_OPTION(settings, "--detector", TEXT, face.detector, "MODEL", 0, 0, \
	            "the detector (default: the best there is)"), \
	PHIZ_DEVICE_OPTIONS(settings, face.device), \
	PHIZ_OPTION(settings, "--aligned", FLAG, face.aligned, NULL, 0, 0, "the photos are aligned crops: no detector")

/* Where the gallery is, by option, environment or default. */
const char *phiz_gallery_place(const struct phiz_gallery_args *args);
/* Opens it; create: makes it if it is not there. */
enum phiz_status phiz_gallery_args_open(struct phiz_ctx *ctx, const struct phiz_gallery_args *args, bool create,
                                        struct phiz_gallery **out);
/* Detector and embedder; if gallery is not NULL it is bound to the embedder, or holds to another one: ARG. */
enum phiz_status phiz_face_args_open(struct phiz_ctx *ctx, const struct phiz_face_args *args,
                                     struct phiz_gallery *gallery, struct phiz_face_nets *out);
void phiz_face_nets_close(struct phiz_ctx *ctx, struct phiz_face_nets *nets);

/* The similarity from which on two faces are one person: given (if >= -1), else the gallery's (may be NULL), else the
 * model's, else 0.4 with a note. */
enum phiz_status phiz_similarity_threshold(double given, struct phiz_gallery *gallery,
                                           const struct phiz_model *model, double *out);
#define PHIZ_NO_THRESHOLD (-2.0)

/* The face of a photo that is meant to show one person. */
enum phiz_portrait_kind { PHIZ_PORTRAIT_ONE, PHIZ_PORTRAIT_NONE, PHIZ_PORTRAIT_SEVERAL };
struct phiz_portrait {
	enum phiz_portrait_kind kind; /* SEVERAL: the largest of several faces */
	int n_faces;
	float *embedding;             /* dim floats; NULL: NONE */
	struct phiz_face face;
	double quality;               /* 0..1 */
};
/* Errors of reading the photo and running the networks. Free with phiz_portrait_free. */
enum phiz_status phiz_portrait_read(struct phiz_ctx *ctx, struct phiz_recognizer *r, const char *path,
                                    struct phiz_portrait *out);
void phiz_portrait_free(struct phiz_ctx *ctx, struct phiz_portrait *portrait);

#endif
