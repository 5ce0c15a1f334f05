/* phiz eval: how good a model is, and the threshold that keeps strangers out. */
#include <inttypes.h>
#include <math.h>
#include <phiz/recognizer.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "datasets/split.h"
#include "tools/embedder.h"
#include "tools/eval_faces.h"
#include "tools/device_args.h"
#include "tools/eval_pairs.h"
#include "tools/find_faces.h"
#include "tools/models.h"
#include "tools/tools.h"
#include "train/report.h"

struct settings {
	const char *classifier;
	double val;
	int64_t splits, per_person;
	bool aligned, decision;
	const char *data, *split, *part, *strangers, *report, *against;
	const char *pairs, *root, *box, *detector, *degrade;
	struct phiz_device_args device;
	double far;
	bool json, write_threshold, strict, flip, detect;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--data", TEXT, data, "DIR", 0, 0, "photos, a folder per person"),
	PHIZ_OPTION(struct settings, "--split", TEXT, split, "CSV", 0, 0,
	            "take only the photos of one part of this split (phiz data split); its strangers are used too"),
	PHIZ_OPTION(struct settings, "--part", TEXT, part, "PART", 0, 0, "with --split: val, test or train (default val)"),
	PHIZ_OPTION(struct settings, "--strangers", TEXT, strangers, "DIR|LIST", 0, 0,
	            "photos of people whom the model does not know: a folder, or a text file with a path on each line"),
	PHIZ_OPTION(struct settings, "--far", REAL, far, "RATE", 0, 1,
	            "share of strangers that may be taken for somebody (default 0.01)"),
	PHIZ_OPTION(struct settings, "--report", TEXT, report, "DIR", 0, 0, "write report.html and its data here"),
	PHIZ_OPTION(struct settings, "--write-threshold", FLAG, write_threshold, NULL, 0, 0,
	            "store the threshold in the model's file: below it, phiz predict says unknown"),
	PHIZ_OPTION(struct settings, "--against", TEXT, against, "MODEL2", 0, 0,
	            "compare with another model, photo by photo"),
	PHIZ_OPTION(struct settings, "--pairs", TEXT, pairs, "LIST", 0, 0,
	            "instead of --data: judge pairs, one person or two (LFW's pairs.txt, or a CSV file,file,same)"),
	PHIZ_OPTION(struct settings, "--root", TEXT, root, "DIR", 0, 0,
	            "with --pairs: where the pictures lie (default: beside the list)"),
	PHIZ_OPTION(struct settings, "--flip", FLAG, flip, NULL, 0, 0, "with --pairs: add the mirror image's embedding"),
	PHIZ_OPTION(struct settings, "--box", TEXT, box, "X,Y,W,H", 0, 0,
	            "with --pairs: take this box of each picture, in pixels (default: all of it)"),
	PHIZ_OPTION(struct settings, "--degrade", TEXT, degrade, "HOW", 0, 0,
	            "with --pairs: make each picture worse first: blur:SIGMA, jpeg:QUALITY, scale:FACTOR, gray, "
	            "rotate:DEGREES or gamma:G"),
	PHIZ_OPTION(struct settings, "--detect", FLAG, detect, NULL, 0, 0,
	            "find the face in each photo and cut it out as the model says; where there is none: the photo as it "
	            "is, with --pairs the box, or the middle"),
	PHIZ_OPTION(struct settings, "--detector", TEXT, detector, "NAME", 0, 0,
	            "as --detect, by this detector (a name or a file; default: the best there is)"),
	PHIZ_DEVICE_OPTIONS(struct settings, device),
	PHIZ_PRECISION_OPTION(struct settings, device),
	PHIZ_OPTION(struct settings, "--strict", FLAG, strict, NULL, 0, 0, "a photo that cannot be read is an error"),
	PHIZ_OPTION(struct settings, "--classifier", TEXT, classifier, "NAME", 0, 0,
	            "judge classifiers on the model's embeddings: nearest, knn, means, svm or all"),
	PHIZ_OPTION(struct settings, "--aligned", FLAG, aligned, NULL, 0, 0,
	            "with --classifier: the photos are aligned crops, no detector"),
	PHIZ_OPTION(struct settings, "--splits", INT, splits, "N", 1, 100,
	            "with --classifier, without --split: draw so many splits (default 5)"),
	PHIZ_OPTION(struct settings, "--val", REAL, val, "SHARE", 0.01, 0.99, "of drawn splits (default 0.2)"),
	PHIZ_OPTION(struct settings, "--per-person", INT, per_person, "N", 1, 100000,
	            "with --classifier: learn from at most so many photos of each person (default: all)"),
	PHIZ_OPTION(struct settings, "--by-decision", FLAG, decision, NULL, 0, 0,
	            "with --classifier svm: the threshold is on decision values, not on cosines"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

struct bar {
	struct phiz_progress progress;
	const char *model;
};

static void show_progress(void *user, size_t done, size_t total, double top1)
{
	struct bar *bar = user;

	phiz_progress_show(&bar->progress, (double)done, (double)total, done == total,
	                   "%s: %zu of %zu photos  accuracy %.1f %%",
	                   phiz_path_base(bar->model), done, total, isfinite(top1) ? 100 * top1 : 0);
}

static enum phiz_status open_photos(struct phiz_ctx *ctx, const struct settings *s, struct phiz_dataset **out)
{
	struct phiz_scan_options o = {.min_people = 1, .allow_empty = true};
	enum phiz_status status = s->split ? phiz_split_read(ctx, s->split, s->data, out)
	                                   : phiz_dataset_scan(ctx, s->data, &o, out);

	if (!status && s->strangers)
		status = phiz_dataset_add_strangers(ctx, *out, s->strangers);
	return status;
}

/* What is judged: models on the same photos. */
struct judged {
	const struct settings *settings;
	enum phiz_part part;
	struct phiz_device_choice device;
	struct phiz_dataset *dataset;
	char *detector;              /* path; NULL: landmarks.csv, where there is one */
	struct phiz_landmarks found; /* by the detector, once for all models */
};

/* Where the faces are for this model, and how it has them cut out. own: what was read for it alone. */
static enum phiz_status place_faces(struct phiz_ctx *ctx, struct judged *j, const struct phiz_model *model,
                                    struct phiz_landmarks *own, struct phiz_eval_options *o)
{
	o->align = j->detector ? phiz_recognizer_align(model) : model->preproc.align;
	o->how = j->detector ? phiz_path_base(j->detector) : PHIZ_LANDMARKS_NAME;
	enum phiz_status status = j->detector ? PHIZ_OK : phiz_read_faces(ctx, j->dataset, &o->align, own);
	if (!status && j->detector && !j->found.face)
		status = phiz_find_faces(ctx, j->dataset, j->part, j->detector, &j->device, &j->found);
	o->faces = j->detector ? &j->found : own->face ? own : NULL;
	return status;
}

static enum phiz_status evaluate(struct phiz_ctx *ctx, struct judged *j, const char *what, struct phiz_eval **out)
{
	struct phiz_model *model = NULL;
	struct phiz_landmarks own = {0};
	struct bar bar;
	char *path = NULL;
	struct phiz_eval_options o = {
		.dataset = j->dataset, .part = j->part, .far = j->settings->far, .strict = j->settings->strict,
		.cancel = &phiz_interrupted, .progress = show_progress, .user = &bar, .precision = j->device.precision,
		.backend = j->device.backend, .fallback = j->device.fallback,
	};
	enum phiz_status status = phiz_find_model_file(ctx, what, &path);

	if (!status)
		status = phiz_model_read(ctx, path, &model);
	if (!status && phiz_model_task(model) != PHIZ_TASK_CLASSIFY)
		status = phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: the model %s", path,
		                   phiz_model_task(model) == PHIZ_TASK_EMBED
		                   ? "gives embeddings, no names: --pairs LIST or --classifier all judges it"
		                   : "finds faces, it names none: phiz data detect --truth judges it");
	if (!status)
		status = place_faces(ctx, j, model, &own, &o);
	if (!status) {
		o.path = bar.model = path;
		phiz_progress_start(&bar.progress);
		status = phiz_eval_run(ctx, model, &o, out);
		phiz_progress_clear(&bar.progress);
	}
	phiz_landmarks_free(ctx, &own);
	phiz_model_free(&model);
	phiz_free(ctx, path);
	return status;
}

static void print_share(const char *what, double share, struct phiz_interval i, const char *more)
{
	printf("%-18s %6.2f %%  (95 %% interval %.1f to %.1f)%s\n", what, 100 * share, 100 * i.low, 100 * i.high, more);
}

static void print_text(const struct settings *s, const struct phiz_eval_report *r)
{
	const struct phiz_eval *e = r->eval;
	const struct phiz_accuracy *a = &e->accuracy;

	printf("%s: %" PRId64 " photos of known people, %" PRId64 " of strangers", e->path, a->photos, e->strangers);
	if (e->n_errors)
		printf(", %zu could not be read", e->n_errors);
	printf("\n");
	if (e->how)
		printf("%-18s %" PRId64 " of %zu photos, by %s; the others as they are\n", "faces cut out", e->cut, e->count,
		       e->how);
	print_share("named rightly", a->top1, a->top1_interval, "");
	print_share("among the first 5", a->top5, a->top5_interval, "");
	printf("%-18s %6.4f    (mean over people)\n", "macro F1", a->macro_f1);
	printf("%-18s %6.4f    (how far confidence is from accuracy; 0 is best)\n", "ECE", a->ece);
	if (e->strangers) {
		printf("%-18s %6.4f    of the %s, for at most %.3g %% of strangers%s\n", "threshold", e->point.value,
		       phiz_score_name(e->score), 100 * s->far, r->threshold_stored ? "; stored in the model" : "");
		print_share("  strangers in", e->point.far, e->point.far_interval, "");
		print_share("  known, named", e->point.tar, e->point.tar_interval, "");
		printf("%-18s %6.4f    EER %.2f %%\n", "AUC", e->roc.auc, 100 * e->roc.eer);
	}
	printf("%-18s %6.1f ms a photo, %.1f ms of it in the network\n", "time", 1e3 * e->seconds / (double)e->count,
	       1e3 * e->network_seconds / (double)e->count);
	if (r->against)
		printf("%-18s %+6.2f points for %s: %" PRId64 " photos that only it names rightly, %" PRId64
		       " that only %s does, McNemar p = %.3g\n", "against", 100 * r->comparison->difference, r->against->path,
		       r->comparison->only_b, r->comparison->only_a, e->path, r->comparison->p);
	if (s->report)
		printf("report: %s/report.html\n", s->report);
}

static enum phiz_status print_json(struct phiz_ctx *ctx, const struct phiz_eval_report *r)
{
	struct phiz_bytes text;

	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_eval_report_summary(r, &text);
	if (!status)
		printf("%s\n", text.data);
	phiz_bytes_free(&text);
	return status;
}

static enum phiz_status finish(struct phiz_ctx *ctx, const struct settings *s, struct phiz_eval_report *r)
{
	enum phiz_status status = PHIZ_OK;

