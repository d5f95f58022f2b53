/* Questions about compute descriptions, and constructors of their scalar
 * expressions. */
#include "ops/compute.h"

#include <assert.h>

bool access_uses(const AccessDim *access, int d) {
  return access->coef[d] != 0 || (access->quotient.times != 0 && access->quotient.dim == d);
}

void access_range(const AccessDim *access, int n, const int64_t *lo, const int64_t *hi, int64_t *min, int64_t *max) {
  *min = *max = access->offset;
  for (int d = 0; d < n; d++) {
    int64_t a = access->coef[d] * lo[d], b = access->coef[d] * hi[d];
    *min += a < b ? a : b;
    *max += a < b ? b : a;
  }
  const AccessQuotient *q = &access->quotient;
  if (q->times == 0)
    return;
  int64_t low = q->offset + q->coef * lo[q->dim], high = q->offset + q->coef * hi[q->dim];
  int64_t a = q->times * (low / q->divide), b = q->times * (high / q->divide);
  if (q->remainder) {
    bool whole = low / q->divide == high / q->divide;
    a = q->times * (whole ? low % q->divide : 0);
    b = q->times * (whole ? high % q->divide : q->divide - 1);
  }
  *min += a < b ? a : b;
  *max += a < b ? b : a;
}

/* The box that the iteration walks. */
static int whole_box(const Compute *compute, int64_t lo[COMPUTE_MAX_DIMS], int64_t hi[COMPUTE_MAX_DIMS]) {
  int n = DIM_R + compute->n_reduce;
  for (int d = 0; d < n; d++) {
    lo[d] = 0;
    hi[d] = (d < DIM_R ? compute->out[d] : compute->reduce[d - DIM_R]) - 1;
  }
  return n;
}

void compute_rows_read(const Compute *compute, int o, int64_t first, int64_t rows, int64_t *begin, int64_t *end) {
  const Operand *operand = &compute->operands[o];
  assert(!operand->is_weight && operand->rank == 3);
  int64_t lo[COMPUTE_MAX_DIMS], hi[COMPUTE_MAX_DIMS], min, max;
  int n = whole_box(compute, lo, hi);
  lo[DIM_Y] = first;
  hi[DIM_Y] = first + rows - 1;
  access_range(&operand->access[0], n, lo, hi, &min, &max);
  min = min < 0 ? 0 : min;
  max = max < 0 ? 0 : max + 1;
  *begin = min < operand->dims[0] ? min : operand->dims[0];
  *end = max < operand->dims[0] ? max : operand->dims[0];
}

bool compute_vectorises(const Compute *compute) {
  if (compute->out[DIM_C] < 2)
    return false;
  for (int o = 0; o < compute->n_operands; o++) {
    const Operand *operand = &compute->operands[o];
    for (int i = 0; i < operand->rank; i++) {
      const AccessDim *access = &operand->access[i];
      bool walks = access->coef[DIM_C] == 1 && access->quotient.times == 0 && i == operand->rank - 1;
      if (access_uses(access, DIM_C) && !walks)
        return false;
    }
  }
  return true;
}

bool compute_is_pointwise_access(const Compute *compute, int o) {
  const Operand *operand = &compute->operands[o];
  if (operand->is_weight || operand->rank != 3)
    return false;
  for (int i = 0; i < 3; i++) {
    const AccessDim *access = &operand->access[i];
    if (operand->dims[i] != compute->out[i] || access->offset != 0 || access->quotient.times != 0)
      return false;
    for (int d = 0; d < DIM_R + compute->n_reduce; d++)
      if (access->coef[d] != (d == i))
        return false;
  }
  return true;
}

bool scalar_reads(const Scalar *scalar, int o) {
  if (!scalar)
    return false;
  if (scalar->kind == SCALAR_OPERAND)
    return scalar->operand == o;
  return scalar_reads(scalar->a, o) || scalar_reads(scalar->b, o) || scalar_reads(scalar->c, o);
}

bool compute_may_leave(const Compute *compute, int d) {
  int64_t lo[COMPUTE_MAX_DIMS], hi[COMPUTE_MAX_DIMS], min, max;
  int n = whole_box(compute, lo, hi);
  for (int o = 0; o < compute->n_operands; o++) {
    const Operand *operand = &compute->operands[o];
    for (int i = 0; i < operand->rank && !operand->is_weight; i++) {
      access_range(&operand->access[i], n, lo, hi, &min, &max);
      if (access_uses(&operand->access[i], d) && (min < 0 || max >= operand->dims[i]))
        return true;
    }
  }
  return false;
}

static Scalar *scalar_new(Arena *arena, ScalarKind kind) {
  Scalar *scalar = ARENA_NEW(arena, Scalar);
  scalar->kind = kind;
  return scalar;
}

const Scalar *scalar_const(Arena *arena, float value) {
  Scalar *scalar = scalar_new(arena, SCALAR_CONST);
  scalar->value = value;
  return scalar;
}

const Scalar *scalar_whole(Arena *arena, int32_t whole) {
  Scalar *scalar = scalar_new(arena, SCALAR_WHOLE);
  scalar->whole = whole;
  return scalar;
}

const Scalar *scalar_index(Arena *arena, int dim) {
  Scalar *scalar = scalar_new(arena, SCALAR_INDEX);
  scalar->dim = dim;
  return scalar;
}

const Scalar *scalar_acc(Arena *arena) { return scalar_new(arena, SCALAR_ACC); }

const Scalar *scalar_operand(Arena *arena, int operand) {
  Scalar *scalar = scalar_new(arena, SCALAR_OPERAND);
  scalar->operand = operand;
  return scalar;
}

const Scalar *scalar_count(Arena *arena) { return scalar_new(arena, SCALAR_COUNT); }

const Scalar *scalar_op(Arena *arena, LoopOp op, const Scalar *a, const Scalar *b, const Scalar *c) {
  Scalar *scalar = scalar_new(arena, SCALAR_OP);
  scalar->op = op;
  scalar->a = a;
  scalar->b = b;
  scalar->c = c;
  return scalar;
}

const Scalar *scalar_fn(Arena *arena, ScalarFn fn, const Scalar *a) {
  Scalar *scalar = scalar_new(arena, SCALAR_OP);
  scalar->fn = fn;
  scalar->a = a;
  return scalar;
}

const Scalar *scalar_renumber(Arena *arena, const Scalar *scalar, const int *operands, const Scalar *acc) {
  if (!scalar)
    return NULL;
  switch (scalar->kind) {
  case SCALAR_CONST:
  case SCALAR_WHOLE:
  case SCALAR_INDEX:
  case SCALAR_COUNT:
    return scalar;
  case SCALAR_ACC:
    return acc;
  case SCALAR_OPERAND:
    return operands[scalar->operand] < 0 ? acc : scalar_operand(arena, operands[scalar->operand]);
  case SCALAR_OP: {
    Scalar *copy = ARENA_NEW(arena, Scalar);
    *copy = *scalar;
    copy->a = scalar_renumber(arena, scalar->a, operands, acc);
    copy->b = scalar_renumber(arena, scalar->b, operands, acc);
    copy->c = scalar_renumber(arena, scalar->c, operands, acc);
    return copy;
  }
  }
  return NULL;
}
