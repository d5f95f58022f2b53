/* The loop transformations that schedules are made of, a file each. */
#ifndef MNCC_LOOP_TRANSFORM_H
#define MNCC_LOOP_TRANSFORM_H

#include "loop/internal.h"

/* Works on one kernel: every name that is taken, so that copies get new ones. */
typedef struct Transform {
  Arena *arena;
  PtrMap names;
} Transform;

/* A loop that carries no reduction: no `set` in it assigns a value from outside. */
bool loop_is_parallel(const Stmt *loop);
/* A loop over `var` like `like` (label, mode) from lo to hi by step, empty. */
Stmt *transform_loop(Transform *t, const Stmt *like, Var *var, int64_t lo, int64_t hi, int64_t step);
/* A fresh variable named after the loop's. */
Var *transform_var(Transform *t, const char *name);
/* A copy of the body in which the loop's variable reads `with`, all definitions new. */
Block transform_copy(Transform *t, const Stmt *loop, const Affine *with);
/* True and the bounds if both are single constants and the step is 1. */
bool loop_constant_bounds(const Stmt *loop, int64_t *lo, int64_t *hi);

void loop_split(Transform *t, Block *block, const char *label, int64_t factor); /* split.c */
void loop_deal(Transform *t, Block *block, const char *label, int64_t n);       /* deal.c */
void loop_peel(Transform *t, Block *block, const char *label);                  /* peel.c */
void loop_order(Transform *t, Block *block, const char *const *labels, int n);  /* order.c */

#endif