	if (s->write_threshold) {
		status = phiz_eval_store_threshold(r->eval);
		r->threshold_stored = !status;
	}
	if (!status && s->report)
		status = phiz_eval_report_write(r, s->report);
	if (!status && s->json)
		status = print_json(ctx, r);
	else if (!status)
		print_text(s, r);
	return status;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args);

static const struct settings defaults = {.splits = 5, .val = 0.2, .far = 0.01};

const struct phiz_verb phiz_verb_eval = {
	"eval", "how good a model is, and the threshold that keeps strangers out",
	"MODEL --data DIR [--split CSV [--part val]] [--strangers DIR|LIST] [--far RATE] [--detect] --report DIR\n"
	"       [--json]\n"
	"       phiz eval MODEL --pairs LIST [--root DIR] [--flip] [--box X,Y,W,H] [--detect] [--report DIR] [--json]",
	"MODEL is a .phiz file, a checkpoint or the folder of a run. The folders of DIR carry\n"
	"the names of the model's people; without --split all their photos are judged. Of a\n"
	"model that has faces cut out (data.align), they are cut out of the photos as in\n"
	"training, by landmarks.csv; --detect finds them instead; in folders of phiz data\n"
	"extract the photos are such crops already. With\n"
	"strangers, the smallest threshold is found at which at most --far of them are taken\n"
	"for somebody; tar is the share of the known people's photos that are accepted and\n"
	"named rightly there. --report writes report.html (one file, for any browser),\n"
	"report.json, predictions.csv, confusion.png, reliability.svg and roc.svg. --json\n"
	"prints images, top1, top5, macro_f1, threshold, far, tar and more; shares are 0 to 1,\n"
	"and what needs strangers is null without them. A photo that cannot be read is named\n"
	"and left out (errors counts them).\n\n"
	"With --pairs, MODEL embeds each picture (an embedder, or a classifier's last features)\n"
	"and two are of one person where the cosine is high enough: accuracy, mean and spread\n"
	"over the list's folds, each at the threshold that suits the others best; tar_far_1e-2\n"
	"and tar_far_1e-3, the share of pairs of one person that are accepted where 1 in 100 or\n"
	"1,000 pairs of two are; eer and auc. Pictures are taken as crops, by --box, or by\n"
	"--detect. --write-threshold stores the cosine for --far in an embedder. --degrade shows\n"
	"how the model bears worse pictures (tools/robustness makes a table of it).\n\n"
	"With --classifier the model is an embedder: faces are found, aligned and embedded,\n"
	"the classifiers learn from the training part of the split (or of --splits drawn ones)\n"
	"and are judged on the validation part: top-1, and right at the threshold that --far of\n"
	"the strangers reach. A photo without a face counts as wrong.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 1, 1, run,
};

static int check_pairs(const struct settings *s, int box[4])
{
	if (s->data || s->split || s->part || s->strangers || s->against)
		return phiz_usage(&phiz_verb_eval, "--pairs stands alone: --data, --split, --part, --strangers and --against "
		                  "are for judging names");
	if (s->box && !phiz_box_parse(s->box, box))
		return phiz_usage(&phiz_verb_eval, "--box %s: want X,Y,WIDTH,HEIGHT in whole pixels", s->box);
	return 0;
}

static int run_pairs(struct phiz_ctx *ctx, const struct settings *s, const char *model)
{
	struct phiz_eval_pairs p = {
		.model = model, .pairs = s->pairs, .root = s->root, .detector = s->detector, .report = s->report, .far = s->far,
		.flip = s->flip, .detect = s->detect || s->detector, .json = s->json, .strict = s->strict,
		.write_threshold = s->write_threshold, .degrade = s->degrade, .device = s->device,
	};
	int usage = check_pairs(s, p.box);

	return usage ? usage : phiz_eval_pairs(ctx, &p);
}

static int check_usage(const struct settings *s, enum phiz_part *part)
{
	*part = s->split ? PHIZ_PART_VAL : PHIZ_PART_TRAIN; /* a scan without a split calls everything training */
	if (!s->data)
		return phiz_usage(&phiz_verb_eval, "--data DIR is missing (or --pairs LIST)");
	if (s->root || s->flip || s->box || s->degrade)
		return phiz_usage(&phiz_verb_eval, "--root, --flip, --box and --degrade belong to --pairs LIST");
	if (s->aligned && (s->detect || s->detector))
		return phiz_usage(&phiz_verb_eval, "--aligned takes photos as crops, --detect finds the faces: want one");
	if (s->device.precision && s->classifier)
		return phiz_usage(&phiz_verb_eval, "--precision: classifiers are judged on embeddings in fp32");
	if (!s->report && !s->json && !s->classifier)
		return phiz_usage(&phiz_verb_eval, "want --report DIR or --json, or both");
	if (s->part && !s->split)
		return phiz_usage(&phiz_verb_eval, "--part belongs to --split CSV");
	if (s->part && (!phiz_part_parse(s->part, part) || *part > PHIZ_PART_TEST))
		return phiz_usage(&phiz_verb_eval, "--part %s: want train, val or test", s->part);
	return 0;
}

static enum phiz_status judge(struct phiz_ctx *ctx, const struct settings *s, struct judged *j, const char *model)
{
	struct phiz_eval *eval = NULL, *against = NULL;
	struct phiz_comparison comparison = {0};
	enum phiz_status status = open_photos(ctx, s, &j->dataset);

