/* phiz cluster: who is who in photographs without names. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/io/npy.h"
#include "tools/cluster_out.h"
#include "tools/embedder.h"
#include "tools/gallery_args.h"
#include "tools/models.h"
#include "tools/photos.h"
#include "tools/tools.h"

struct settings {
	int64_t k, k_max, min_points, restarts, seed;
	bool choose, dbscan, one, copy, json, flip;
	double eps;
	const char *out;
	struct phiz_face_args face;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--k", INT, k, "N", 1, 1000000, "so many groups"),
	PHIZ_OPTION(struct settings, "--auto", FLAG, choose, NULL, 0, 0,
	            "choose the number of groups by silhouette (what is done without --k and --dbscan)"),
	PHIZ_OPTION(struct settings, "--k-max", INT, k_max, "N", 2, 10000, "with --auto: at most so many (default 50)"),
	PHIZ_OPTION(struct settings, "--dbscan", FLAG, dbscan, NULL, 0, 0,
	            "groups by density: their number is found, and faces that fit nowhere stay out"),
	PHIZ_OPTION(struct settings, "--eps", REAL, eps, "D", 0, 2,
	            "with --dbscan: largest 1 - cosine of neighbours (default: the bend of the distances)"),
	PHIZ_OPTION(struct settings, "--min-points", INT, min_points, "N", 2, 1000,
	            "with --dbscan: faces that make a group (default 4)"),
	PHIZ_OPTION(struct settings, "--restarts", INT, restarts, "N", 1, 1000, "k-means: starts (default 4, --auto 2)"),
	PHIZ_OPTION(struct settings, "--seed", INT, seed, "N", 0, 9e15, "of k-means (default 0)"),
	PHIZ_OPTION(struct settings, "--one", FLAG, one, NULL, 0, 0,
	            "of each photo only the face that it is of: large and near the middle"),
	PHIZ_OPTION(struct settings, "--out", TEXT, out, "DIR", 0, 0,
	            "a new folder for the groups: photos, contact sheets, clusters.csv"),
	PHIZ_OPTION(struct settings, "--copy", FLAG, copy, NULL, 0, 0, "copy photos into DIR instead of linking them"),
	PHIZ_OPTION(struct settings, "--flip", FLAG, flip, NULL, 0, 0, "embed the mirror image too: slower, hardly better"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
	PHIZ_FACE_OPTIONS(struct settings),
};

struct job {
	struct phiz_ctx *ctx;
	const struct settings *s;
	struct phiz_names photos, people;
	struct phiz_seen *seen;
	size_t n, capacity;
	float *x; /* n x dim */
	size_t x_capacity, failed, empty;
	int dim;
	struct phiz_points points;
	struct phiz_clusters clusters;
	double *silhouette, *group_silhouette, mean_silhouette; /* NULL: fewer than two groups */
	double *curve;                                          /* k_min.. of --auto */
	int k_min, k_max;
	double eps;
	struct phiz_progress progress;
};

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && !strcmp(text + n - m, end);
}

/* ---- Points ---- */

static enum phiz_status take_face(void *user, const struct phiz_embedded *e)
{
	struct job *j = user;
	enum phiz_status status = phiz_grow(j->ctx, &j->seen, &j->capacity, j->n + 1, sizeof(j->seen[0]));

	if (!status)
		status = phiz_grow(j->ctx, &j->x, &j->x_capacity, (j->n + 1) * (size_t)j->dim, sizeof(float));
	if (status)
		return status;
	j->seen[j->n] = (struct phiz_seen){.file = e->file, .index = e->index, .count = e->count, .found = e->found,
	                                   .face = e->face, .person = -1};
	memcpy(j->x + j->n * (size_t)j->dim, e->embedding, (size_t)j->dim * sizeof(float));
	j->n++;
	return PHIZ_OK;
}

static enum phiz_status take_empty(void *user, size_t file)
{
	struct job *j = user;

	j->empty++;
	phiz_log(j->ctx, PHIZ_LOG_INFO, "%s: no face", j->photos.name[file]);
	return PHIZ_OK;
}

static enum phiz_status take_failed(void *user, size_t file, const char *message)
{
	struct job *j = user;

	(void)file;
	j->failed++;
	if (!phiz_quiet) {
		phiz_progress_clear(&j->progress);
		fprintf(stderr, "left out: %s\n", message);
	}
	return PHIZ_OK;
}

