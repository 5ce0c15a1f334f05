/* A model: graph, named tensors, labels, preprocessing, decision threshold, and where it came from. */
#ifndef PHIZ_MODEL_H
#define PHIZ_MODEL_H

#include <phiz/graph.h>
#include <phiz/preproc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A named tensor of a model. */
struct phiz_entry {
	char *name;
	uint32_t name_hash; /* phiz_name_hash of it */
	struct phiz_tensor *tensor;
	bool trainable; /* a parameter; false: a buffer */
};

/* What a model's output means; kept as meta "task". */
enum phiz_task {
	PHIZ_TASK_CLASSIFY, /* a logit per class (no meta "task") */
	PHIZ_TASK_EMBED,    /* an embedding, compared by cosine; labels are empty, the threshold is a cosine */
	PHIZ_TASK_DETECT    /* faces; meta "detector" says which decoder reads the outputs. May have several inputs of
	                       f32 [1, 3, H, W] and several outputs */
};

/* A key with a text, such as licence = "MIT"; kept in the file in order of insertion. */
struct phiz_meta {
	char *key, *text;
};

/* What a threshold is compared with. */
enum phiz_score {
	PHIZ_SCORE_CONFIDENCE, /* the softmax of the best class, 0..1 */
	PHIZ_SCORE_COSINE      /* -1..1: of an embedder, between two embeddings; of a classifier whose last layer reads
	                          directions (l2_normalize), between the face's and the best class's row */
};

/* The decision threshold: below it a face is "unknown". */
struct phiz_threshold {
	bool set;
	enum phiz_score score; /* of a classifier */
	double value;
	double far;      /* the false-accept rate it was chosen for */
	double measured_far, tar; /* what it gave on the strangers and the known people it was chosen on */
	int64_t strangers;        /* how many of them */
};

/* The model owns everything in it. Fields are public: read freely, change through the functions where there are any. */
struct phiz_model {
	struct phiz_ctx *ctx;
	struct phiz_graph *graph; /* params and buffers borrow the entries' tensors. Input
	                             "image" [1,3,S,S], one output; another form only with task DETECT */
	struct phiz_entry *entry;
	size_t n_entries, entries_capacity;
	char **label; /* class names by index */
	size_t n_labels;
	struct phiz_preproc preproc;
	struct phiz_threshold threshold;
	struct phiz_meta *meta; /* licence, source, net (its .cfg text), recipe, created, made_by ... */
	size_t n_meta, meta_capacity;
	struct phiz_tuning *tuning; /* of the file that was read, for plans that run the model; NULL: none (tune.h) */
};

PHIZ_API enum phiz_status phiz_model_create(struct phiz_ctx *ctx, struct phiz_model **out);
PHIZ_API void phiz_model_free(struct phiz_model **model);

/* Adds a tensor (taking it over, also on failure) under a new name. ARG if the name is there. */
PHIZ_API enum phiz_status phiz_model_add(struct phiz_model *model, const char *name, struct phiz_tensor *tensor,
                                         bool trainable);
/* The entry of this name or NULL. */
PHIZ_API struct phiz_entry *phiz_model_find(const struct phiz_model *model, const char *name);
PHIZ_API enum phiz_status phiz_model_set_labels(struct phiz_model *model, const char *const *label, size_t count);
/* NULL text removes the key. */
PHIZ_API enum phiz_status phiz_model_set_meta(struct phiz_model *model, const char *key, const char *text);
PHIZ_API const char *phiz_model_meta(const struct phiz_model *model, const char *key);
PHIZ_API enum phiz_task phiz_model_task(const struct phiz_model *model);
PHIZ_API enum phiz_status phiz_model_set_task(struct phiz_model *model, enum phiz_task task);
/* What the model decides by: where it has a threshold, what that is of; else the cosine if it has one. */
PHIZ_API enum phiz_score phiz_model_score(const struct phiz_model *model);
PHIZ_API const char *phiz_score_name(enum phiz_score score); /* "confidence", "cosine" */
/* Number of classes: dim 1 of the graph's (first) output. */
PHIZ_API int64_t phiz_model_classes(const struct phiz_model *model);
/* Gives the last linear layer `classes` outputs, newly initialised as PyTorch does (uniform in +-1/sqrt(fan_in)) from
 * seed. An embedder becomes a classifier: it gets a linear layer "head" that reads its embedding at length 1, so that
 * a row of head.weight is a direction, and a logit a cosine times the row's length. UNSUPPORTED if the output is not
 * made by a linear layer. */
