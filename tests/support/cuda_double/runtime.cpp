/* The test double's runtime. Streams are queues that run when somebody waits, as late as CUDA may, so that what is read
 * or overwritten too early shows; the device's memory can be touched only while they run. Copies from memory that is not
 * pinned are taken at once, and copies to it waited for, as CUDA does. */
#include <cuda_runtime.h>

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include <stdlib.h>
#include <string.h>

#include "double.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

typedef std::function<void()> work_fn;

struct double_graph {
	std::vector<work_fn> work;
};

struct double_exec {
	std::shared_ptr<double_graph> graph;
};

struct double_stream {
	std::deque<work_fn> queue;
	uint64_t put = 0, done = 0; /* how many works were put in, and are done */
	std::unique_ptr<double_graph> capture;
	bool spoilt = false;
};

struct double_event {
	double_stream *stream = nullptr;
	uint64_t at = 0;
};

namespace {

const size_t ARENA = (size_t)64 << 30, DEVICE_BYTES = (size_t)4 << 30, GUARD = 256;
const size_t FILLED = (size_t)1 << 20;
const size_t WATCHED = (size_t)256 << 10; /* bytes from the arena's beginning that are kept from the host: it costs time */

struct state {
	char *arena = nullptr;
	size_t used = 0, live_bytes = 0;
	std::map<char *, size_t> device, pinned; /* what is there, and how large */
	std::set<double_stream *> streams;
	int open = 0; /* works under way, which may touch the device's memory */
	cudaError_t last = cudaSuccess;
	long calls = 0, fail_at = 0, live = 0;
};

state &the() /* one device, whose memory outlives all contexts */
{
	static state *s = new state;
	return *s;
}

void protect(int how)
{
	size_t used = std::min(the().used, WATCHED);
	if (used)
		mprotect(the().arena, (used + 4095) & ~(size_t)4095, how);
}

void enter()
{
	if (the().open++ == 0)
		protect(PROT_READ | PROT_WRITE);
}

void leave()
{
	if (--the().open == 0)
		protect(PROT_NONE);
}

void run_until(double_stream *s, uint64_t at)
{
	enter();
	while (s->done < at && !s->queue.empty()) {
		work_fn work = s->queue.front();
		s->queue.pop_front();
		s->done++;
		work();
	}
	leave();
}

void run_all()
{
	for (double_stream *s : the().streams)
		run_until(s, s->put);
}

cudaError_t fail(cudaError_t error)
{
	the().last = error;
	return error;
}

/* What CUDA refuses while a stream of this thread records. */
bool records()
{
	for (double_stream *s : the().streams)
		if (s->capture) {
			s->spoilt = true;
			return true;
		}
	return false;
}

const std::pair<char *const, size_t> *block_of(const std::map<char *, size_t> &blocks, const void *memory)
{
	auto after = blocks.upper_bound((char *)memory);
	return after == blocks.begin() ? nullptr : &*std::prev(after);
}

bool inside(const std::map<char *, size_t> &blocks, const void *memory, size_t bytes)
{
	const auto *b = block_of(blocks, memory);
	return b && (const char *)memory + bytes <= b->first + b->second;
}

bool guard_is_whole(const char *guard)
{
	return std::all_of(guard, guard + GUARD, [](char c) { return c == (char)0xA5; });
}

}

namespace cuda_double {

bool call_fails()
{
	return ++the().calls == the().fail_at;
}

void count_live(long by) { the().live += by; }

bool on_device(const void *memory, size_t bytes) { return inside(the().device, memory, bytes); }

void enqueue(cudaStream_t stream, work_fn work)
{
	if (!stream) {
		enter();
		work();
		leave();
	} else if (stream->capture) {
		stream->capture->work.push_back(work);
	} else {
		stream->queue.push_back(work);
		stream->put++;
	}
}

}

using cuda_double::call_fails;
using cuda_double::count_live;
using cuda_double::enqueue;

