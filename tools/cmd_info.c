/* phiz info: what is in a model, and what running it takes. */
#include <phiz/model.h>
#include <phiz/tune.h>
#include <stdio.h>
#include <string.h>

#include "core/base/bytes.h"
#include "tools/models.h"
#include "tools/tools.h"

struct settings {
	bool plan, train, json, optimize;
	int64_t batch, size, classes;
	const char *freeze;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--plan", FLAG, plan, NULL, 0, 0, "print the plan: steps, kernels, memory, FLOPs"),
	PHIZ_OPTION(struct settings, "--train", FLAG, train, NULL, 0, 0, "plan a training step instead of inference"),
	PHIZ_OPTION(struct settings, "--freeze", TEXT, freeze, "PREFIX", 0, 0,
	            "with --train: parameters whose names begin so do not train"),
	PHIZ_OPTION(struct settings, "--batch", INT, batch, "N", 1, 65536, "pictures in a run (default 1)"),
	PHIZ_OPTION(struct settings, "--size", INT, size, "S", 1, 16384,
	            "of the square input in pixels (default: the model's)"),
	PHIZ_OPTION(struct settings, "--classes", INT, classes, "N", 1, 1000000, "of a network without weights"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

/* Adds the loss to a model's graph and freezes parameters by prefix; for planning only. */
static enum phiz_status add_loss(struct phiz_ctx *ctx, struct phiz_model *m, const char *freeze, int *loss)
{
	struct phiz_graph *g = m->graph;
	struct phiz_shape one = phiz_shape_1d(1);
	int inputs[2] = {phiz_graph_output_at(g, 0), PHIZ_NONE};
	enum phiz_status status = phiz_graph_input(g, "labels", PHIZ_I32, &one, &inputs[1]);

	(void)ctx;
	for (int i = 0; freeze && i < phiz_graph_n_values(g); i++)
		if (!strncmp(phiz_graph_value(g, i)->name, freeze, strlen(freeze)))
			phiz_graph_value(g, i)->trainable = false;
	if (!status)
		status = phiz_graph_add(g, phiz_op_find("softmax_cross_entropy"), "loss", inputs, 2, NULL, 0, loss);
	return status;
}

static enum phiz_status make_plan(struct phiz_ctx *ctx, const struct settings *s, struct phiz_model *m,
                                  struct phiz_plan **plan)
{
	struct phiz_plan_options o = {
		.backend = phiz_backend_cpu(), .mode = s->train ? PHIZ_PLAN_TRAIN : PHIZ_PLAN_INFER, .batch = s->batch,
		.height = s->size, .width = s->size, .loss = PHIZ_NONE, .tuning = m->tuning,
	};
	enum phiz_status status = s->train ? phiz_pass_fuse_activation(m->graph, true) : phiz_model_optimize(m);

	if (!status && s->train)
		status = add_loss(ctx, m, s->freeze, &o.loss);
	return status ? status : phiz_plan_create(ctx, m->graph, &o, plan);
}

static const char *const meta_keys[] = {"detector", "licence", "source", "package", "version", "url", "source_sha256",
                                        "made_by", "created", "precision", "exported_from", "proof"};

static void print_texts(const struct phiz_model *m, const char *hash)
{
	for (int i = 0; i < PHIZ_COUNT(meta_keys); i++)
		if (phiz_model_meta(m, meta_keys[i]))
			printf("  %-13s %s\n", meta_keys[i], phiz_model_meta(m, meta_keys[i]));
	printf("  weights       sha256 %s\n", hash);
}

/* What the model is for, and what it gives. */
static void print_task(const struct phiz_model *m)
{
	switch (phiz_model_task(m)) {
	case PHIZ_TASK_CLASSIFY:
		printf("  task          names faces\n  classes       %lld", (long long)phiz_model_classes(m));
		for (size_t i = 0; i < m->n_labels && i < 6; i++)
			printf("%s%s", i ? ", " : ": ", m->label[i]);
		printf("%s\n", m->n_labels > 6 ? " ..." : "");
		break;
	case PHIZ_TASK_EMBED:
		printf("  task          embeds faces, to be compared by cosine\n");
		printf("  embedding     %lld numbers\n", (long long)phiz_model_classes(m));
		break;
	case PHIZ_TASK_DETECT:
		printf("  task          finds faces\n");
		break;
	}
}

/* How faces are cut out of photos for it. */
static void print_align(const struct phiz_align *a)
{
	printf("  alignment     %s", phiz_align_name(a->kind));
	if (a->kind == PHIZ_ALIGN_NONE)
		printf(": photos are crops already");
	else if (a->kind == PHIZ_ALIGN_ARCFACE)
		printf(", by five landmarks");
	else
		printf(a->kind == PHIZ_ALIGN_BOX ? ", margin %g of the side" : ", margin %g pixels", a->margin);
	if (a->kind != PHIZ_ALIGN_NONE)
		printf(", %d pixels", a->size);
	printf("\n");
}

static void print_threshold(const struct phiz_model *m)
{
	const struct phiz_threshold *t = &m->threshold;
	bool embeds = phiz_model_task(m) == PHIZ_TASK_EMBED;

	if (t->set)
		printf("  threshold     %s %.4f (false accepts asked %g, measured %g on %lld %s)\n",
		       phiz_score_name(phiz_model_score(m)), t->value, t->far, t->measured_far, (long long)t->strangers,
		       embeds ? "pairs of two" : "strangers");
	else if (embeds)
		printf("  threshold     none (phiz eval --pairs --write-threshold sets one; a gallery has its own)\n");
	else
		printf("  threshold     none: every face gets a name (phiz eval --write-threshold sets one)\n");
}

static void print_preproc(const struct phiz_model *m)
{
	const struct phiz_preproc *p = &m->preproc;

	print_align(&p->align);
	if (p->mode == PHIZ_RESIZE_SHORT)
		printf("  preprocessing crop %g, short side %d, centre %d", p->crop, p->resize, p->size);
	else
		printf("  preprocessing crop %g, stretch to %d", p->crop, p->size);
	printf(", mean %g %g %g, std %g %g %g\n", (double)p->mean[0], (double)p->mean[1], (double)p->mean[2],
	       (double)p->std[0], (double)p->std[1], (double)p->std[2]);
	print_threshold(m);
}

static void print_text(const struct phiz_model *m, const char *what, const char *hash, int64_t parameters,
                       const struct phiz_tuning_info *tuned)
{
	printf("%s\n", what);
	print_task(m);
	printf("  parameters    %lld\n", (long long)parameters);
	printf("  nodes         %d\n", phiz_graph_n_nodes(m->graph));
	if (phiz_model_task(m) != PHIZ_TASK_DETECT)
		print_preproc(m);
	print_texts(m, hash);
	if (!phiz_model_meta(m, "licence") && phiz_model_task(m) != PHIZ_TASK_CLASSIFY)
		printf("  licence       not stated\n");
	if (tuned->here)
		printf("  tuned         %d kernels chosen on this machine\n", tuned->choices);
	else if (tuned->choices)
		printf("  tuned         not for this machine, but for %s\n", tuned->machine);
}

/* "size" and "align", null where the model sees whole photos of any size. */
static void add_preproc(const struct phiz_model *m, struct phiz_bytes *b)
{
	const struct phiz_align *a = &m->preproc.align;

	if (phiz_model_task(m) == PHIZ_TASK_DETECT)
		phiz_bytes_text(b, "\"size\":null,\"align\":null");
	else
		phiz_bytes_printf(b, "\"size\":%d,\"align\":{\"kind\":\"%s\",\"margin\":%.17g,\"size\":%d}", m->preproc.size,
		                  phiz_align_name(a->kind), a->margin, a->size);
}

static const char *const task_name[] = {
	[PHIZ_TASK_CLASSIFY] = "classify", [PHIZ_TASK_EMBED] = "embed", [PHIZ_TASK_DETECT] = "detect",
};

static void print_json(struct phiz_ctx *ctx, const struct phiz_model *m, const char *what, const char *hash,
                       int64_t parameters, const struct phiz_tuning_info *tuned)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"model\":");
	phiz_bytes_json(&b, what);
	enum phiz_task task = phiz_model_task(m);
	long long outputs = task == PHIZ_TASK_DETECT ? 0 : (long long)phiz_model_classes(m);
	phiz_bytes_printf(&b, ",\"task\":\"%s\",\"classes\":%lld,\"embedding\":%lld,\"parameters\":%lld,\"nodes\":%d,"
	                  "\"labels\":[", task_name[task], task == PHIZ_TASK_CLASSIFY ? outputs : 0,
	                  task == PHIZ_TASK_EMBED ? outputs : 0, (long long)parameters, phiz_graph_n_nodes(m->graph));
	for (size_t i = 0; i < m->n_labels; i++) {
		phiz_bytes_text(&b, i ? "," : "");
		phiz_bytes_json(&b, m->label[i]);
	}
	phiz_bytes_text(&b, "],");
	add_preproc(m, &b);
	phiz_bytes_text(&b, ",\"threshold\":");
	if (m->threshold.set)
		phiz_bytes_printf(&b, "%.17g", m->threshold.value);
	else
		phiz_bytes_text(&b, "null");
	if (!phiz_model_meta(m, "licence"))
		phiz_bytes_text(&b, ",\"licence\":null");
	for (int i = 0; i < PHIZ_COUNT(meta_keys); i++)
		if (phiz_model_meta(m, meta_keys[i])) {
			phiz_bytes_printf(&b, ",\"%s\":", meta_keys[i]);
			phiz_bytes_json(&b, phiz_model_meta(m, meta_keys[i]));
		}
	phiz_bytes_printf(&b, ",\"tuned\":%s,\"weights_sha256\":\"%s\"}", tuned->here ? "true" : "false", hash);
	if (!phiz_bytes_status(&b))
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
}

