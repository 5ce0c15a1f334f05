/* Galleries, networks, photos and faces as the verbs name them. */
#include "tools/gallery_args.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/quality.h"
#include "tools/models.h"

const char *phiz_gallery_place(const struct phiz_gallery_args *args)
{
	const char *place = args->file ? args->file : getenv("PHIZ_GALLERY");

	return place && *place ? place : "gallery.db";
}

/* A line from the terminal that is not shown; false without a terminal. */
static bool ask(const char *prompt, char *text, int size)
{
	struct termios old, quiet;
	FILE *terminal = fopen("/dev/tty", "r+");
	bool got;

	if (!terminal)
		return false;
	if (tcgetattr(fileno(terminal), &old)) {
		fclose(terminal);
		return false;
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(terminal), TCSAFLUSH, &quiet);
	fputs(prompt, terminal);
	fflush(terminal);
	got = fgets(text, size, terminal) != NULL;
	tcsetattr(fileno(terminal), TCSAFLUSH, &old);
	fputs("\n", terminal);
	fclose(terminal);
	text[got ? strcspn(text, "\n") : 0] = '\0';
	return got && *text;
}

/* The first line of a file. */
static enum phiz_status read_passphrase(struct phiz_ctx *ctx, const char *path, char *text, size_t size)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	enum phiz_status status = phiz_file_read(ctx, path, 65536, &b);
	size_t n = !status && b.data ? strcspn(b.data, "\r\n") : 0;
	if (!status && (n == 0 || n >= size))
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: want a passphrase of 1 to %zu bytes on the first line", path,
		                   size - 1);
	if (!status) {
		memcpy(text, b.data, n);
		text[n] = '\0';
	}
	if (b.data)
		sodium_memzero(b.data, b.size);
	phiz_bytes_free(&b);
	return status;
}

static enum phiz_status get_passphrase(struct phiz_ctx *ctx, const char *place, bool is_new, char *text, int size)
{
	const char *given = getenv("PHIZ_GALLERY_PASSPHRASE");
	char again[256] = "";

	if (given && *given) {
		snprintf(text, (size_t)size, "%s", given);
		return PHIZ_OK;
	}
	if (!ask(is_new ? "passphrase of the new gallery: " : "passphrase of the gallery: ", text, size))
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: wants a passphrase: --passphrase-file, PHIZ_GALLERY_PASSPHRASE, or "
		                 "type it", place);
	if (is_new && (!ask("once more: ", again, sizeof again) || strcmp(text, again)))
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: the two passphrases differ", place);
	return PHIZ_OK;
}

enum phiz_status phiz_gallery_args_open(struct phiz_ctx *ctx, const struct phiz_gallery_args *args, bool create,
                                        struct phiz_gallery **out)
{
	const char *place = phiz_gallery_place(args);
	struct phiz_gallery_options o = {.create = create, .encrypt = args->encrypt && !phiz_path_is_file(place),
	                                 .key_file = args->key};
	char passphrase[256] = "";
	enum phiz_status status = PHIZ_OK;

	*out = NULL;
	if (args->key && args->passphrase)
		return phiz_fail(ctx, PHIZ_E_ARG, "--key and --passphrase-file: one of them opens a gallery, not both");
	if (args->encrypt && phiz_path_is_file(place) && !phiz_gallery_is_encrypted(ctx, place))
		o.encrypt = true; /* is refused, with what to do */
	if (!args->key && (o.encrypt || phiz_gallery_is_encrypted(ctx, place))) {
		status = args->passphrase ? read_passphrase(ctx, args->passphrase, passphrase, sizeof passphrase)
		                          : get_passphrase(ctx, place, o.encrypt, passphrase, sizeof passphrase);
		o.passphrase = passphrase;
	} else if (args->key && !o.encrypt && phiz_path_is_file(place) && !phiz_gallery_is_encrypted(ctx, place)) {
		o.key_file = NULL;
	}
	if (!status)
		status = phiz_gallery_open(ctx, place, &o, out);
	sodium_memzero(passphrase, sizeof passphrase);
	return status;
}

/* The model that the gallery is bound to, by what it was called then: in the models folder, or a file here. NULL if it
 * is not bound or that model is not to be found. */
static enum phiz_status find_bound_model(struct phiz_ctx *ctx, struct phiz_gallery *gallery, char **model)
{
	struct phiz_gallery_info info;

	*model = NULL;
	if (!gallery || phiz_gallery_describe(gallery, &info) || !info.dim || !*info.model_name)
		return PHIZ_OK;
	size_t n = strlen(info.model_name);
	if (n > 5 && !strcmp(info.model_name + n - 5, ".phiz") && !phiz_path_is_file(info.model_name))
		info.model_name[n - 5] = '\0';
	enum phiz_status status = phiz_find_model_file(ctx, info.model_name, model);
	return status == PHIZ_E_NOMEM ? status : PHIZ_OK;
}

static enum phiz_status open_recognizer(struct phiz_ctx *ctx, const char *detector, const char *model,
                                        struct phiz_face_nets *nets)
{
	struct phiz_recognizer_options o = {.backend = nets->device.backend, .fallback = nets->device.fallback};

