#include "core/base/thread.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "core/base/ctx.h"

/* Waking a sleeping thread takes longer than many a loop runs, and the next loop of a network mostly follows at once:
 * before it sleeps, a thread looks for it that long. */
static const double spin_seconds = 50e-6;

/* One loop: what the pool works on. */
struct job {
	phiz_range_fn fn;
	void *arg;
	int64_t n, grain, pieces;
	atomic_int_least64_t next; /* the first piece that nobody took */
};

struct worker {
	struct phiz_pool *pool;
	pthread_t thread;
	int index;
};

/* lock guards open, generation, running and stop; the atomic ones are also watched without it, while spinning. A worker
 * that wakes when the loop is over (open is false) does not join, so that the caller waits only for workers that hold a
 * piece. */
struct phiz_pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a loop was opened, or stop */
	pthread_cond_t done; /* running fell to 0 */
	int threads;         /* the caller's own included */
	int started;         /* workers that exist: threads 1..started */
	bool tried;          /* to start them */
	bool busy;           /* a loop is under way; written by the context's thread only, outside of loops */
	bool spins;          /* not where threads would take the processor from each other */
	bool open;
	atomic_bool stop;
	atomic_uint generation;
	atomic_int running;
	struct job job;
	struct worker worker[]; /* [0] stands for the caller */
};

enum phiz_status phiz_pool_create(int threads, struct phiz_pool **out)
{
	struct phiz_pool *pool = phiz_raw_calloc(sizeof(*pool) + (size_t)threads * sizeof(pool->worker[0]));
	*out = pool;
	if (!pool)
		return PHIZ_E_NOMEM;
	pool->threads = threads;
	pool->spins = threads <= sysconf(_SC_NPROCESSORS_ONLN);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	return PHIZ_OK;
}

void phiz_pool_free(struct phiz_pool **pool)
{
	struct phiz_pool *p = *pool;
	if (!p)
		return;
	*pool = NULL;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (int i = 1; i <= p->started; i++)
		pthread_join(p->worker[i].thread, NULL);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	phiz_raw_free(p);
}

int phiz_pool_threads(const struct phiz_pool *pool)
{
	return pool ? pool->threads : 1;
}

static void run_pieces(struct job *job, int worker)
{
	for (;;) {
		int64_t piece = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
		if (piece >= job->pieces)
			return;
		int64_t begin = piece * job->grain;
		int64_t end = job->n - begin < job->grain ? job->n : begin + job->grain;
		job->fn(job->arg, begin, end, worker);
	}
}

static void run_serially(int64_t n, int64_t grain, phiz_range_fn fn, void *arg, int worker)
{
	for (int64_t begin = 0; begin < n;) {
		int64_t end = n - begin < grain ? n : begin + grain;
		fn(arg, begin, end, worker);
		begin = end;
	}
}

static void pause_processor(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void spin_for_work(struct phiz_pool *pool, unsigned seen)
{
	double end = phiz_time() + spin_seconds;
	while (pool->spins && phiz_time() < end)
		for (int i = 0; i < 32; i++) {
			if (atomic_load_explicit(&pool->generation, memory_order_relaxed) != seen ||
			    atomic_load_explicit(&pool->stop, memory_order_relaxed))
				return;
			pause_processor();
		}
}

static void spin_until_done(struct phiz_pool *pool)
{
	double end = phiz_time() + spin_seconds;
	while (pool->spins && phiz_time() < end)
		for (int i = 0; i < 32; i++) {
			if (atomic_load_explicit(&pool->running, memory_order_relaxed) == 0)
				return;
			pause_processor();
		}
}

static void *work(void *arg)
{
	struct worker *self = arg;
	struct phiz_pool *pool = self->pool;
	unsigned seen = 0;
	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		if (!pool->open || pool->generation == seen) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		seen = pool->generation;
		pool->running++;
		pthread_mutex_unlock(&pool->lock);
		run_pieces(&pool->job, self->index);
		pthread_mutex_lock(&pool->lock);
		if (--pool->running == 0)
			pthread_cond_signal(&pool->done);
		pthread_mutex_unlock(&pool->lock);
		spin_for_work(pool, seen);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Workers take no signals meant for the program (Ctrl-C goes to a thread of the program), but keep those that report
 * a fault of their own. Where the system gives fewer threads, the loops run on those. */
static void start_workers(struct phiz_pool *pool)
{
	static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t all, before;
	pool->tried = true;
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own_faults) / sizeof(own_faults[0]); i++)
		sigdelset(&all, own_faults[i]);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	for (int i = 1; i < pool->threads; i++) {
		struct worker *worker = &pool->worker[i];
		worker->pool = pool;
		worker->index = i;
		if (pthread_create(&worker->thread, NULL, work, worker))
			break;
		pool->started = i;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Which worker of a busy pool is calling? The caller's own thread, number 0, is the one that is not in the list. */
static int calling_worker(const struct phiz_pool *pool)
{
	pthread_t self = pthread_self();
	for (int i = 1; i <= pool->started; i++)
		if (pthread_equal(pool->worker[i].thread, self))
			return i;
	return 0;
}

static void run_on_pool(struct phiz_pool *pool)
{
	int64_t helpers = pool->job.pieces - 1 < pool->started ? pool->job.pieces - 1 : pool->started;
	pthread_mutex_lock(&pool->lock);
	pool->generation++;
	pool->open = true;
	if (helpers == pool->started)
		pthread_cond_broadcast(&pool->work);
	else
		for (int64_t i = 0; i < helpers; i++)
			pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	run_pieces(&pool->job, 0);
	pthread_mutex_lock(&pool->lock);
	pool->open = false; /* from here on running only falls */
	pthread_mutex_unlock(&pool->lock);
	spin_until_done(pool);
	pthread_mutex_lock(&pool->lock);
	while (pool->running)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

void phiz_parallel_for(struct phiz_ctx *ctx, int64_t n, int64_t grain, phiz_range_fn fn, void *arg)
{
	struct phiz_pool *pool = ctx->pool;
	if (n <= 0)
		return;
	if (grain < 1)
		grain = 1;
	if (!pool || pool->threads == 1 || n <= grain || pool->busy) {
		run_serially(n, grain, fn, arg, pool && pool->busy ? calling_worker(pool) : 0);
		return;
	}
	if (!pool->tried)
		start_workers(pool);
	pool->busy = true;
	pool->job.fn = fn;
	pool->job.arg = arg;
	pool->job.n = n;
	pool->job.grain = grain;
	pool->job.pieces = (n - 1) / grain + 1;
	atomic_store_explicit(&pool->job.next, 0, memory_order_relaxed);
	run_on_pool(pool);
	pool->busy = false;
}

static double read_clock(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double phiz_time(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

double phiz_thread_time(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
