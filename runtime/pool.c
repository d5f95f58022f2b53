/* The pool of threads: see mnrt.h.
 *
 * A run is a set of bits, one for each index not yet begun. Whoever clears a bit runs its task: the
 * thread of that number first, so that a thread meets the data of its own part again in the next
 * run, and then whatever is left, so that nobody waits for a thread that is still asleep. The
 * task is read after a bit was won; the run cannot end before that task has, so what was read
 * belongs to the run of the bit.
 *
 * Threads without work look at the bits for a while, with pauses, and then sleep on a condition.
 * The two sides agree by sequential consistency: a thread counts itself among the sleepers before
 * it looks at the bits once more, the caller sets the bits before it looks at the count. The caller
 * waits for the last task in the same manner. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* for pinning */
#endif

#include "mnrt.h"

#include <pthread.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sched.h>
#endif

enum { LINE = 64, BITS = 64, SPIN_NS = 50000, PAUSES = 32 };

typedef struct Worker {
  pthread_t thread;
  struct MnrtPool *pool;
  int number; /* 1.. */
} Worker;

/* What different threads write lies on lines of its own. */
struct MnrtPool {
  uint64_t unclaimed; /* atomic: indices not begun, less `base` */
  char line0[LINE - sizeof(uint64_t)];
  int left; /* atomic: tasks of this round that have not ended */
  char line1[LINE - sizeof(int)];
  int busy;     /* atomic: a run is under way */
  int sleepers; /* atomic: threads that wait on `work`, or are about to */
  int waiting;  /* atomic: the caller waits on `done`, or is about to */
  int stop;     /* atomic */

  void (*task)(void *context, int index);
  void *context;
  int base;

  pthread_mutex_t mutex;
  pthread_cond_t work, done;
  uint64_t spin_ns;
  int n_workers; /* besides the caller */
  Worker *workers;
};

static void pause_briefly(void) {
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
  __builtin_ia32_pause();
#elif defined(__GNUC__) && (defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7))
  __asm__ __volatile__("yield");
#endif
}

/* ---- one round: up to 64 indices ---- */

static void run_task(MnrtPool *pool, int bit) {
  pool->task(pool->context, pool->base + bit);
  if (__atomic_sub_fetch(&pool->left, 1, __ATOMIC_SEQ_CST) != 0)
    return;
  if (__atomic_load_n(&pool->waiting, __ATOMIC_SEQ_CST)) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->mutex);
  }
}

/* Runs tasks until there is none to begin: the own one first. */
static void work(MnrtPool *pool, int own) {
  uint64_t wanted = own < BITS ? UINT64_C(1) << own : 0;
  for (;;) {
    uint64_t unclaimed = __atomic_load_n(&pool->unclaimed, __ATOMIC_ACQUIRE);
    if (!unclaimed)
      return;
    uint64_t bit = unclaimed & wanted ? wanted : unclaimed & (~unclaimed + 1);
    if (__atomic_fetch_and(&pool->unclaimed, ~bit, __ATOMIC_ACQ_REL) & bit)
      run_task(pool, __builtin_ctzll(bit));
  }
}

/* ---- the threads ---- */

/* True if there was work before the time was over. */
static int work_soon(MnrtPool *pool) {
  uint64_t begin = 0;
  for (;;) {
    for (int i = 0; i < PAUSES; i++) {
      if (__atomic_load_n(&pool->unclaimed, __ATOMIC_RELAXED) || __atomic_load_n(&pool->stop, __ATOMIC_RELAXED))
        return 1;
      pause_briefly();
    }
    uint64_t now = mnrt_now_ns();
    if (begin == 0)
      begin = now;
    if (now - begin >= pool->spin_ns)
      return 0;
  }
}

static void sleep_until_work(MnrtPool *pool) {
  pthread_mutex_lock(&pool->mutex);
  __atomic_add_fetch(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
  while (!__atomic_load_n(&pool->unclaimed, __ATOMIC_SEQ_CST) && !__atomic_load_n(&pool->stop, __ATOMIC_SEQ_CST))
    pthread_cond_wait(&pool->work, &pool->mutex);
  __atomic_sub_fetch(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&pool->mutex);
}

static void *thread_main(void *argument) {
  Worker *worker = argument;
  MnrtPool *pool = worker->pool;
  while (!__atomic_load_n(&pool->stop, __ATOMIC_ACQUIRE)) {
    if (!work_soon(pool))
      sleep_until_work(pool);
    work(pool, worker->number);
  }
  return NULL;
}

/* The worker's thread to the processor of its number among those that the process may use. */
static void pin(const Worker *worker) {
#if defined(__linux__)
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
    return;
  int skip = worker->number % CPU_COUNT(&allowed);
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && skip-- == 0) {
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      pthread_setaffinity_np(worker->thread, sizeof one, &one); /* a wish: without it all works too */
      return;
    }
#else
  (void)worker;
#endif
}

