/* The pool of threads. Built once as the library is, and once with the thread sanitizer. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mnrt.h"
#include "check.h"

enum { MOST = 300 };

/* What tasks write without any lock: the pool must order it. */
typedef struct Counts {
  int of[MOST];
  int sum; /* of the run before, read by every task */
} Counts;

static void count(void *context, int index) {
  Counts *counts = context;
  counts->of[index] += 1 + counts->sum;
}

static void pause_ms(long ms) {
  struct timespec time = {0, ms * 1000000};
  nanosleep(&time, NULL);
}

static void check_counts(MnrtPool *pool, int n) {
  static Counts counts;
  memset(&counts, 0, sizeof counts);
  int want = 0;
  for (int times = 0; times < 3; times++) {
    mnrt_pool_run(pool, n, count, &counts);
    want += 1 + counts.sum;
    for (int i = 0; i < MOST; i++)
      CHECK(counts.of[i] == (i < n ? want : 0));
    counts.sum++;
  }
}

static void test_counts(int threads, unsigned flags) {
  MnrtPool *pool = mnrt_pool_new(threads, flags);
  CHECK(pool);
  for (int n = 0; n < 8; n++)
    check_counts(pool, n);
  check_counts(pool, 63);
  check_counts(pool, 64);
  check_counts(pool, 65);
  check_counts(pool, MOST);
  pause_ms(2); /* asleep */
  check_counts(pool, threads);
  for (int i = 0; i < 2000; i++)
    check_counts(pool, 2);
  mncc_parallel parallel = mnrt_pool_parallel(pool);
  Counts counts = {{0}, 0};
  parallel.run(parallel.self, 5, count, &counts);
  CHECK(counts.of[0] == 1 && counts.of[4] == 1 && counts.of[5] == 0);
  mnrt_pool_free(pool);
}

/* A slow task: the caller goes to sleep over it. */
static void wait_then_count(void *context, int index) {
  if (index == 1)
    pause_ms(2);
  count(context, index);
}

static void test_slow(unsigned flags) {
  MnrtPool *pool = mnrt_pool_new(2, flags);
  Counts counts = {{0}, 0};
  for (int i = 0; i < 20; i++)
    mnrt_pool_run(pool, 2, wait_then_count, &counts);
  CHECK(counts.of[0] == 20 && counts.of[1] == 20);
  mnrt_pool_free(pool);
}

/* Runs inside of tasks, and from several threads. */
typedef struct Nest {
  MnrtPool *pool;
  Counts counts[4];
} Nest;

static void nested(void *context, int index) {
  Nest *nest = context;
  mnrt_pool_run(nest->pool, 10, count, &nest->counts[index]);
}

typedef struct Caller {
  MnrtPool *pool;
  Counts counts;
} Caller;

static void *call_often(void *argument) {
  Caller *caller = argument;
  for (int i = 0; i < 500; i++)
    mnrt_pool_run(caller->pool, 3, count, &caller->counts);
  return NULL;
}

static void test_callers(void) {
  static Nest nest;
  nest.pool = mnrt_pool_new(3, 0);
  mnrt_pool_run(nest.pool, 4, nested, &nest);
  for (int i = 0; i < 4; i++)
    CHECK(nest.counts[i].of[0] == 1 && nest.counts[i].of[9] == 1);

  static Caller callers[2];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    callers[i].pool = nest.pool;
    CHECK(pthread_create(&threads[i], NULL, call_often, &callers[i]) == 0);
  }
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
    for (int k = 0; k < 3; k++)
      CHECK(callers[i].counts.of[k] == 500);
  }
  mnrt_pool_free(nest.pool);
}

static void test_edges(void) {
  CHECK(!mnrt_pool_new(0, 0));
  CHECK(!mnrt_pool_new(-1, 0));
  CHECK(!mnrt_pool_new(MNRT_POOL_MAX_THREADS + 1, 0));
  mnrt_pool_free(NULL);
  Counts counts = {{0}, 0};
  mnrt_pool_run(NULL, 3, count, &counts); /* no pool: one after the other */
  CHECK(counts.of[0] == 1 && counts.of[2] == 1);
  for (int i = 0; i < 50; i++) /* freed before its threads have begun */
    mnrt_pool_free(mnrt_pool_new(4, 0));
}

int main(void) {
  test_edges();
  for (int threads = 1; threads <= 5; threads++)
    test_counts(threads, 0);
  test_counts(2, MNRT_POOL_NO_SPIN);
  test_counts(3, MNRT_POOL_PIN);
  test_slow(0);
  test_slow(MNRT_POOL_NO_SPIN);
  test_callers();
  if (failures)
    fprintf(stderr, "%d failed\n", failures);
  return failures != 0;
}