extern "C" {

void cuda_double_fail_at(long k)
{
	the().calls = 0;
	the().fail_at = k;
	the().last = cudaSuccess;
}

long cuda_double_calls(void) { return the().calls; }
long cuda_double_live(void) { return the().live; }

const char *cudaGetErrorString(cudaError_t error)
{
	switch (error) {
	case cudaSuccess: return "no error";
	case cudaErrorMemoryAllocation: return "out of memory";
	case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
	case cudaErrorInvalidValue: return "invalid argument";
	default: return "the test double was told to fail";
	}
}

cudaError_t cudaGetLastError(void)
{
	cudaError_t error = the().last;
	the().last = cudaSuccess;
	return error;
}

cudaError_t cudaPeekAtLastError(void) { return the().last; }

cudaError_t cudaGetDeviceCount(int *count)
{
	*count = 1;
	return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
	if (call_fails() || device != 0)
		return fail(cudaErrorInvalidValue);
	memset(out, 0, sizeof *out);
	strcpy(out->name, "test double");
	out->major = CUDART_VERSION >= 11000 ? 9 : 5;
	out->multiProcessorCount = 1;
	return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return call_fails() || device != 0 ? fail(cudaErrorInvalidValue) : cudaSuccess; }

cudaError_t cudaDriverGetVersion(int *version)
{
	*version = CUDART_VERSION;
	return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) { return cudaDriverGetVersion(version); }

/* --- Memory --- */

cudaError_t cudaMalloc(void **out, size_t bytes)
{
	state &s = the();
	*out = nullptr;
	if (call_fails() || s.live_bytes + bytes > DEVICE_BYTES)
		return fail(cudaErrorMemoryAllocation);
	if (records())
		return fail(cudaErrorStreamCaptureUnsupported);
	if (!s.arena)
		s.arena = (char *)mmap(nullptr, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		                       0);
	if (s.device.empty() && s.used) { /* from the beginning again */
		enter();
		madvise(s.arena, s.used, MADV_DONTNEED);
		s.used = 0;
		leave();
	}
	size_t whole = (bytes + 255) / 256 * 256 + 2 * GUARD;
	if (s.arena == MAP_FAILED || s.used + whole > ARENA)
		return fail(cudaErrorMemoryAllocation);
	char *at = s.arena + s.used + GUARD;
	s.used += whole;
	enter();
	protect(PROT_READ | PROT_WRITE); /* also the new end */
	memset(at - GUARD, 0xA5, GUARD);
	memset(at, 0xFF, std::min(bytes, FILLED)); /* NaN: nobody may count on zeros */
	memset(at + bytes, 0xA5, GUARD);
	leave();
	s.device[at] = bytes;
	s.live_bytes += bytes;
	count_live(1);
	*out = at;
	return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
	state &s = the();
	auto found = s.device.find((char *)memory);
	if (!memory)
		return cudaSuccess;
	if (found == s.device.end())
		abort(); /* freed twice, or never asked for */
	run_all();
	enter();
	bool whole = guard_is_whole(found->first - GUARD) && guard_is_whole(found->first + found->second);
	leave();
	if (!whole)
		abort(); /* somebody wrote beside it */
	s.live_bytes -= found->second;
	s.device.erase(found);
	count_live(-1);
	return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
	*out = nullptr;
	if (call_fails())
		return fail(cudaErrorMemoryAllocation);
	if (records())
		return fail(cudaErrorStreamCaptureUnsupported);
	*out = calloc(1, bytes ? bytes : 1);
	if (!*out)
		return fail(cudaErrorMemoryAllocation);
	the().pinned[(char *)*out] = bytes;
	count_live(1);
	return cudaSuccess;
}

cudaError_t cudaFreeHost(void *memory)
{
	if (!memory)
		return cudaSuccess;
	if (!the().pinned.count((char *)memory))
		abort();
	run_all();
	the().pinned.erase((char *)memory);
	free(memory);
	count_live(-1);
	return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all)
{
	if (call_fails())
		return fail(cudaErrorUnknown);
	*all = DEVICE_BYTES;
	*free_bytes = DEVICE_BYTES - the().live_bytes;
	return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
	if (call_fails())
		return fail(cudaErrorUnknown);
	if (!cuda_double::on_device(to, bytes))
		return fail(cudaErrorInvalidValue);
	enqueue(stream, [=]() { memset(to, value, bytes); });
	return cudaSuccess;
}

cudaError_t cudaMemset(void *to, int value, size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	if (call_fails())
		return fail(cudaErrorUnknown);
	bool device_to = kind != cudaMemcpyDeviceToHost, device_from = kind != cudaMemcpyHostToDevice;
	if (cuda_double::on_device(to, bytes) != device_to || cuda_double::on_device(from, bytes) != device_from)
		return fail(cudaErrorInvalidValue);
	bool pinned = inside(the().pinned, device_to ? from : to, bytes);
	if (kind == cudaMemcpyHostToDevice && !pinned) {
		std::vector<char> taken((const char *)from, (const char *)from + bytes);
		enqueue(stream, [=]() { memcpy(to, taken.data(), bytes); });
		return cudaSuccess;
	}
	enqueue(stream, [=]() { memcpy(to, from, bytes); });
	if (kind == cudaMemcpyDeviceToHost && !pinned && stream) {
		if (stream->capture)
			return fail(cudaErrorStreamCaptureUnsupported);
		run_until(stream, stream->put);
	}
	return cudaSuccess;
}

/* --- Streams, events, graphs --- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
	(void)flags;
	*out = nullptr;
	if (call_fails())
		return fail(cudaErrorUnknown);
	*out = new double_stream;
	the().streams.insert(*out);
	count_live(1);
	return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	if (!the().streams.count(stream))
		abort();
	run_until(stream, stream->put);
	the().streams.erase(stream);
	delete stream;
	count_live(-1);
	return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	if (call_fails())
		return fail(cudaErrorUnknown);
	if (records())
		return fail(cudaErrorStreamCaptureUnsupported);
	run_until(stream, stream->put);
	return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
	(void)flags;
	*out = nullptr;
	if (call_fails())
		return fail(cudaErrorUnknown);
	*out = new double_event;
	count_live(1);
	return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out) { return cudaEventCreateWithFlags(out, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	delete event;
	count_live(-1);
	return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	if (call_fails())
		return fail(cudaErrorUnknown);
	event->stream = stream;
	event->at = stream->put;
	return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
	(void)flags;
	if (call_fails())
		return fail(cudaErrorUnknown);
	double_stream *other = event->stream;
	uint64_t at = event->at;
	if (other && other != stream)
		enqueue(stream, [=]() { run_until(other, at); });
	return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	if (call_fails())
		return fail(cudaErrorUnknown);
	if (event->stream)
		run_until(event->stream, event->at);
	return cudaSuccess;
}

/* Made up: later events are later. */
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
	if (call_fails())
		return fail(cudaErrorUnknown);
	*ms = (float)(end->at - begin->at) * 0.01f;
	return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
	(void)mode;
	if (call_fails() || stream->capture)
		return fail(cudaErrorUnknown);
	stream->capture.reset(new double_graph);
	stream->spoilt = false;
	return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
	*out = nullptr;
	if (!stream->capture)
		return fail(cudaErrorUnknown);
	std::unique_ptr<double_graph> graph = std::move(stream->capture);
	if (call_fails() || stream->spoilt)
		return fail(cudaErrorUnknown);
	*out = graph.release();
	count_live(1);
	return cudaSuccess;
}