PHIZ_API enum phiz_status phiz_model_replace_head(struct phiz_model *model, int64_t classes, uint64_t seed);
/* A copy with its own tensors. */
PHIZ_API enum phiz_status phiz_model_clone(const struct phiz_model *model, struct phiz_model **out);
/* Adds the other model's graph, with its outputs and copies of its tensors, beside this one's, each name behind prefix.
 * Labels, texts and preprocessing stay this model's. On failure a part may be there. Errors: ARG (a name is taken),
 * NOMEM. */
PHIZ_API enum phiz_status phiz_model_merge(struct phiz_model *into, const struct phiz_model *from, const char *prefix);
/* Drops entries that the graph does not use. */
PHIZ_API enum phiz_status phiz_model_prune(struct phiz_model *model);
/* SHA-256 in hex over all entries in bytewise order of names: name, NUL, dtype name, NUL, shape text, NUL, bytes. */
PHIZ_API void phiz_model_hash(const struct phiz_model *model, char out[65]);

/* Folds batch norm, fuses residual and activation, drops what is dead: the graph that inference runs. */
PHIZ_API enum phiz_status phiz_model_optimize(struct phiz_model *model);

/* Networks from text (io/net_cfg.c). cfg is the text of a file of configs/nets; name is used in messages ("file:line").
 * Parameters are initialised as PyTorch does, from seed. classes 0 / size 0: what the file says. */
PHIZ_API enum phiz_status phiz_model_from_cfg(struct phiz_ctx *ctx, const char *cfg, const char *name, int64_t classes,
                                              int size, uint64_t seed, struct phiz_model **out);
/* The text of a built-in network (configs/nets, compiled in): "resnet18", "resnet34", "resnet50", "tiny",
 * "mobilefacenet" ...; NULL if there is none of this name. phiz_net_builtin_name(i) lists them until NULL. */
PHIZ_API const char *phiz_net_builtin(const char *name);
PHIZ_API const char *phiz_net_builtin_name(int i);

/* The model file (.phiz): a safetensors file whose __metadata__ holds the rest (io/model_file.c says which keys). If
 * meta "precision" is fp16 or bf16 (else fp32 or int8), tensors of two and more dims are stored so; NUMERIC if one
 * overflows. */
PHIZ_API enum phiz_status phiz_model_write(struct phiz_model *model, const char *path);
/* Reads the tuned choices beside it, too, where there are any. Errors: FORMAT (not a model, damaged: the stored hash
 * does not match), UNSUPPORTED (made by a newer phiz), ... */
PHIZ_API enum phiz_status phiz_model_read(struct phiz_ctx *ctx, const char *path, struct phiz_model **out);
/* Reads the file once more and checks every sum in it, those too that are too slow for starting up. */
PHIZ_API enum phiz_status phiz_model_verify(struct phiz_ctx *ctx, const char *path);
/* The same for extra tensors beside the model's own, for checkpoints: names begin with "optimizer/", "ema/" ... They
 * are no part of phiz_model_hash and are NULL where they are not wanted. */
struct phiz_extra {
	struct phiz_entry *entry;
	size_t count, capacity;
};
PHIZ_API enum phiz_status phiz_extra_add(struct phiz_ctx *ctx, struct phiz_extra *extra, const char *name,
                                         struct phiz_tensor *tensor);
PHIZ_API struct phiz_tensor *phiz_extra_find(const struct phiz_extra *extra, const char *name);
PHIZ_API void phiz_extra_free(struct phiz_ctx *ctx, struct phiz_extra *extra);
PHIZ_API enum phiz_status phiz_model_write_with(struct phiz_model *model, const struct phiz_extra *extra,
                                                const char *path);
PHIZ_API enum phiz_status phiz_model_read_with(struct phiz_ctx *ctx, const char *path, struct phiz_model **out,
                                               struct phiz_extra *extra);

#ifdef __cplusplus
}
#endif
#endif