static void show_embedding(void *user, size_t done, size_t total)
{
	struct job *j = user;

	phiz_progress_show(&j->progress, (double)done, (double)total, done == total, "faces: %zu", j->n);
}

static enum phiz_status embed(struct job *j)
{
	const struct settings *s = j->s;
	struct phiz_embedder_options o = {.flip = s->flip};
	struct phiz_embedder_report report = {take_face, take_empty, take_failed, show_embedding, j};
	struct phiz_embedder *embedder = NULL;
	struct phiz_device_choice device = {0};
	char *model = NULL, *detector = NULL;
	enum phiz_status status = phiz_choose_model(j->ctx, PHIZ_MODEL_EMBEDDER, s->face.model, &model);

	o.what = s->face.aligned ? PHIZ_EMBED_WHOLE : s->one ? PHIZ_EMBED_FACE : PHIZ_EMBED_FACES;
	if (!status && !s->face.aligned)
		status = phiz_choose_model(j->ctx, PHIZ_MODEL_DETECTOR, s->face.detector, &detector);
	o.detector = detector;
	o.device = &device;
	if (!status)
		status = phiz_device_open(j->ctx, &s->face.device, &device);
	if (!status)
		status = phiz_embedder_open(j->ctx, model, &o, &embedder);
	if (!status) {
		j->dim = phiz_embedder_dim(embedder);
		phiz_progress_start(&j->progress);
		status = phiz_embedder_run(embedder, j->photos.name, j->photos.count, &report);
		phiz_progress_clear(&j->progress);
	}
	phiz_embedder_free(&embedder);
	phiz_device_close(j->ctx, &device);
	phiz_free(j->ctx, model);
	phiz_free(j->ctx, detector);
	return status;
}

/* The name of the folder that a photo is in: its length, and where it begins. */
static const char *folder_of(const char *photo, size_t *size)
{
	const char *end = phiz_path_base(photo), *begin;

	if (end > photo)
		end--; /* the slash */
	for (begin = end; begin > photo && begin[-1] != '/';)
		begin--;
	*size = (size_t)(end - begin);
	return begin;
}

static int32_t find_person(const struct job *j, const char *name, size_t size)
{
	for (size_t p = 0; p < j->people.count; p++)
		if (strlen(j->people.name[p]) == size && !strncmp(j->people.name[p], name, size))
			return (int32_t)p;
	return -1;
}

/* Photos in folders of several names: the names are taken for people. */
static enum phiz_status name_people(struct job *j)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; !status && i < j->n; i++) {
		size_t size;
		const char *name = folder_of(j->photos.name[j->seen[i].file], &size);
		j->seen[i].person = find_person(j, name, size);
		if (j->seen[i].person >= 0)
			continue;
		char *copy = phiz_strndup(j->ctx, name, size);
		status = copy ? phiz_names_add(j->ctx, &j->people, copy) : PHIZ_E_NOMEM;
		phiz_free(j->ctx, copy);
		j->seen[i].person = (int32_t)j->people.count - 1;
	}
	if (!status && j->people.count < 2)
		phiz_names_free(j->ctx, &j->people);
	return status;
}

static enum phiz_status read_photos(struct job *j, char **args, int n_args)
{
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < n_args; i++)
		status = phiz_photo_paths_add(j->ctx, args[i], PHIZ_PHOTOS_DEEP, &j->photos);
	if (!status)
		status = embed(j);
	if (!status && j->n < 2)
		status = phiz_fail(j->ctx, PHIZ_E_ARG, "%zu faces in %zu photos: nothing to group", j->n, j->photos.count);
	if (!status)
		status = name_people(j);
	if (!status)
		status = phiz_points_create(j->ctx, j->x, (int64_t)j->n, j->dim, &j->points);
	return status;
}

static enum phiz_status read_matrix(struct job *j, const char *path)
{
	struct phiz_tensor *t;
	enum phiz_status status = phiz_npy_read(j->ctx, path, &t);

	if (status)
		return status;
	j->n = (size_t)t->shape.dim[0];
	j->seen = phiz_calloc(j->ctx, j->n, sizeof(j->seen[0]));
	if (!j->seen)
		status = PHIZ_E_NOMEM;
	for (size_t i = 0; !status && i < j->n; i++)
		j->seen[i] = (struct phiz_seen){.file = i, .count = 1, .person = -1};
	if (!status)
		status = phiz_points_create(j->ctx, t->data, t->shape.dim[0], t->shape.dim[1], &j->points);
	if (status)
		phiz_fail_in(j->ctx, "%s", path);
	phiz_tensor_free(j->ctx, &t);
	return status;
}