	if (!status)
		status = phiz_device_open(ctx, &s->device, &j->device);
	if (!status && (s->detect || s->detector))
		status = phiz_choose_model(ctx, PHIZ_MODEL_DETECTOR, s->detector, &j->detector);
	if (!status)
		status = evaluate(ctx, j, model, &eval);
	if (!status && s->against)
		status = evaluate(ctx, j, s->against, &against);
	if (!status && against)
		status = phiz_compare(ctx, eval, against, &comparison);
	if (!status) {
		struct phiz_eval_report r = {
			.eval = eval, .against = against, .comparison = against ? &comparison : NULL, .data = s->data,
			.split = s->split, .part = s->split ? phiz_part_name(j->part) : NULL, .strangers = s->strangers,
			.date = (int64_t)time(NULL),
		};
		status = finish(ctx, s, &r);
	}
	phiz_comparison_free(ctx, &comparison);
	phiz_eval_free(&against);
	phiz_eval_free(&eval);
	phiz_landmarks_free(ctx, &j->found);
	phiz_dataset_free(ctx, &j->dataset);
	phiz_free(ctx, j->detector);
	phiz_device_close(ctx, &j->device);
	return status;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct judged j = {.settings = s};

	(void)n_args;
	if (s->pairs)
		return run_pairs(ctx, s, args[0]);
	int usage = check_usage(s, &j.part);
	if (usage)
		return usage;
	if (s->classifier) {
		struct phiz_eval_faces e = {
			.model = args[0], .data = s->data, .split = s->split, .strangers = s->strangers,
			.classifier = s->classifier, .detector = s->detector, .device = s->device,
			.far = s->far, .val = s->val, .splits = s->splits,
			.per_person = s->per_person, .aligned = s->aligned, .decision = s->decision, .json = s->json,
		};
		return phiz_eval_faces_run(ctx, &e);
	}
	return judge(ctx, s, &j, args[0]) ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}
