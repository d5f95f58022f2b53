/* What the machine can do at the moment, for comparison.

   Its peak of f32 multiply-adds: chains of them in registers, as many as hide their latency, one such
   loop on each of some threads at the same time.

   How far two cores are from each other: the time that a line of memory takes to one and back, as two
   threads pass it. A virtual machine's cores may share a cache at one moment and not at the next, and
   everything that is divided between them is slower then. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum {
#if defined(__AVX512F__)
  LANES = 16,
#elif defined(__AVX__)
  LANES = 8,
#else
  LANES = 4,
#endif
  CHAINS = 12,
  MAX_THREADS = 64,
  TRIPS = 200, /* in a batch; the quickest of the batches counts */
  BATCHES = 10
};

typedef float Vector __attribute__((vector_size(4 * LANES)));

typedef struct Work {
  long rounds;
  double flops_per_second;
  float sum; /* so that the work is not dropped */
} Work;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Values stay near 1: x * 0.5 + 0.5 is 1 where x is. The compiler must not know them, or it finds the chain that begins with
   1 to be constant, leaves it out, and the machine seems faster by a twelfth than it is. */
static void *multiply_add(void *argument) {
  static volatile const float one_half = 0.5f;
  Work *work = argument;
  Vector half, x[CHAINS];
  for (int lane = 0; lane < LANES; lane++)
    half[lane] = one_half;
  for (int i = 0; i < CHAINS; i++)
    x[i] = half + half * (one_half * (float)i);
  double start = seconds();
  for (long round = 0; round < work->rounds; round++)
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
      x[i] = x[i] * half + half;
  double taken = seconds() - start;
  for (int i = 0; i < CHAINS; i++)
    work->sum += x[i][0];
  work->flops_per_second = (double)(2L * LANES * CHAINS * work->rounds) / taken;
  return NULL;
}

/* Floating-point operations per second of all threads together; a thread does `rounds` times
   CHAINS vectors. Negative if a thread cannot be made. */
double peak_flops(int threads, long rounds) {
  Work work[MAX_THREADS] = {{0}};
  pthread_t thread[MAX_THREADS];
  double sum = 0;
  if (threads > MAX_THREADS)
    return -1;
  for (int i = 0; i < threads; i++) {
    work[i].rounds = rounds;
    if (i > 0 && pthread_create(&thread[i], NULL, multiply_add, &work[i]) != 0)
      return -1;
  }
  multiply_add(&work[0]);
  for (int i = 0; i < threads; i++) {
    if (i > 0)
      pthread_join(thread[i], NULL);
    sum += work[i].flops_per_second;
  }
  return sum;
}

/* ---- round trips ---- */

/* The two threads write in turn: the other one odd numbers' successors, this one odd numbers. */
static void *pass_back(void *argument) {
  atomic_int *turn = argument;
  for (int i = 0; i < BATCHES * TRIPS; i++) {
    while (atomic_load_explicit(turn, memory_order_acquire) != 2 * i + 1)
      ;
    atomic_store_explicit(turn, 2 * i + 2, memory_order_release);
  }
  return NULL;
}

static double quickest_batch(atomic_int *turn) {
  double best = 1;
  for (int batch = 0, i = 0; batch < BATCHES; batch++) {
    double start = seconds();
    for (int end = i + TRIPS; i < end; i++) {
      atomic_store_explicit(turn, 2 * i + 1, memory_order_release);
      while (atomic_load_explicit(turn, memory_order_acquire) != 2 * i + 2)
        ;
    }
    double taken = (seconds() - start) / (double)TRIPS;
    if (taken < best)
      best = taken;
  }
  return best;
}

/* Seconds of a round trip between the first two cores that this thread may run on; negative if there
   is one only, or no thread to be had. */
double core_round_trip(void) {
  static _Alignas(128) atomic_int turn; /* a line of its own */
  cpu_set_t allowed, one, other;
  pthread_attr_t attributes;
  pthread_t thread;
  double trip = -1;
  size_t cores[2], n = 0;
  if (pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) != 0)
    return -1;
  for (size_t core = 0; core < CPU_SETSIZE && n < 2; core++)
    if (CPU_ISSET(core, &allowed))
      cores[n++] = core;
  if (n < 2 || pthread_attr_init(&attributes) != 0)
    return -1;
  CPU_ZERO(&one);
  CPU_SET(cores[0], &one);
  CPU_ZERO(&other);
  CPU_SET(cores[1], &other);
  atomic_store(&turn, 0);
  pthread_attr_setaffinity_np(&attributes, sizeof other, &other);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  if (pthread_create(&thread, &attributes, pass_back, &turn) == 0) {
    trip = quickest_batch(&turn);
    pthread_join(thread, NULL);
  }
  pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
  pthread_attr_destroy(&attributes);
  return trip;
}
