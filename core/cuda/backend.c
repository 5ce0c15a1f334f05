/* Devices, memory, streams, and runs recorded as CUDA graphs. */
#include "core/cuda/cuda.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/cuda/module.h"
#include "core/ops/rule.h"

enum phiz_status phiz_cuda_check(struct phiz_ctx *ctx, int error, const char *what)
{
	if (error == cudaSuccess)
		return PHIZ_OK;
	return phiz_fail(ctx, error == cudaErrorMemoryAllocation ? PHIZ_E_NOMEM : PHIZ_E_UNSUPPORTED, "cuda: %s: %s", what,
	                 cudaGetErrorString((cudaError_t)error));
}

static int count_devices(const char **why)
{
	int count = 0;
	cudaError_t error = cudaGetDeviceCount(&count);

	if (why)
		*why = error ? cudaGetErrorString(error) : "";
	return error ? 0 : count;
}

static enum phiz_status check_device(struct phiz_ctx *ctx, int device)
{
	const char *why;
	int count = count_devices(&why);

	if (count == 0)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "no CUDA device can be used here%s%s: use the CPU (--device cpu)",
		                 *why ? ": " : "", why);
	if (device < 0 || device >= count)
		return phiz_fail(ctx, PHIZ_E_ARG, "there is no CUDA device %d: want 0 to %d", device, count - 1);
	return PHIZ_OK;
}

static enum phiz_status describe(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out)
{
	struct cudaDeviceProp properties;
	enum phiz_status status = check_device(ctx, device);

	memset(out, 0, sizeof *out);
	if (!status)
		status = phiz_cuda_check(ctx, cudaGetDeviceProperties(&properties, device), "reading the device's properties");
	if (!status)
		status = phiz_cuda_check(ctx, cudaSetDevice(device), "choosing the device");
	if (!status)
		status = phiz_cuda_check(ctx, cudaMemGetInfo(&out->free_memory, &out->memory), "reading the device's memory");
	if (status)
		return status;
	snprintf(out->name, sizeof out->name, "%s", properties.name);
	out->major = properties.major;
	out->minor = properties.minor;
	out->multiprocessors = properties.multiProcessorCount;
	cudaDriverGetVersion(&out->driver);
	cudaRuntimeGetVersion(&out->runtime);
	out->cudnn = phiz_cuda_kit.cudnn_version();
	return PHIZ_OK;
}

/* --- Memory --- */

static void *alloc(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes)
{
	void *memory = NULL;
	char what[64];

	(void)backend;
	snprintf(what, sizeof what, "asking for %.1f MiB on the device", (double)bytes / 1048576);
	return phiz_cuda_check(ctx, cudaMalloc(&memory, bytes), what) ? NULL : memory;
}

static void release(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *memory)
{
	(void)ctx;
	(void)backend;
	cudaFree(memory);
}

static void *alloc_staging(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes)
{
	void *memory = NULL;

	(void)backend;
	if (phiz_cuda_check(ctx, cudaMallocHost(&memory, bytes), "asking for memory that the device reads"))
		return NULL;
	memset(memory, 0, bytes);
	return memory;
}

static void free_staging(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *memory)
{
	(void)ctx;
	(void)backend;
	cudaFreeHost(memory);
}

static enum phiz_status upload(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to, const void *from,
                               size_t bytes)
{
	struct phiz_cuda *c = backend->state;
	return phiz_cuda_check(ctx, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c->stream), "copying there");
}

static enum phiz_status download(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to, const void *from,
                                 size_t bytes)
{
	struct phiz_cuda *c = backend->state;
	return phiz_cuda_check(ctx, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, c->stream), "copying back");
}

static enum phiz_status sync(struct phiz_ctx *ctx, const struct phiz_backend *backend)
{
	struct phiz_cuda *c = backend->state;
	return phiz_cuda_check(ctx, cudaStreamSynchronize(c->stream), "waiting for the device");
}

static enum phiz_status upload_ahead(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to,
                                     const void *from, size_t bytes)
{
	struct phiz_cuda *c = backend->state;
	enum phiz_status status =
		phiz_cuda_check(ctx, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c->ahead), "copying ahead");
	return status ? status : phiz_cuda_check(ctx, cudaEventRecord(c->landed, c->ahead), "an event");
}