/* ---- the caller ---- */

static void wait_for_others(MnrtPool *pool) {
  uint64_t begin = 0;
  for (;;) {
    for (int i = 0; i < PAUSES; i++) {
      if (__atomic_load_n(&pool->left, __ATOMIC_ACQUIRE) == 0)
        return;
      pause_briefly();
    }
    uint64_t now = mnrt_now_ns();
    if (begin == 0)
      begin = now;
    if (now - begin >= pool->spin_ns)
      break;
  }
  pthread_mutex_lock(&pool->mutex);
  __atomic_store_n(&pool->waiting, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&pool->left, __ATOMIC_SEQ_CST) != 0)
    pthread_cond_wait(&pool->done, &pool->mutex);
  __atomic_store_n(&pool->waiting, 0, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&pool->mutex);
}

static void run_round(MnrtPool *pool, int n) {
  __atomic_store_n(&pool->left, n, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->unclaimed, n == BITS ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1, __ATOMIC_SEQ_CST);
  if (n > 1 && __atomic_load_n(&pool->sleepers, __ATOMIC_SEQ_CST)) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
  }
  work(pool, 0);
  wait_for_others(pool);
}

void mnrt_pool_run(void *self, int n, void (*task)(void *context, int index), void *context) {
  MnrtPool *pool = self;
  /* Another run under way, this one's caller perhaps among its tasks: no threads are free. */
  if (n < 2 || !pool || pool->n_workers == 0 || __atomic_exchange_n(&pool->busy, 1, __ATOMIC_ACQUIRE)) {
    for (int i = 0; i < n; i++)
      task(context, i);
    return;
  }
  pool->task = task;
  pool->context = context;
  for (pool->base = 0; pool->base < n; pool->base += BITS)
    run_round(pool, n - pool->base < BITS ? n - pool->base : BITS);
  __atomic_store_n(&pool->busy, 0, __ATOMIC_RELEASE);
}

mncc_parallel mnrt_pool_parallel(MnrtPool *pool) {
  mncc_parallel parallel = {mnrt_pool_run, pool};
  return parallel;
}

/* ---- making and freeing ---- */

static MnrtPool *pool_alloc(int threads, unsigned flags) {
  void *memory = mnrt_arena_new(sizeof(MnrtPool), LINE);
  Worker *workers = calloc((size_t)threads, sizeof *workers);
  if (!memory || !workers) {
    mnrt_arena_free(memory);
    free(workers);
    return NULL;
  }
  MnrtPool *pool = memory;
  static const MnrtPool empty;
  *pool = empty;
  pool->workers = workers;
  pool->spin_ns = flags & MNRT_POOL_NO_SPIN ? 0 : SPIN_NS;
  if (pthread_mutex_init(&pool->mutex, NULL) == 0) {
    if (pthread_cond_init(&pool->work, NULL) == 0) {
      if (pthread_cond_init(&pool->done, NULL) == 0)
        return pool;
      pthread_cond_destroy(&pool->work);
    }
    pthread_mutex_destroy(&pool->mutex);
  }
  free(workers);
  mnrt_arena_free(pool);
  return NULL;
}

MnrtPool *mnrt_pool_new(int threads, unsigned flags) {
  if (threads < 1 || threads > MNRT_POOL_MAX_THREADS)
    return NULL;
  MnrtPool *pool = pool_alloc(threads, flags);
  for (int i = 1; pool && i < threads; i++) {
    Worker *worker = &pool->workers[i - 1];
    worker->pool = pool;
    worker->number = i;
    if (pthread_create(&worker->thread, NULL, thread_main, worker) != 0) {
      mnrt_pool_free(pool);
      return NULL;
    }
    pool->n_workers = i;
    if (flags & MNRT_POOL_PIN)
      pin(worker);
  }
  return pool;
}

void mnrt_pool_free(MnrtPool *pool) {
  if (!pool)
    return;
  pthread_mutex_lock(&pool->mutex);
  __atomic_store_n(&pool->stop, 1, __ATOMIC_SEQ_CST);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->n_workers; i++)
    pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->workers);
  mnrt_arena_free(pool);
}
