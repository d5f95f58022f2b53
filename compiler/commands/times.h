/* Measured times and what is said of them. */
#ifndef MNCC_COMMANDS_TIMES_H
#define MNCC_COMMANDS_TIMES_H

#include <stdint.h>

#include "support/arena.h"

typedef struct Times {
  double *seconds;
  int64_t n;
} Times;

/* What runs on `threads` threads are measured by. For one it is the processor time of the caller, which does not run on
 * while somebody else has the core; for several the clock. */
double run_seconds(int threads);

/* n times, all 0. */
Times times_new(Arena *arena, int64_t n);

/* The time that a share q (0 to 1) of the runs do not exceed: 0 is the least, 0.5 the median. Sorts them. n > 0. */
double times_quantile(Times *times, double q);

#endif