static enum phiz_status land(struct phiz_ctx *ctx, const struct phiz_backend *backend)
{
	struct phiz_cuda *c = backend->state;
	return phiz_cuda_check(ctx, cudaStreamWaitEvent(c->stream, c->landed, 0), "waiting for a copy");
}

static enum phiz_status copy(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to, const void *from,
                             size_t bytes)
{
	struct phiz_cuda *c = backend->state;
	return phiz_cuda_check(ctx, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, c->stream), "copying");
}

/* --- Runs --- */

/* The first run goes call by call, so that libraries load what they need; the second is recorded; all others replay
 * it. Where recording fails, runs go on call by call. */
struct phiz_recording {
	int runs;
	cudaGraphExec_t graph;
};

static cudaError_t instantiate(cudaGraphExec_t *out, cudaGraph_t graph)
{
#if CUDART_VERSION >= 12000
	return cudaGraphInstantiate(out, graph, 0);
#else
	return cudaGraphInstantiate(out, graph, NULL, NULL, 0);
#endif
}

static void record(struct phiz_cuda *c, struct phiz_recording *r, enum phiz_status (*steps)(void *arg), void *arg)
{
	cudaGraph_t graph = NULL;

	if (cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal))
		return;
	enum phiz_status status = steps(arg);
	if (cudaStreamEndCapture(c->stream, &graph) == cudaSuccess && !status && instantiate(&r->graph, graph))
		r->graph = NULL;
	if (graph)
		cudaGraphDestroy(graph);
	(void)cudaGetLastError(); /* a failed recording is no failed run */
}

static enum phiz_status run(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_recording **recording,
                            enum phiz_status (*steps)(void *arg), void *arg)
{
	struct phiz_cuda *c = backend->state;
	struct phiz_recording *r = recording ? *recording : NULL;
	enum phiz_status status = phiz_cuda_check(ctx, cudaSetDevice(c->device), "choosing the device");

	if (status || !recording)
		return status ? status : steps(arg);
	if (!r) {
		*recording = r = phiz_calloc(ctx, 1, sizeof *r);
		if (!r)
			return PHIZ_E_NOMEM;
	}
	if (r->runs == 1)
		record(c, r, steps, arg);
	if (r->runs < 2)
		r->runs++;
	return r->graph ? phiz_cuda_check(ctx, cudaGraphLaunch(r->graph, c->stream), "running the recorded steps")
	                : steps(arg);
}

static void forget(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_recording **recording)
{
	(void)backend;
	if (!*recording)
		return;
	if ((*recording)->graph)
		cudaGraphExecDestroy((*recording)->graph);
	phiz_free(ctx, *recording);
	*recording = NULL;
}

static void hold(const struct phiz_backend *backend, bool on)
{
	struct phiz_cuda *c = backend->state;
	if (!on) {
		pthread_mutex_unlock(&c->mutex);
		return;
	}
	pthread_mutex_lock(&c->mutex);
	(void)cudaSetDevice(c->device); /* of this thread; what fails here fails again with what follows */
}

static void choose_by_clock(const struct phiz_backend *backend, bool on)
{
	struct phiz_cuda *c = backend->state;
	c->by_clock = on;
}

/* --- The kernel table --- */

static const struct phiz_kernel *const table[] = {
	phiz_cuda_relu, phiz_cuda_leaky_relu, phiz_cuda_prelu, phiz_cuda_add, phiz_cuda_batch_norm, phiz_cuda_max_pool2d,
	phiz_cuda_avg_pool2d, phiz_cuda_global_avg_pool, phiz_cuda_softmax_cross_entropy, phiz_cuda_normalize_bytes,
	phiz_cuda_permute, phiz_cuda_slice, phiz_cuda_concat, phiz_cuda_resize_nearest, phiz_cuda_affine, phiz_cuda_sigmoid,
	phiz_cuda_exp, phiz_cuda_softmax, phiz_cuda_l2_normalize,
};

static const struct phiz_kernel *find_in(const struct phiz_kernel *const *rows, size_t n, const struct phiz_call *call,
                                         enum phiz_dtype dtype, bool backward)
{
	for (size_t i = 0; i < n; i++)
		for (int d = 0; d < PHIZ_CUDA_DTYPES; d++) {
			const struct phiz_kernel *k = &rows[i][d];
			if (k->op && k->dtype == dtype && !strcmp(k->op, call->node->op->name) &&
			    (backward ? k->backward : k->forward) && (!k->supports || k->supports(call)))
				return k;
		}
	return NULL;
}

