#include "commands/times.h"

#include <stdlib.h>
#include <time.h>

double run_seconds(int threads) {
  struct timespec now;
  clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

Times times_new(Arena *arena, int64_t n) { return (Times){ARENA_ARRAY(arena, double, n + 1), n}; }

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double times_quantile(Times *times, double q) {
  qsort(times->seconds, (size_t)times->n, sizeof *times->seconds, compare);
  double at = q * (double)(times->n - 1);
  int64_t i = (int64_t)at;
  if (i + 1 >= times->n)
    return times->seconds[times->n - 1];
  return times->seconds[i] + (at - (double)i) * (times->seconds[i + 1] - times->seconds[i]);
}