static cudaError_t instantiate(cudaGraphExec_t *out, cudaGraph_t graph)
{
	*out = nullptr;
	if (call_fails())
		return fail(cudaErrorUnknown);
	*out = new double_exec{std::make_shared<double_graph>(*graph)};
	count_live(1);
	return cudaSuccess;
}

#if CUDART_VERSION >= 12000
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
	(void)flags;
	return instantiate(out, graph);
}
#else
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, void *node, char *log, size_t bytes)
{
	(void)node;
	(void)log;
	(void)bytes;
	return instantiate(out, graph);
}
#endif

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
	if (call_fails())
		return fail(cudaErrorLaunchFailure);
	std::shared_ptr<double_graph> graph = exec->graph;
	enqueue(stream, [=]() {
		for (const work_fn &work : graph->work)
			work();
	});
	return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	delete graph;
	count_live(-1);
	return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	delete exec;
	count_live(-1);
	return cudaSuccess;
}

}

/* --- Kernels. Where a block's threads wait for each other, each is a fiber; a round runs every one of them up to its
 * next __syncthreads. --- */

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

const size_t STACK = (size_t)256 << 10;

/* A context to begin on a stack of its own; from then on jumps, which ask nothing of the system. */
struct fiber {
	ucontext_t context;
	jmp_buf here;
	bool begun = false;
	char *stack = nullptr;
	bool done = false;
	void *fake = nullptr; /* the sanitizer's */
};

