/* The machine's peak of f32 multiply-adds, measured: chains of them in registers, as many as hide
   their latency, one such loop on each of some threads at the same time. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
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
  MAX_THREADS = 64
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

/* Values stay near 1: x * 0.5 + 0.5 is 1 where x is. */
static void *multiply_add(void *argument) {
  Work *work = argument;
  Vector half, x[CHAINS];
  for (int lane = 0; lane < LANES; lane++)
    half[lane] = 0.5f;
  for (int i = 0; i < CHAINS; i++)
    x[i] = half + half * (float)i;
  double start = seconds();
  for (long round = 0; round < work->rounds; round++)
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
      x[i] = x[i] * half + half;
  double taken = seconds() - start;
  for (int i = 0; i < CHAINS; i++)
    work->sum += x[i][0];
  work->flops_per_second = 2.0 * LANES * CHAINS * (double)work->rounds / taken;
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