/* ---- Groups ---- */

static bool show_grouping(void *user, double done)
{
	struct job *j = user;

	phiz_progress_show(&j->progress, done, 1, false, "grouping");
	return phiz_interrupted != 0;
}

static enum phiz_status choose(struct job *j, const struct phiz_kmeans_options *o)
{
	int64_t most = j->s->k_max ? j->s->k_max : 50, n = (int64_t)j->n;

	j->k_min = 2;
	j->k_max = (int)(most < n - 1 ? most : n - 1);
	if (j->k_max < 2)
		return phiz_fail(j->ctx, PHIZ_E_ARG, "%zu faces are too few to choose a number of groups: give --k", j->n);
	j->curve = phiz_alloc(j->ctx, (size_t)(j->k_max - j->k_min + 1), sizeof(double));
	if (!j->curve)
		return PHIZ_E_NOMEM;
	return phiz_cluster_auto(&j->points, j->k_min, j->k_max, o, j->curve, &j->clusters);
}

static enum phiz_status scan(struct job *j)
{
	struct phiz_dbscan_options o = {.eps = j->s->eps, .min_points = (int)j->s->min_points, .progress = show_grouping,
	                                .user = j};
	enum phiz_status status = PHIZ_OK;

	if (o.eps < 0)
		status = phiz_cluster_knee(&j->points, o.min_points, (uint64_t)j->s->seed, &o.eps);
	j->eps = o.eps;
	return status ? status : phiz_cluster_dbscan(&j->points, &o, &j->clusters);
}

static enum phiz_status group(struct job *j)
{
	struct phiz_kmeans_options o = {.restarts = (int)j->s->restarts, .seed = (uint64_t)j->s->seed,
	                                .progress = show_grouping, .user = j};
	enum phiz_status status;

	phiz_progress_start(&j->progress);
	if (j->s->dbscan)
		status = scan(j);
	else
		status = j->s->k ? phiz_cluster_kmeans(&j->points, (int)j->s->k, &o, &j->clusters) : choose(j, &o);
	phiz_progress_clear(&j->progress);
	if (status || j->clusters.k < 2)
		return status;
	j->silhouette = phiz_alloc(j->ctx, j->n, sizeof(double));
	j->group_silhouette = phiz_alloc(j->ctx, (size_t)j->clusters.k, sizeof(double));
	if (!j->silhouette || !j->group_silhouette)
		return PHIZ_E_NOMEM;
	return phiz_cluster_silhouette(&j->points, &j->clusters, j->silhouette, j->group_silhouette,
	                               &j->mean_silhouette);
}

/* ---- What is said ---- */

/* The person that most of a group's faces are of, and how many are. */
static enum phiz_status most_frequent(const struct job *j, int32_t label, int64_t *size, int32_t *person,
                                      int64_t *count)
{
	int64_t *faces = phiz_calloc(j->ctx, j->people.count, sizeof(*faces));

	*size = *count = 0;
	*person = -1;
	if (!faces)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < j->n; i++) {
		if (j->clusters.label[i] != label)
			continue;
		++*size;
		if (j->people.count && ++faces[j->seen[i].person] > *count) {
			*count = faces[j->seen[i].person];
			*person = j->seen[i].person;
		}
	}
	phiz_free(j->ctx, faces);
	return PHIZ_OK;
}

static enum phiz_status compare(const struct job *j, struct phiz_cluster_agreement *a)
{
	int32_t *truth = phiz_alloc(j->ctx, j->n, sizeof(*truth));

	if (!truth)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < j->n; i++)
		truth[i] = j->seen[i].person;
	enum phiz_status status = phiz_cluster_compare(&j->clusters, truth, a);
	phiz_free(j->ctx, truth);
	return status;
}

static enum phiz_status print_text(const struct job *j, const struct phiz_cluster_agreement *a)
{
	char name[32];

