/* Model files, with every allocation failing once. */
#include "support/support.h"

#include <stdio.h>

#include <phiz/model.h>

#include "core/io/import.h"

struct files {
	struct phiz_model *model;
	char path[512], state[512];
	struct phiz_tensors t;
};

static enum phiz_status write_model(struct phiz_ctx *ctx, void *user)
{
	struct files *f = user;

	(void)ctx;
	return phiz_model_write(f->model, f->path);
}

static enum phiz_status read_model(struct phiz_ctx *ctx, void *user)
{
	struct files *f = user;
	struct phiz_extra extra;
	struct phiz_model *m;
	enum phiz_status status = phiz_model_read_with(ctx, f->path, &m, &extra);

	phiz_extra_free(ctx, &extra);
	phiz_model_free(&m);
	return status;
}

static enum phiz_status import(struct phiz_ctx *ctx, void *user)
{
	struct phiz_import_options options = {false, true};
	struct phiz_import_report report;
	struct files *f = user;
	enum phiz_status status = phiz_import_weights(ctx, f->model, &f->t, "x", &options, &report);

	phiz_import_report_free(&report);
	return status;
}

static enum phiz_status export(struct phiz_ctx *ctx, void *user)
{
	struct files *f = user;

	return phiz_export_state_dict(ctx, f->model, f->state);
}

static void all(void **state)
{
	static const char *const labels[] = {"a", "b", "c"};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_extra extra = {0};
	struct phiz_shape shape = phiz_shape_1d(3);
	struct phiz_tensor *t;
	struct files f = {0};
	char folder[256];

	(void)state;
	test_folder(folder);
	snprintf(f.path, sizeof(f.path), "%s/m.phiz", folder);
	snprintf(f.state, sizeof(f.state), "%s/m.safetensors", folder);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 3, 32, 7, &f.model));
	assert_ok(ctx, phiz_model_set_labels(f.model, labels, 3));
	assert_ok(ctx, phiz_model_set_meta(f.model, "precision", "fp16"));
	f.model->threshold.set = true;
	test_every_oom(ctx, write_model, &f);
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &t));
	assert_ok(ctx, phiz_extra_add(ctx, &extra, "x", t));
	assert_ok(ctx, phiz_model_write_with(f.model, &extra, f.path));
	phiz_extra_free(ctx, &extra);
	test_every_oom(ctx, read_model, &f);
	test_every_oom(ctx, export, &f);
	assert_ok(ctx, phiz_tensors_read(ctx, f.state, &f.t));
	f.t.entry[1].name[0] = '!'; /* so that there is something to report */
	test_every_oom(ctx, import, &f);
	phiz_tensors_free(ctx, &f.t);
	phiz_model_free(&f.model);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
