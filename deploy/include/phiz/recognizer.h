/* From photos to faces with embeddings or names: detector, alignment and network in one object.
 *
 *     phiz_recognizer_open(ctx, "yunet.phiz", "mobilefacenet.phiz", NULL, &recognizer);
 *     phiz_recognizer_run(recognizer, &image, &found, &n);
 *     for (i = 0; i < n; i++)
 *         look_up(found[i].embedding, phiz_recognizer_dim(recognizer)); */
#ifndef PHIZ_RECOGNIZER_H
#define PHIZ_RECOGNIZER_H

#include <phiz/detector.h>
#include <phiz/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Used by one thread at a time; several may be made of the same files. */
struct phiz_recognizer;

struct phiz_recognizer_options {
	struct phiz_detector_options detector;
	bool flip;  /* add the embedding of the mirror image: a little more exact, twice the work */
	bool quick; /* take YuNet's landmarks as they come; else each face is looked at again at four sizes, which aligns
	               small and turned faces better, and costs about as much as MobileFaceNet's embedding */
	bool names; /* the model is a classifier that names faces; instead of embeddings there are results */
	/* Of the model, as in phiz_session_options; the detector, in float32, is on the same backend unless its own options
	 * name another. */
	enum phiz_dtype precision;
	const struct phiz_backend *backend, *fallback;
};

struct phiz_found {
	struct phiz_face face;  /* the whole picture, score 1, without landmarks (zeros), where there is no detector */
	const float *embedding; /* phiz_recognizer_dim floats, L2-normalised; until the next run. NULL with options.names */
	const struct phiz_result *result; /* with options.names, until the next run; else NULL */
	struct phiz_image crop; /* aligned, what the network saw; borrowed until the next run */
};

/* How faces are cut out of photos for a model: its preproc.align; where that is NONE, the square around the box, larger
 * by a quarter. */
PHIZ_API struct phiz_align phiz_recognizer_align(const struct phiz_model *model);

/* detector: path of a .phiz file; NULL: pictures are crops already. model: path of an embedder or a classifier (of this
 * the embedding is what its last linear layer reads). options may be NULL. ctx must outlive the recognizer. Errors:
 * those of phiz_detector_open, phiz_runtime_open and phiz_session_create. */
PHIZ_API enum phiz_status phiz_recognizer_open(struct phiz_ctx *ctx, const char *detector, const char *model,
                                               const struct phiz_recognizer_options *options,
                                               struct phiz_recognizer **out);
PHIZ_API void phiz_recognizer_free(struct phiz_recognizer **recognizer);

/* Length of an embedding; 0 with options.names. */
PHIZ_API int phiz_recognizer_dim(const struct phiz_recognizer *recognizer);
/* The embedder or classifier. */
PHIZ_API const struct phiz_model *phiz_recognizer_model(const struct phiz_recognizer *recognizer);
/* What makes embeddings comparable: SHA-256 over the weights as they lie in the file (phiz_model_hash), preprocessing
 * and alignment; 64 hex digits. Embeddings of different hashes cannot be compared. */
PHIZ_API const char *phiz_recognizer_hash(const struct phiz_recognizer *recognizer);

/* The faces of an RGB picture with their embeddings or names, best score first; *found holds n of them until the next
 * run. No face is no error (n = 0). A face that cannot be cut out is left out, with a warning in the log. Errors: those
 * of phiz_detector_run and phiz_session_run_images; UNSUPPORTED if the model wants landmarks and the detector gives
 * none. */
PHIZ_API enum phiz_status phiz_recognizer_run(struct phiz_recognizer *recognizer, const struct phiz_image *image,
                                              const struct phiz_found **found, int *n);

#ifdef __cplusplus
}
#endif
#endif