	for (int32_t g = 0; g < j->clusters.k; g++) {
		int64_t size, count;
		int32_t person;
		enum phiz_status status = most_frequent(j, g, &size, &person, &count);
		if (status)
			return status;
		phiz_cluster_name(g, j->clusters.k, name);
		printf("%s %6lld faces", name, (long long)size);
		if (j->group_silhouette)
			printf("  silhouette %6.3f", j->group_silhouette[g]);
		if (person >= 0)
			printf("  %s %lld", j->people.name[person], (long long)count);
		printf("\n");
	}
	printf("%zu faces in %d groups", j->n, j->clusters.k);
	if (j->s->dbscan)
		printf(", %lld in none (eps %.3f, %lld points)", (long long)j->clusters.noise, j->eps,
		       (long long)j->s->min_points);
	if (j->silhouette)
		printf(", silhouette %.3f", j->mean_silhouette);
	printf("\n");
	if (j->people.count)
		printf("against %zu names of folders: purity %.3f, NMI %.3f, pairs: precision %.3f, recall %.3f, F1 %.3f\n",
		       j->people.count, a->purity, a->nmi, a->precision, a->recall, a->f1);
	if (j->empty || j->failed)
		printf("%zu photos without a face, %zu that could not be read\n", j->empty, j->failed);
	if (j->s->out)
		printf("written to %s\n", j->s->out);
	return PHIZ_OK;
}

/* The faces of a group, or of none (PHIZ_NOISE). */
static void add_members(const struct job *j, int32_t label, struct phiz_bytes *b)
{
	const char *comma = "";

	phiz_bytes_text(b, "[");
	for (size_t i = 0; i < j->n; i++) {
		const struct phiz_seen *s = &j->seen[i];
		if (j->clusters.label[i] != label)
			continue;
		phiz_bytes_text(b, comma);
		comma = ",";
		if (!j->photos.count) {
			phiz_bytes_printf(b, "%zu", s->file);
			continue;
		}
		phiz_bytes_text(b, "{\"file\":");
		phiz_bytes_json(b, j->photos.name[s->file]);
		phiz_bytes_printf(b, ",\"face\":%d", s->index);
		if (s->found)
			phiz_bytes_printf(b, ",\"box\":[%.1f,%.1f,%.1f,%.1f]", (double)s->face.box[0], (double)s->face.box[1],
			                  (double)s->face.box[2], (double)s->face.box[3]);
		phiz_bytes_text(b, "}");
	}
	phiz_bytes_text(b, "]");
}

static enum phiz_status add_group(const struct job *j, int32_t g, struct phiz_bytes *b)
{
	int64_t size, count;
	int32_t person;
	char name[32];
	enum phiz_status status = most_frequent(j, g, &size, &person, &count);

	phiz_cluster_name(g, j->clusters.k, name);
	phiz_bytes_printf(b, "%s{\"name\":\"%s\",\"size\":%lld,\"silhouette\":", g ? "," : "", name, (long long)size);
	if (j->group_silhouette)
		phiz_bytes_printf(b, "%.6f", j->group_silhouette[g]);
	else
		phiz_bytes_text(b, "null");
	if (person >= 0) {
		phiz_bytes_text(b, ",\"person\":");
		phiz_bytes_json(b, j->people.name[person]);
		phiz_bytes_printf(b, ",\"of_person\":%lld", (long long)count);
	}
	phiz_bytes_text(b, ",\"faces\":");
	add_members(j, g, b);
	phiz_bytes_text(b, "}");
	return status;
}

static enum phiz_status print_json(const struct job *j, const struct phiz_cluster_agreement *a)
{
	enum phiz_status status = PHIZ_OK;
	struct phiz_bytes b;

