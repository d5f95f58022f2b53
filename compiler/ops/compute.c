/* Questions about compute descriptions, and constructors of their scalar
 * expressions. */
#include "ops/compute.h"

#include <assert.h>

void compute_rows_read(const Compute *compute, int o, int64_t first, int64_t rows, int64_t *begin, int64_t *end) {
  const Operand *operand = &compute->operands[o];
  assert(!operand->is_weight && operand->rank == 3);
  const AccessDim *row = &operand->access[0];
  int64_t lo = row->offset, hi = row->offset;
  for (int d = 0; d < DIM_R + compute->n_reduce; d++) {
    int64_t extent_lo = 0, extent_hi = 0;
    if (d == DIM_Y) {
      extent_lo = first;
      extent_hi = first + rows - 1;
    } else {
      extent_hi = (d < DIM_R ? compute->out[d] : compute->reduce[d - DIM_R]) - 1;
    }
    int64_t a = row->coef[d] * extent_lo, b = row->coef[d] * extent_hi;
    lo += a < b ? a : b;
    hi += a < b ? b : a;
  }
  lo = lo < 0 ? 0 : lo / row->divide;
  hi = hi < 0 ? 0 : hi / row->divide + 1;
  *begin = lo < operand->dims[0] ? lo : operand->dims[0];
  *end = hi < operand->dims[0] ? hi : operand->dims[0];
}

bool compute_is_pointwise_access(const Compute *compute, int o) {
  const Operand *operand = &compute->operands[o];
  if (operand->is_weight || operand->rank != 3)
    return false;
  for (int i = 0; i < 3; i++) {
    const AccessDim *access = &operand->access[i];
    if (operand->dims[i] != compute->out[i] || access->offset != 0 || access->divide != 1)
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

bool compute_may_leave(const Compute *compute, int i) {
  for (int o = 0; o < compute->n_operands; o++) {
    const Operand *operand = &compute->operands[o];
    if (operand->is_weight || operand->access[i].divide != 1)
      continue;
    int64_t lo = operand->access[i].offset, hi = lo;
    for (int d = 0; d < DIM_R + compute->n_reduce; d++) {
      int64_t reach = operand->access[i].coef[d] * ((d < DIM_R ? compute->out[d] : compute->reduce[d - DIM_R]) - 1);
      lo += reach < 0 ? reach : 0;
      hi += reach > 0 ? reach : 0;
    }
    if (lo < 0 || hi >= operand->dims[i])
      return true;
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

const Scalar *scalar_exp(Arena *arena, const Scalar *a) {
  Scalar *scalar = scalar_new(arena, SCALAR_OP);
  scalar->fn = SCALAR_FN_EXP;
  scalar->a = a;
  return scalar;
}

const Scalar *scalar_renumber(Arena *arena, const Scalar *scalar, const int *operands, const Scalar *acc) {
  if (!scalar)
    return NULL;
  switch (scalar->kind) {
  case SCALAR_CONST:
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