static const struct phiz_kernel *find(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
                                      bool backward)
{
	struct phiz_cuda *c = phiz_cuda_of(call);

	(void)ctx;
	if (dtype == PHIZ_BF16 && !c->bf16)
		return NULL;
	const struct phiz_kernel *k = find_in(phiz_cuda_kit.rows, phiz_cuda_kit.n_rows, call, dtype, backward);
	return k ? k : find_in(table, sizeof table / sizeof table[0], call, dtype, backward);
}

/* --- The backend --- */

static enum phiz_status open_device(struct phiz_ctx *ctx, struct phiz_cuda *c)
{
	struct cudaDeviceProp properties;
	enum phiz_status status = phiz_cuda_check(ctx, cudaSetDevice(c->device), "choosing the device");

	if (!status)
		status = phiz_cuda_check(ctx, cudaGetDeviceProperties(&properties, c->device), "reading its properties");
	if (status)
		return status;
	c->tensor_cores = properties.major >= 7 && !phiz_cuda_kit.lean;
	c->bf16 = properties.major >= 8 && CUDART_VERSION >= 11000 && !phiz_cuda_kit.lean;
	status = phiz_cuda_check(ctx, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "making a stream");
	if (!status)
		status = phiz_cuda_check(ctx, cudaStreamCreateWithFlags(&c->ahead, cudaStreamNonBlocking), "making a stream");
	if (!status)
		status = phiz_cuda_check(ctx, cudaEventCreateWithFlags(&c->landed, cudaEventDisableTiming), "making an event");
	return status ? status : phiz_cuda_kit.open(ctx, c);
}

static void free_backend(struct phiz_ctx *ctx, struct phiz_backend **backend)
{
	if (!backend || !*backend)
		return;
	struct phiz_cuda *c = (*backend)->state;
	phiz_cuda_kit.close(c);
	phiz_cuda_forget_tables(c);
	if (c->landed)
		cudaEventDestroy(c->landed);
	if (c->ahead)
		cudaStreamDestroy(c->ahead);
	if (c->stream)
		cudaStreamDestroy(c->stream);
	pthread_mutex_destroy(&c->mutex);
	phiz_free(ctx, c);
	phiz_free(ctx, *backend);
	*backend = NULL;
}

/* Neither call fails with these arguments. */
static void make_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t nested;
	pthread_mutexattr_init(&nested);
	pthread_mutexattr_settype(&nested, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(mutex, &nested);
	pthread_mutexattr_destroy(&nested);
}

static enum phiz_status create(struct phiz_ctx *ctx, int device, struct phiz_backend **out)
{
	static const struct phiz_device_calls calls = {
		alloc_staging, free_staging, hold, upload, download, sync, upload_ahead, land, copy, run, forget,
		choose_by_clock, phiz_cuda_update, phiz_cuda_average_weights,
	};
	enum phiz_status status = check_device(ctx, device);

	*out = NULL;
	if (status)
		return status;
	struct phiz_backend *b = phiz_calloc(ctx, 1, sizeof *b);
	struct phiz_cuda *c = b ? phiz_calloc(ctx, 1, sizeof *c) : NULL;
	if (!c) {
		phiz_free(ctx, b);
		return PHIZ_E_NOMEM;
	}
	c->ctx = ctx;
	c->device = device;
	make_mutex(&c->mutex);
	*b = (struct phiz_backend){
		.name = phiz_cuda_kit.lean ? "lean cuda" : "cuda", .find = find, .alloc = alloc, .free = release,
		.device = &calls, .state = c,
	};
	status = open_device(ctx, c);
	b->picture_layout = c->tensor_cores ? PHIZ_CHANNELS_LAST : PHIZ_PLAIN;
	b->wide_layout = PHIZ_PLAIN; /* tensor cores have no part in float32, and cuDNN is 1.6 times as fast so */
	if (status)
		free_backend(ctx, &b);
	*out = b;
	return status;
}

PHIZ_API phiz_cuda_module_fn phiz_cuda_module;

const struct phiz_cuda_module *phiz_cuda_module(void)
{
	static const struct phiz_cuda_module module = {PHIZ_VERSION, count_devices, describe, create, free_backend};
	return &module;
}
