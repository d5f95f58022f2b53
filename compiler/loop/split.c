/* split L N: a loop of constant bounds becomes a loop in steps of N around a
 * loop L.i of N iterations; the iterations left over become a second such pair.
 * The iterations run in the same order as before, so that reductions may be
 * split too. */
#include <string.h>

#include "loop/transform.h"

/* for L in lo..hi by factor { for L.i in 0..factor { body } } */
static Stmt *pair(Transform *t, const Stmt *loop, int64_t lo, int64_t hi, int64_t factor) {
  Stmt *outer = transform_loop(t, loop, transform_var(t, loop->label), lo, hi, factor);
  Stmt *inner = transform_loop(
      t, loop, transform_var(t, arena_printf(t->arena, "%s.i", loop->label)), 0, factor, 1);
  inner->label = intern(t->arena, arena_printf(t->arena, "%s.i", loop->label));
  const Affine *value =
      affine_add(t->arena, affine_var(t->arena, outer->var), affine_var(t->arena, inner->var));
  inner->body = transform_copy(t, loop, value);
  block_push(t->arena, &outer->body, inner);
  return outer;
}

void loop_split(Transform *t, Block *block, const char *label, int64_t factor) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *stmt = block->stmts.at[i];
    loop_split(t, &stmt->body, label, factor);
    loop_split(t, &stmt->otherwise, label, factor);
    int64_t lo, hi;
    if (stmt->kind != STMT_FOR || strcmp(stmt->label, label) != 0 ||
        !loop_constant_bounds(stmt, &lo, &hi) || hi <= lo) {
      block_push(t->arena, &out, stmt);
      continue;
    }
    int64_t whole = (hi - lo) / factor, rest = (hi - lo) % factor;
    if (whole)
      block_push(t->arena, &out, pair(t, stmt, lo, lo + whole * factor, factor));
    if (rest)
      block_push(t->arena, &out, pair(t, stmt, hi - rest, hi, rest));
  }
  *block = out;
}