static int print_plan(struct phiz_ctx *ctx, const struct settings *s, struct phiz_model *m)
{
	struct phiz_plan *plan;
	struct phiz_bytes text;
	int status = PHIZ_EXIT_FAILED;

	phiz_bytes_init(&text, ctx);
	if (!make_plan(ctx, s, m, &plan)) {
		if (!phiz_plan_dump(plan, &text)) {
			fputs(text.data, stdout);
			status = PHIZ_EXIT_DONE;
		}
		phiz_plan_free(&plan);
	}
	phiz_bytes_free(&text);
	return status ? phiz_report(ctx) : status;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_tuning_info tuned;
	struct phiz_model *m;
	int64_t parameters = 0;
	char hash[65];
	int status = PHIZ_EXIT_DONE;

	(void)n_args;
	if (phiz_open_model(ctx, args[0], s->classes, (int)s->size, &m))
		return phiz_report(ctx);
	for (size_t i = 0; i < m->n_entries; i++)
		if (m->entry[i].trainable)
			parameters += phiz_tensor_count(m->entry[i].tensor);
	phiz_model_hash(m, hash);
	if (phiz_tuning_describe(ctx, m->tuning, phiz_backend_cpu(), &tuned))
		status = phiz_report(ctx);
	else if (s->json)
		print_json(ctx, m, args[0], hash, parameters, &tuned);
	else
		print_text(m, args[0], hash, parameters, &tuned);
	if (s->plan && !status)
		status = print_plan(ctx, s, m);
	phiz_model_free(&m);
	return status;
}

static const struct settings defaults = {.batch = 1};

const struct phiz_verb phiz_verb_info = {
	"info", "what is in a model, and what running it takes", "MODEL [--plan] [--train] [--batch N] [--size S] [--json]",
	"MODEL is a .phiz file, a checkpoint, the folder of a run, a network's .cfg file,\n"
	"or the name of a built-in network (resnet18, resnet18_face, resnet34, resnet50,\n"
	"mobilefacenet, tiny).",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 1, 1, run,
};
