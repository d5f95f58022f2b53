/* Weights and inputs on their way before they are needed. */
#ifndef MNCC_LOOP_PREFETCH_H
#define MNCC_LOOP_PREFETCH_H

#include "loop/loop.h"

/* What the pass has to know of a machine. */
typedef struct Memory {
  int64_t cache_bytes;   /* of the cache that belongs to a core and holds what was fetched ahead; 0: the pass does nothing */
  int64_t macs_per_line; /* multiply-adds of one core in the time in which memory delivers a line to it */
} Memory;

/* Adds to the kernels that have time for it the fetching of weights that are needed later, of their own and of the kernels
 * behind them, and, to kernels that read an input of the network row by row, of the rows that come next. It relies on
 * weights lying in memory in the order of program->buffers; where they do not, it fetches in vain and nothing else happens.
 * Kernels that fetch already are left alone. */
void loop_prefetch(Program *program, const Memory *memory);

#endif