struct block_run {
	std::vector<fiber> fibers;
	jmp_buf scheduler;
	const work_fn *thread = nullptr;
	unsigned current = 0;
	void *fake = nullptr;
	const void *bottom = nullptr;
	size_t size = 0;
} block;

void start_switch(void **fake, const void *bottom, size_t size)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(fake, bottom, size);
#else
	(void)fake;
	(void)bottom;
	(void)size;
#endif
}

void finish_switch(void *fake, const void **bottom, size_t *size)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(fake, bottom, size);
#else
	(void)fake;
	(void)bottom;
	(void)size;
#endif
}

void yield()
{
	fiber &f = block.fibers[block.current];
	start_switch(&f.fake, block.bottom, block.size);
	if (!_setjmp(f.here))
		_longjmp(block.scheduler, 1);
	finish_switch(f.fake, &block.bottom, &block.size);
}

void fiber_main()
{
	finish_switch(nullptr, &block.bottom, &block.size);
	for (;;) { /* a thread of one block after the other */
		(*block.thread)();
		block.fibers[block.current].done = true;
		yield();
	}
}

/* Runs the fiber up to its next wait. */
void go_on(fiber &f)
{
	start_switch(&block.fake, f.stack, STACK);
	if (!_setjmp(block.scheduler)) {
		if (f.begun)
			_longjmp(f.here, 1);
		f.begun = true;
		setcontext(&f.context);
	}
	finish_switch(block.fake, nullptr, nullptr);
}

void run_fibers(unsigned threads, const work_fn &thread)
{
	block.thread = &thread;
	if (block.fibers.size() < threads)
		block.fibers.resize(threads);
	for (unsigned t = 0; t < threads; t++) {
		fiber &f = block.fibers[t];
		f.done = false;
		if (f.stack)
			continue;
		f.stack = (char *)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		getcontext(&f.context);
		f.context.uc_stack.ss_sp = f.stack;
		f.context.uc_stack.ss_size = STACK;
		f.context.uc_link = nullptr;
		makecontext(&f.context, fiber_main, 0);
	}
	for (bool any = true; any;) {
		any = false;
		for (unsigned t = 0; t < threads; t++) {
			fiber &f = block.fibers[t];
			if (f.done)
				continue;
			any = true;
			block.current = t;
			threadIdx.x = t;
			go_on(f);
		}
	}
}

void run_blocks(dim3 blocks, unsigned threads, bool together, const work_fn &thread)
{
	if (!together) { /* any number does: a few, since each costs as much here */
		blocks = dim3(std::min(blocks.x, 2u));
		threads = std::min(threads, 3u);
	}
	gridDim = blocks;
	blockDim = dim3(threads);
	for (blockIdx.y = 0; blockIdx.y < blocks.y; blockIdx.y++)
		for (blockIdx.x = 0; blockIdx.x < blocks.x; blockIdx.x++) {
			if (together) {
				run_fibers(threads, thread);
				continue;
			}
			for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
				thread();
		}
}

}

void __syncthreads(void) { yield(); }

void cuda_double::launch(dim3 blocks, unsigned threads, void *stream, bool together, work_fn thread)
{
	if (call_fails() || blocks.x == 0 || blocks.y == 0 || blocks.y > 65535 || threads == 0 || threads > 1024) {
		fail(cudaErrorLaunchFailure);
		return;
	}
	enqueue((cudaStream_t)stream, [=]() { run_blocks(blocks, threads, together, thread); });
}
