/* deal L N: the iterations of a loop of constant bounds are dealt out to N loops
 * one behind the other, each N-th to the same:
 *
 *     for x in 0..9 { body(x) }      deal x 2
 *
 *     for x in 0..5 { body(2 x) }  for x in 0..4 { body(2 x + 1) }
 *
 * Where a body's accesses depend on x mod N or floor(x / N), as those of resizing
 * and of transposed convolution do, they are affine in each of the loops. The
 * iterations change their order, so they must be independent. */
#include <string.h>

#include "loop/transform.h"

void loop_deal(Transform *t, Block *block, const char *label, int64_t n) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *stmt = block->stmts.at[i];
    loop_deal(t, &stmt->body, label, n);
    loop_deal(t, &stmt->otherwise, label, n);
    int64_t lo, hi;
    if (stmt->kind != STMT_FOR || strcmp(stmt->label, label) != 0 || !loop_constant_bounds(stmt, &lo, &hi) ||
        !loop_is_parallel(stmt) || !iterations_independent(stmt)) {
      block_push(t->arena, &out, stmt);
      continue;
    }
    for (int64_t hand = 0; hand < n && lo + hand < hi; hand++) {
      Stmt *loop = transform_loop(t, stmt, transform_var(t, stmt->label), 0, (hi - lo - hand + n - 1) / n, 1);
      const Affine *value = affine_scale(t->arena, affine_var(t->arena, loop->var), n);
      loop->body = transform_copy(t, stmt, affine_add_const(t->arena, value, lo + hand));
      block_push(t->arena, &out, loop);
    }
  }
  *block = out;
}
