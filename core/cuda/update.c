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

/* What a launch works on: a table of items, and of the pieces that they are cut into. */
struct cuts {
	struct table item, piece;
	int64_t pieces;
};

struct phiz_cuda_tables {
	struct cuts param, average;
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
	free_table(&t->param.item);
	free_table(&t->param.piece);
	free_table(&t->average.item);
	free_table(&t->average.piece);
	if (t->sums)
		cudaFree(t->sums);
	if (t->copied)
		cudaEventDestroy(t->copied);
	phiz_free(c->ctx, t);
	c->tables = NULL;
}

static int64_t pieces_of(int64_t count) { return (count + PHIZ_CUDA_PIECE - 1) / PHIZ_CUDA_PIECE; }

/* Adds the pieces of item i, of `count` elements, behind `at`; returns where the next go. */
static struct phiz_cuda_piece *cut(struct phiz_cuda_piece *at, size_t i, int64_t count)
{
	for (int64_t first = 0; first < count; first += PHIZ_CUDA_PIECE)
		*at++ = (struct phiz_cuda_piece){first, (int32_t)i};
	return at;
}

/* Sends `n` items of `size` bytes each and their pieces; count[i * size] (in bytes) is how many elements item i has. */
static enum phiz_status send_cuts(struct phiz_ctx *ctx, struct phiz_cuda *c, struct cuts *t, const void *item, size_t n,
                                  size_t size, const int64_t *count)
{
	t->pieces = 0;
	for (size_t i = 0; i < n; i++)
		t->pieces += pieces_of(*(const int64_t *)((const char *)count + i * size));
	const size_t bytes = (size_t)t->pieces * sizeof(struct phiz_cuda_piece);
	enum phiz_status status = grow(ctx, &t->item, n * size);
	if (!status)
		status = grow(ctx, &t->piece, bytes);
	if (status)
		return status;
	memcpy(t->item.here, item, n * size);
	struct phiz_cuda_piece *at = t->piece.here;
	for (size_t i = 0; i < n; i++)
		at = cut(at, i, *(const int64_t *)((const char *)count + i * size));
	status = send(ctx, c, &t->item, n * size);
	if (!status)
		status = send(ctx, c, &t->piece, bytes);
	return status ? status : phiz_cuda_check(ctx, cudaEventRecord(c->tables->copied, c->stream), "an event");
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
	if (status)
		return status;
	struct phiz_cuda_tables *t = c->tables;
	status = send_cuts(ctx, c, &t->param, update->param, update->count, sizeof *update->param, &update->param->count);
	if (!status)
		status = need_sums(ctx, t, t->param.pieces + 1);
	if (status)
		return status;
	struct phiz_cuda_step s = {
		.update = *update, .piece = t->param.piece.there, .pieces = t->param.pieces, .partial = t->sums + 1,
		.norm = t->sums,
	};
	s.update.param = t->param.item.there;
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
	if (status)
		return status;
	struct cuts *t = &c->tables->average;
	status = send_cuts(ctx, c, t, average->pair, average->count, sizeof *average->pair, &average->pair->count);
	return status ? status
	              : phiz_cuda_check(ctx, phiz_cuda_average(t->item.there, t->piece.there, t->pieces, average->keep,
	                                                       average->take, c->stream),
	                                "starting a moving average");
}
