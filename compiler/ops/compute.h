/* The compute description of an operator applied to known shapes: everything
 * that regions and lowering need to know, and all they know.
 *
 * Tensors are seen as [H, W, C] (a tensor of lower rank has leading ones:
 * [n] is [1, 1, n]). For every element (y, x, c) of the output
 *
 *     acc = init
 *     for each point r of the reduction box, in order, first dimension outermost:
 *         for each update, in order:
 *             if everything that it reads is read inside:  acc = update(acc, operands at (y, x, c, r))
 *     output[y, x, c] = finish(acc)
 *
 * so a tap that falls outside contributes nothing (padding, also a tap that a
 * kernel does not have), and the order of
 * the sum is fixed here, for every region, schedule and target. Most operators
 * have one update, combine; concatenation has one per tensor.
 *
 * Values are f32, but for indices and operators that only move elements: `elem`
 * is the type of acc and of the result. Tensors of that type are read as they
 * are, other integers as f32. */
#ifndef MNCC_OPS_COMPUTE_H
#define MNCC_OPS_COMPUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "support/arena.h"

enum {
  COMPUTE_MAX_REDUCE = 3,
  COMPUTE_MAX_OPERANDS = 16,
  COMPUTE_MAX_UPDATES = 8,
  /* dimensions of the iteration space: y, x, c, then the reduction */
  DIM_Y = 0, DIM_X = 1, DIM_C = 2, DIM_R = 3,
  COMPUTE_MAX_DIMS = 3 + COMPUTE_MAX_REDUCE
};

/* times * floor((offset + coef * dimension dim) / divide), or times what remains of that division. The numerator is
 * never negative; times 0: absent. It serves depth multipliers (c / m), groups (the first input channel of c's group),
 * resizing (y * in / out) and transposed convolution (y / s and y mod s). */
typedef struct AccessQuotient {
  int64_t times;
  int dim;
  int64_t coef, offset, divide;
  bool remainder;
} AccessQuotient;

/* index = offset + sum of coef[d] * dimension d + quotient */
typedef struct AccessDim {
  int64_t coef[COMPUTE_MAX_DIMS];
  int64_t offset;
  AccessQuotient quotient;
} AccessDim;

typedef struct Operand {
  bool is_weight;
  int source;     /* the node's input (tensor) or weight number */
  int rank;       /* tensors: 3; weights: of the buffer */
  int64_t dims[LOOP_MAX_RANK];
  AccessDim access[LOOP_MAX_RANK];
} Operand;

/* A small expression over the accumulator and the operands. */
typedef enum ScalarKind {
  SCALAR_CONST,   /* value */
  SCALAR_WHOLE,   /* whole, as i32 */
  SCALAR_INDEX,   /* where the iteration is in dimension dim, as i32 */
  SCALAR_ACC,
  SCALAR_OPERAND, /* operand */
  SCALAR_COUNT,   /* number of reduction points inside, as f32 (average pooling) */
  SCALAR_OP       /* op on a, b, c: ADD … of loop/loop.h; comparisons are for SELECT */
} ScalarKind;

typedef enum ScalarFn { SCALAR_FN_NONE, SCALAR_FN_EXP, SCALAR_FN_SIGMOID, SCALAR_FN_TANH } ScalarFn;

/* A node may be shared: in a finish it is computed once. */
typedef struct Scalar Scalar;
struct Scalar {
  ScalarKind kind;
  ScalarFn fn; /* SCALAR_OP with fn != NONE: a transcendental of our own on a (loop/math.c) */
  LoopOp op;
  float value;
  int32_t whole;
  int operand, dim;
  const Scalar *a, *b, *c;
};

typedef struct Compute {
  int64_t out[3]; /* H, W, C of the output as iterated */
  Elem elem;      /* of acc and the result */
  int n_reduce;
  int64_t reduce[COMPUTE_MAX_REDUCE];
  const char *reduce_label[COMPUTE_MAX_REDUCE]; /* "ky", "kx", "k": loop names for dumps and schedules */
  int n_operands;
  Operand operands[COMPUTE_MAX_OPERANDS];
  const Scalar *init;
  const Scalar *combine; /* the first update; null when n_reduce == 0 and no operand may fall outside: then finish reads
                          * the operands */
  int n_more;            /* further updates */
  const Scalar *more[COMPUTE_MAX_UPDATES - 1];
  bool multiply_add;     /* combine is acc + a * b: fused when the target has fma */
  const Scalar *finish;
} Compute;

/* True if the index moves with dimension d. */
bool access_uses(const AccessDim *access, int d);
/* Least and greatest index while each of the first n dimensions lies in [lo, hi]. */
void access_range(const AccessDim *access, int n, const int64_t *lo, const int64_t *hi, int64_t *min, int64_t *max);

/* Rows of operand `o` read to make output rows [first, first + rows): [*begin, *end), clipped to the tensor. */
void compute_rows_read(const Compute *compute, int o, int64_t first, int64_t rows, int64_t *begin, int64_t *end);

/* True if operand o is read only at the output's own position (elementwise): it may share memory with the output. */
bool compute_is_pointwise_access(const Compute *compute, int o);

/* True if there are channels, and every operand walks its last dimension with them or does not depend on them: they can be
 * the lanes of vectors. */
bool compute_vectorises(const Compute *compute);

/* True if the expression reads operand o. */
bool scalar_reads(const Scalar *scalar, int o);
/* True if some tensor may be read outside in a dimension that moves with dimension d (rows, columns or channels) of the
 * iteration. */
bool compute_may_leave(const Compute *compute, int d);

/* Scalar constructors. */
const Scalar *scalar_const(Arena *arena, float value);
const Scalar *scalar_whole(Arena *arena, int32_t whole);
const Scalar *scalar_index(Arena *arena, int dim);
const Scalar *scalar_acc(Arena *arena);
const Scalar *scalar_operand(Arena *arena, int operand);
const Scalar *scalar_count(Arena *arena);
const Scalar *scalar_op(Arena *arena, LoopOp op, const Scalar *a, const Scalar *b, const Scalar *c);
const Scalar *scalar_fn(Arena *arena, ScalarFn fn, const Scalar *a);
/* A copy in which operand i becomes operand operands[i], or `acc` where that is negative; ACC becomes `acc` too. This
 * is how a tail's finish is put behind its node's. */
const Scalar *scalar_renumber(Arena *arena, const Scalar *scalar, const int *operands, const Scalar *acc);

#endif