	phiz_bytes_init(&b, j->ctx);
	phiz_bytes_printf(&b, "{\"method\":\"%s\",\"faces\":%zu,\"k\":%d,\"unsorted\":%lld,\"photos_without_face\":%zu,"
	                  "\"photos_failed\":%zu,\"silhouette\":", j->s->dbscan ? "dbscan" : "kmeans", j->n, j->clusters.k,
	                  (long long)j->clusters.noise, j->empty, j->failed);
	if (j->silhouette)
		phiz_bytes_printf(&b, "%.6f", j->mean_silhouette);
	else
		phiz_bytes_text(&b, "null");
	if (j->s->dbscan)
		phiz_bytes_printf(&b, ",\"eps\":%.6f,\"min_points\":%lld", j->eps, (long long)j->s->min_points);
	if (j->curve) {
		phiz_bytes_text(&b, ",\"tried\":{");
		for (int k = j->k_min, n = 0; k <= j->k_max; k++)
			if (!isnan(j->curve[k - j->k_min]))
				phiz_bytes_printf(&b, "%s\"%d\":%.6f", n++ ? "," : "", k, j->curve[k - j->k_min]);
		phiz_bytes_text(&b, "}");
	}
	if (j->people.count)
		phiz_bytes_printf(&b, ",\"people\":%zu,\"purity\":%.6f,\"nmi\":%.6f,\"pair_precision\":%.6f,"
		                  "\"pair_recall\":%.6f,\"pair_f1\":%.6f", j->people.count, a->purity, a->nmi, a->precision,
		                  a->recall, a->f1);
	phiz_bytes_text(&b, ",\"clusters\":[");
	for (int32_t g = 0; !status && g < j->clusters.k; g++)
		status = add_group(j, g, &b);
	phiz_bytes_text(&b, "],\"unsorted_faces\":");
	add_members(j, PHIZ_NOISE, &b);
	phiz_bytes_text(&b, "}");
	if (!status)
		status = phiz_bytes_status(&b);
	if (!status)
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
	return status;
}

static enum phiz_status write_and_print(struct job *j)
{
	struct phiz_grouping g = {j->ctx, j->photos.count ? &j->photos : NULL, &j->people, j->seen, &j->clusters,
	                          j->silhouette, j->s->copy};
	struct phiz_cluster_agreement a = {0};
	enum phiz_status status = j->s->out ? phiz_cluster_write(&g, j->s->out) : PHIZ_OK;

	if (!status && j->people.count)
		status = compare(j, &a);
	if (status)
		return status;
	return j->s->json ? print_json(j, &a) : print_text(j, &a);
}

static void release(struct job *j)
{
	phiz_names_free(j->ctx, &j->photos);
	phiz_names_free(j->ctx, &j->people);
	phiz_free(j->ctx, j->seen);
	phiz_free(j->ctx, j->x);
	phiz_free(j->ctx, j->silhouette);
	phiz_free(j->ctx, j->group_silhouette);
	phiz_free(j->ctx, j->curve);
	phiz_clusters_free(&j->clusters);
	phiz_points_free(&j->points);
}

extern const struct phiz_verb phiz_verb_cluster;

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct job j = {.ctx = ctx, .s = s};
	bool matrix = n_args == 1 && ends_with(args[0], ".npy");

	if ((s->k != 0) + s->choose + s->dbscan > 1)
		return phiz_usage(&phiz_verb_cluster, "--k, --auto and --dbscan are three ways: give one of them");
	if (s->eps >= 0 && !s->dbscan)
		return phiz_usage(&phiz_verb_cluster, "--eps is for --dbscan");
	if (s->k_max && (s->k || s->dbscan))
		return phiz_usage(&phiz_verb_cluster, "--k-max is for --auto");
	enum phiz_status status = matrix ? read_matrix(&j, args[0]) : read_photos(&j, args, n_args);
	if (!status)
		status = group(&j);
	if (!status)
		status = write_and_print(&j);
	release(&j);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static const struct settings defaults = {.eps = -1, .min_points = 4};

const struct phiz_verb phiz_verb_cluster = {
	"cluster", "sort faces without names into groups, one for each person",
	"DIR|LIST|FILE.npy... [--k N | --auto | --dbscan] [--out DIR] [--json]",
	"DIR is a folder of photos, or of such folders; LIST a file with a path on each line;\n"
	"FILE.npy a matrix of embeddings, a row each. Every face in every photo is embedded and\n"
	"put into a group of faces that are alike by cosine.\n"
	"\n"
	"--k N: k-means, when it is known how many people there are. --auto: k-means with the\n"
	"number of groups whose silhouette (how much nearer a face is to its own group than to\n"
	"the next, -1 to 1) is highest. --dbscan: for photos with strangers and passers-by; faces\n"
	"that are near no group stay unsorted, and groups are purer.\n"
	"\n"
	"--out makes DIR/cluster_01, cluster_02 ... with the photos (hard links or copies; yours\n"
	"stay where they are), DIR/_unsorted, a contact sheet of each group in DIR/_sheets, and\n"
	"DIR/clusters.csv. Rename a folder to the person's name, put right what is wrong, and\n"
	"phiz enroll or phiz train takes it. Where the photos lie in folders of several names,\n"
	"these are taken for people and the groups are held against them: purity, NMI, pairs.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 1, -1, run,
};
