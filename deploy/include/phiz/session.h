/* Running a model: open it once, make a session per thread, give pixels, read names.
 *
 *     phiz_runtime_open(ctx, "team.phiz", &runtime);
 *     phiz_session_create(runtime, ctx, NULL, &session);
 *     phiz_session_run(session, rgb, width, height, 3 * width);
 *     printf("%s %.3f\n", phiz_session_result(session)->name, phiz_session_result(session)->confidence);
 *
 * See tools/examples/name_face.c. */
#ifndef PHIZ_SESSION_H
#define PHIZ_SESSION_H

#include <phiz/image.h>
#include <phiz/model.h>
#include <phiz/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A model that was opened for running. Read-only from then on: any number of threads may make sessions of it. */
struct phiz_runtime;
/* What one thread needs to run it: plan, activations, results. */
struct phiz_session;

struct phiz_session_options {
	int batch;           /* pictures in one run, 1..1024; 0: 1 */
	size_t memory_limit; /* bytes of the plan; 0: none. LIMIT where it does not fit */
	bool embed;          /* give embeddings: of a model of task EMBED its output (there it is the only way), of a
	                        classifier what its last linear layer reads */
	bool sole;           /* the runtime's only session: weights that it keeps in another form are given up, which saves
	                        about half of the memory. No further session can be made of the runtime then (ARG) */
	bool flip;           /* embed: the sum of the embeddings of the picture and of its mirror image */
	enum phiz_dtype precision; /* of activations: F32 (0), BF16, or F16 where the backend is not the CPU */
	const struct phiz_backend *backend;  /* outlives the session; NULL: the CPU */
	const struct phiz_backend *fallback; /* as in phiz_plan_options; NULL: none */
};

struct phiz_candidate {
	int index;         /* of the class */
	const char *name;  /* its label */
	double confidence; /* softmax, 0..1 */
};

enum { PHIZ_MAX_CANDIDATES = 64 };

struct phiz_result {
	const char *name;  /* the best class's label, or "unknown" below the model's threshold */
	double confidence; /* of the best class, also where it is unknown */
	double score;      /* of the best class: what the threshold is compared with */
	enum phiz_score score_kind;
	bool known;
	int n_candidates;  /* min(classes, PHIZ_MAX_CANDIDATES), best first; equal confidences in order of index */
	struct phiz_candidate candidate[PHIZ_MAX_CANDIDATES];
	const float *logits; /* n_classes of them, as the network gave them */
	int n_classes;
};

/* Reads a .phiz file (a checkpoint too) and makes the inference form of it: batch norm folded, activations and
 * residuals fused. ctx must outlive the runtime. Errors: those of phiz_model_read. */
PHIZ_API enum phiz_status phiz_runtime_open(struct phiz_ctx *ctx, const char *path, struct phiz_runtime **out);
/* The same from a model in memory, which is taken over, also on failure. */
PHIZ_API enum phiz_status phiz_runtime_adopt(struct phiz_ctx *ctx, struct phiz_model *model, struct phiz_runtime **out);
/* After all its sessions. */
PHIZ_API void phiz_runtime_close(struct phiz_runtime **runtime);
PHIZ_API const struct phiz_model *phiz_runtime_model(const struct phiz_runtime *runtime);

/* ctx: the calling thread's own (phiz_ctx_fork for a further thread). options may be NULL. Errors: UNSUPPORTED (names
 * the node for which the backend has no kernel; F16 on the CPU), ARG, SHAPE, FORMAT, LIMIT, NOMEM. */
PHIZ_API enum phiz_status phiz_session_create(const struct phiz_runtime *runtime, struct phiz_ctx *ctx,
                                              const struct phiz_session_options *options, struct phiz_session **out);
PHIZ_API void phiz_session_free(struct phiz_session **session);
/* What it runs on: options.backend, or the fallback. */
PHIZ_API const struct phiz_backend *phiz_session_backend(const struct phiz_session *session);

/* One RGB picture: height rows of width * 3 bytes, each `stride` bytes after the one before. Preprocesses as the model
 * says and runs. Allocates nothing once a picture of these dimensions or larger was run. */
PHIZ_API enum phiz_status phiz_session_run(struct phiz_session *session, const uint8_t *rgb, int width, int height,
                                           size_t stride);
/* n pictures at once (n <= options.batch), RGB. */
PHIZ_API enum phiz_status phiz_session_run_images(struct phiz_session *session, const struct phiz_image *image, int n);
/* What the network itself reads, for callers that preprocess: picture i's place, phiz_session_input_bytes long, to be
 * written before the run. [3, size, size] floats, normalised; or, where it runs on a device, the bytes before that
 * (phiz_preproc_planes), which the device normalises to the same numbers. */
PHIZ_API void *phiz_session_input(struct phiz_session *session, int i);
PHIZ_API size_t phiz_session_input_bytes(const struct phiz_session *session);
PHIZ_API enum phiz_status phiz_session_run_input(struct phiz_session *session, int n);
/* Preprocesses a picture into such a place or into other memory. Any thread may, with its own ctx. Errors: those of
 * phiz_preproc_geometry. */
PHIZ_API enum phiz_status phiz_session_prepare(const struct phiz_session *session, struct phiz_ctx *ctx,
                                               const struct phiz_image *image, void *out);

/* Of the last run; valid until the next. i: which picture of the run. */
PHIZ_API const struct phiz_result *phiz_session_result(const struct phiz_session *session);
PHIZ_API const struct phiz_result *phiz_session_result_at(const struct phiz_session *session, int i);

/* With options.embed, instead of results: the length of an embedding, and the i-th of the last run, L2-normalised (all
 * zero where the network gave zeros); valid until the next run. 0 and NULL without. */
PHIZ_API int phiz_session_dim(const struct phiz_session *session);
PHIZ_API const float *phiz_session_embedding_at(const struct phiz_session *session, int i);

#ifdef __cplusplus
}
#endif
#endif
