/* regions → loops: every stage becomes a kernel, every region a driver in the
 * entry that calls kernels in the order of its steps. */
#ifndef MNCC_LOOP_LOWER_H
#define MNCC_LOOP_LOWER_H

#include "loop/loop.h"
#include "region/region.h"

Program *loop_lower(Arena *arena, const Regions *regions);

/* exp(x) of f32 lanes as loop code (math.c): within 2 units in the last place over the normal range, the same bits on
 * every target; 0 below -87.3, infinity above 88.7, NaN for NaN. Lets are appended to `block`. */
Expr *loop_exp(Arena *arena, Block *block, Expr *x, int *counter);
/* 1 / (1 + exp(-x)) and tanh(x), likewise, within 3 units in the last place. */
Expr *loop_sigmoid(Arena *arena, Block *block, Expr *x, int *counter);
Expr *loop_tanh(Arena *arena, Block *block, Expr *x, int *counter);

#endif
