/* The optimiser's step and the moving average over all parameters in one launch each: tables on the device say where
 * the parameters are and how they are cut into pieces. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/cuda/cuda.h"

/* A table that is written on this side and copied to the device; it grows where it has to. */
struct table {
	void *here, *there;
	size_t bytes;
};

struct phiz_cuda_tables {
	struct table param, piece, average, average_piece;
	double *sums; /* on the device: the norm, then a partial sum a piece */
	int64_t n_sums;
	cudaEvent_t copied; /* the tables of the last step have been read */
};

static void free_table(struct table *t)
{
	if (t->here)
		cudaFreeHost(t->here);
	if (t->there)
		cudaFree(t->there);
	memset(t, 0, sizeof *t);
}

static enum phiz_status grow(struct phiz_ctx *ctx, struct table *t, size_t bytes)
{
	if (bytes <= t->bytes)
		return PHIZ_OK;
	free_table(t);
	enum phiz_status status = phiz_cuda_check(ctx, cudaMallocHost(&t->here, bytes), "asking for an optimiser's table");
	if (!status)
		status = phiz_cuda_check(ctx, cudaMalloc(&t->there, bytes), "asking for an optimiser's table on the device");
	if (!status)
		t->bytes = bytes;
	return status;
}

static enum phiz_status send(struct phiz_ctx *ctx, struct phiz_cuda *c, const struct table *t, size_t bytes)
{
	return phiz_cuda_check(ctx, cudaMemcpyAsync(t->there, t->here, bytes, cudaMemcpyHostToDevice, c->stream),
	                       "copying an optimiser's table");
}

static enum phiz_status open_tables(struct phiz_ctx *ctx, struct phiz_cuda *c)
{
	if (!c->tables) {
		c->tables = phiz_calloc(c->ctx, 1, sizeof *c->tables);
		if (!c->tables)
			return PHIZ_E_NOMEM;
		return phiz_cuda_check(ctx, cudaEventCreateWithFlags(&c->tables->copied, cudaEventDisableTiming), "an event");
	}
	return phiz_cuda_check(ctx, cudaEventSynchronize(c->tables->copied), "waiting for the last step's tables");
}

void phiz_cuda_forget_tables(struct phiz_cuda *c)
{
	struct phiz_cuda_tables *t = c->tables;
	if (!t)
		return;
	free_table(&t->param);
	free_table(&t->piece);
	free_table(&t->average);
	free_table(&t->average_piece);
	if (t->sums)
		cudaFree(t->sums);
	if (t->copied)
		cudaEventDestroy(t->copied);
	phiz_free(c->ctx, t);
	c->tables = NULL;
}

static int64_t pieces_of(int64_t count) { return (count + PHIZ_CUDA_PIECE - 1) / PHIZ_CUDA_PIECE; }

/* Adds the pieces of parameter i, of `count` elements, behind `at`; returns where the next go. */
static struct phiz_cuda_piece *cut(struct phiz_cuda_piece *at, size_t i, int64_t count)
{
	for (int64_t first = 0; first < count; first += PHIZ_CUDA_PIECE)
		*at++ = (struct phiz_cuda_piece){first, (int32_t)i};
	return at;
}

static enum phiz_status send_update(struct phiz_ctx *ctx, struct phiz_cuda *c, const struct phiz_update *u,
                                    int64_t pieces)
{
	struct phiz_cuda_tables *t = c->tables;
	const size_t params = u->count * sizeof *u->param, cuts = (size_t)pieces * sizeof(struct phiz_cuda_piece);
	enum phiz_status status = grow(ctx, &t->param, params);
	if (!status)
		status = grow(ctx, &t->piece, cuts);
	if (status)
		return status;
	memcpy(t->param.here, u->param, params);
	struct phiz_cuda_piece *at = t->piece.here;
	for (size_t i = 0; i < u->count; i++)
		at = cut(at, i, u->param[i].count);
	status = send(ctx, c, &t->param, params);
	if (!status)
		status = send(ctx, c, &t->piece, cuts);
	return status ? status : phiz_cuda_check(ctx, cudaEventRecord(t->copied, c->stream), "an event");
}

static enum phiz_status need_sums(struct phiz_ctx *ctx, struct phiz_cuda_tables *t, int64_t n)
{
	if (n <= t->n_sums)
		return PHIZ_OK;
	if (t->sums)
		cudaFree(t->sums);
	t->sums = NULL;
	t->n_sums = 0;
	enum phiz_status status =
		phiz_cuda_check(ctx, cudaMalloc((void **)&t->sums, (size_t)n * sizeof *t->sums), "asking for a norm's sums");
	if (!status)
		t->n_sums = n;
	return status;
}

enum phiz_status phiz_cuda_update(struct phiz_ctx *ctx, const struct phiz_backend *backend,
                                  const struct phiz_update *update)
{
	struct phiz_cuda *c = backend->state;
	enum phiz_status status = open_tables(ctx, c);
	int64_t pieces = 0;
	for (size_t i = 0; i < update->count; i++)
		pieces += pieces_of(update->param[i].count);
	if (!status)
		status = need_sums(ctx, c->tables, pieces + 1);
	if (!status)
		status = send_update(ctx, c, update, pieces);
	if (status)
		return status;
	struct phiz_cuda_step s = {
		.update = *update, .piece = c->tables->piece.there, .pieces = pieces, .partial = c->tables->sums + 1,
		.norm = c->tables->sums,
	};
	s.update.param = c->tables->param.there;
	status = phiz_cuda_check(ctx, phiz_cuda_run_step(&s, c->stream), "starting an optimiser's step");
	return status ? status
	              : phiz_cuda_check(ctx, cudaMemcpyAsync(update->norm, s.norm, sizeof *s.norm, cudaMemcpyDeviceToHost,
	                                                     c->stream),
	                                "copying the gradients' norm");
}

enum phiz_status phiz_cuda_average_weights(struct phiz_ctx *ctx, const struct phiz_backend *backend,
                                           const struct phiz_average *average)
{
	struct phiz_cuda *c = backend->state;
	enum phiz_status status = open_tables(ctx, c);
	int64_t pieces = 0;
	for (size_t i = 0; i < average->count; i++)
		pieces += pieces_of(average->pair[i].count);
	const size_t pairs = average->count * sizeof *average->pair, cuts = (size_t)pieces * sizeof(struct phiz_cuda_piece);
	if (!status)
		status = grow(ctx, &c->tables->average, pairs);
	if (!status)
		status = grow(ctx, &c->tables->average_piece, cuts);
	if (status)
		return status;
	struct phiz_cuda_piece *at = c->tables->average_piece.here;
	memcpy(c->tables->average.here, average->pair, pairs);
	for (size_t i = 0; i < average->count; i++)
		at = cut(at, i, average->pair[i].count);
	status = send(ctx, c, &c->tables->average, pairs);
	if (!status)
		status = send(ctx, c, &c->tables->average_piece, cuts);
	if (!status)
		status = phiz_cuda_check(ctx, cudaEventRecord(c->tables->copied, c->stream), "an event");
	return status ? status
	              : phiz_cuda_check(ctx, phiz_cuda_average(c->tables->average.there, c->tables->average_piece.there,
	                                                       pieces, average->keep, average->take, c->stream),
	                                "starting a moving average");
}
