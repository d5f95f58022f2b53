/* peel L: where bounds of loops inside L are a maximum or minimum that depends
 * on L's variable, L is cut into a beginning, a middle in which the constant
 * candidate always decides, and an end. The simplify pass then finds the bounds
 * of the middle constant. */
#include <string.h>

#include "loop/transform.h"

/* Narrows [*lo, *hi) to the values of var for which `a` <= c (below) or `a` >= c. `a` = alpha +
 * beta * var. */
static void require(const Affine *a, const Var *var, int64_t c, bool below, int64_t *lo,
                    int64_t *hi) {
  int64_t beta;
  if (!affine_coef(a, var, &beta) || beta == 0 || a->n != 1)
    return;
  int64_t room = c - a->constant; /* beta * var <= room, or >= room */
  if (!below) {
    room = -room;
    beta = -beta;
  }
  if (beta > 0) {
    int64_t end = floor_div(room, beta) + 1;
    *hi = end < *hi ? end : *hi;
  } else {
    int64_t begin = -floor_div(room, -beta);
    *lo = begin > *lo ? begin : *lo;
  }
}

static void require_bounds(const Affine *const *bounds, int n, const Var *var, bool is_lower,
                           int64_t *lo, int64_t *hi) {
  int64_t c;
  for (int i = 0; i < n; i++)
    if (n > 1 && affine_is_const(bounds[i], &c))
      for (int k = 0; k < n; k++)
        if (k != i)
          require(bounds[k], var, c, is_lower, lo, hi);
}

static void find_middle(const Block *block, const Var *var, int64_t *lo, int64_t *hi) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *stmt = block->stmts.at[i];
    if (stmt->kind == STMT_FOR) {
      require_bounds((const Affine *const *)stmt->lower, stmt->n_lower, var, true, lo, hi);
      require_bounds((const Affine *const *)stmt->upper, stmt->n_upper, var, false, lo, hi);
    }
    find_middle(&stmt->body, var, lo, hi);
    find_middle(&stmt->otherwise, var, lo, hi);
  }
}

static void push_part(Transform *t, Block *out, const Stmt *loop, int64_t lo, int64_t hi) {
  if (lo >= hi)
    return;
  Stmt *part = transform_loop(t, loop, transform_var(t, loop->label), lo, hi, 1);
  part->body = transform_copy(t, loop, affine_var(t->arena, part->var));
  block_push(t->arena, out, part);
}

void loop_peel(Transform *t, Block *block, const char *label) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *stmt = block->stmts.at[i];
    loop_peel(t, &stmt->body, label);
    loop_peel(t, &stmt->otherwise, label);
    int64_t lo, hi;
    bool candidate = stmt->kind == STMT_FOR && strcmp(stmt->label, label) == 0 &&
                     loop_constant_bounds(stmt, &lo, &hi);
    int64_t begin = 0, end = 0;
    if (candidate) {
      begin = lo;
      end = hi;
      find_middle(&stmt->body, stmt->var, &begin, &end);
    }
    if (!candidate || begin >= end || (begin == lo && end == hi)) {
      block_push(t->arena, &out, stmt);
      continue;
    }
    push_part(t, &out, stmt, lo, begin);
    push_part(t, &out, stmt, begin, end);
    push_part(t, &out, stmt, end, hi);
  }
  *block = out;
}