	return phiz_recognizer_open(ctx, detector, model, &o, &nets->recognizer);
}

enum phiz_status phiz_face_args_open(struct phiz_ctx *ctx, const struct phiz_face_args *args,
                                     struct phiz_gallery *gallery, struct phiz_face_nets *out)
{
	char *detector = NULL, *model = NULL;
	enum phiz_status status = args->model ? PHIZ_OK : find_bound_model(ctx, gallery, &model);

	*out = (struct phiz_face_nets){NULL, {0}};
	if (!status && !model)
		status = phiz_choose_model(ctx, PHIZ_MODEL_EMBEDDER, args->model, &model);
	if (!status)
		status = phiz_device_open(ctx, &args->device, &out->device);
	if (!status && !args->aligned)
		status = phiz_choose_model(ctx, PHIZ_MODEL_DETECTOR, args->detector, &detector);
	if (!status)
		status = open_recognizer(ctx, detector, model, out);
	if (!status && gallery)
		status = phiz_gallery_bind(gallery, phiz_recognizer_hash(out->recognizer), phiz_recognizer_dim(out->recognizer),
		                           phiz_path_base(model));
	if (status)
		phiz_face_nets_close(ctx, out);
	phiz_free(ctx, detector);
	phiz_free(ctx, model);
	return status;
}

void phiz_face_nets_close(struct phiz_ctx *ctx, struct phiz_face_nets *nets)
{
	phiz_recognizer_free(&nets->recognizer);
	phiz_device_close(ctx, &nets->device);
}

enum phiz_status phiz_similarity_threshold(double given, struct phiz_gallery *gallery,
                                           const struct phiz_model *model, double *out)
{
	struct phiz_limit limit;
	enum phiz_status status = PHIZ_E_NOTFOUND;

	*out = given;
	if (given > PHIZ_NO_THRESHOLD)
		return PHIZ_OK;
	if (gallery)
		status = phiz_gallery_limit(gallery, &limit);
	if (!status)
		*out = limit.value;
	if (status != PHIZ_E_NOTFOUND)
		return status;
	if (model && phiz_model_task(model) == PHIZ_TASK_EMBED && model->threshold.set) {
		*out = model->threshold.value;
		return PHIZ_OK;
	}
	*out = 0.4;
	if (!phiz_quiet)
		fprintf(stderr, "phiz: no threshold was measured: 0.40 is used (phiz gallery calibrate --strangers LIST)\n");
	return PHIZ_OK;
}

static const struct phiz_found *largest(const struct phiz_found *found, int n)
{
	const struct phiz_found *best = found;

	for (int i = 1; i < n; i++)
		if (found[i].face.box[2] * found[i].face.box[3] > best->face.box[2] * best->face.box[3])
			best = &found[i];
	return best;
}

static enum phiz_status take(struct phiz_ctx *ctx, struct phiz_recognizer *r, const struct phiz_image *image,
                             const struct phiz_found *f, struct phiz_portrait *out)
{
	size_t dim = (size_t)phiz_recognizer_dim(r);
	bool landmarks = false;
	struct phiz_quality quality;

	for (int i = 0; i < PHIZ_LANDMARKS; i++)
		landmarks = landmarks || f->face.landmark[i][0] != 0 || f->face.landmark[i][1] != 0;
	out->face = f->face;
	out->embedding = phiz_alloc(ctx, dim, sizeof *out->embedding);
	if (!out->embedding)
		return PHIZ_E_NOMEM;
	memcpy(out->embedding, f->embedding, dim * sizeof *out->embedding);
	enum phiz_status status = landmarks ? phiz_quality_face(ctx, image, &f->face, &quality)
	                                    : phiz_quality_crop(ctx, &f->crop, &quality);
	out->quality = status ? -1 : quality.overall;
	return status == PHIZ_E_NOMEM ? status : PHIZ_OK;
}

enum phiz_status phiz_portrait_read(struct phiz_ctx *ctx, struct phiz_recognizer *r, const char *path,
                                    struct phiz_portrait *out)
{
	const struct phiz_found *found;
	struct phiz_image image;
	int n = 0;

	memset(out, 0, sizeof *out);
	out->kind = PHIZ_PORTRAIT_NONE;
	enum phiz_status status = phiz_image_read(ctx, path, NULL, &image);
	if (status)
		return status;
	status = phiz_recognizer_run(r, &image, &found, &n);
	if (status)
		phiz_fail_in(ctx, "%s", path);
	if (!status && n > 0) {
		out->n_faces = n;
		out->kind = n > 1 ? PHIZ_PORTRAIT_SEVERAL : PHIZ_PORTRAIT_ONE;
		status = take(ctx, r, &image, largest(found, n), out);
	}
	if (status)
		phiz_portrait_free(ctx, out);
	phiz_image_free(ctx, &image);
	return status;
}

void phiz_portrait_free(struct phiz_ctx *ctx, struct phiz_portrait *portrait)
{
	phiz_free(ctx, portrait->embedding);
	portrait->embedding = NULL;
}
