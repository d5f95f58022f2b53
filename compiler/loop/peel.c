/* peel L: L is cut where something inside it changes its mind: where a bound
 * that is a maximum or minimum passes from one candidate to the constant one,
 * and where a condition begins or ceases to hold. The simplify pass then finds
 * bounds constant and conditions decided in each part.
 *
 *     for x in 0..8 { for kx in max(0, 1 - x)..min(3, 9 - x) }
 *
 * is cut at 1 and 7. Conditions may go through quotients and depend on loops inside. */
#include <string.h>

#include "loop/transform.h"

enum { MAX_CUTS = 16 };

/* Places in (lo, hi), ascending. */
typedef struct Cuts {
  int64_t lo, hi;
  int n;
  int64_t at[MAX_CUTS];
} Cuts;

static void add_cut(Cuts *cuts, int64_t at) {
  if (at <= cuts->lo || at >= cuts->hi || cuts->n == MAX_CUTS)
    return;
  int i = cuts->n;
  for (int k = 0; k < cuts->n; k++)
    if (cuts->at[k] == at)
      return;
  for (; i > 0 && cuts->at[i - 1] > at; i--)
    cuts->at[i] = cuts->at[i - 1];
  cuts->at[i] = at;
  cuts->n++;
}

/* Cuts where `a` = alpha + beta * var begins or ceases to be >= c. */
static void cut_at(Cuts *cuts, const Affine *a, const Var *var, int64_t c) {
  int64_t beta;
  if (!affine_coef(a, var, &beta) || beta == 0 || a->n != 1)
    return;
  int64_t room = c - a->constant; /* beta * var >= room */
  if (beta > 0)
    add_cut(cuts, -floor_div(-room, beta));
  else
    add_cut(cuts, floor_div(-room, -beta) + 1);
}

/* Where a candidate and the constant one change places. In a maximum the candidate decides while it is >= c + 1, in a
 * minimum while it is not >= c. */
static void cut_bounds(Cuts *cuts, const Affine *const *bounds, int n, const Var *var, bool is_maximum) {
  int64_t c;
  for (int i = 0; i < n; i++)
    if (n > 1 && affine_is_const(bounds[i], &c))
      for (int k = 0; k < n; k++)
        if (k != i)
          cut_at(cuts, bounds[k], var, is_maximum ? c + 1 : c);
}

/* Cuts where a condition on nothing but `var`, through quotients, begins or ceases to hold. One that changes its mind again
 * and again (a remainder) is left alone. */
static void cut_by_value(Cuts *cuts, const Affine *a, const Var *var) {
  enum { MAX_VALUES = 4096, MAX_CHANGES = 2 };
  int64_t changes[MAX_CHANGES], value;
  int n = 0;
  bool held = false;
  if (cuts->hi - cuts->lo > MAX_VALUES)
    return;
  Arena *scratch = arena_new();
  for (int64_t at = cuts->lo; at < cuts->hi && n >= 0; at++) {
    if (!affine_is_const(affine_subst(scratch, a, var, affine_const(scratch, at)), &value)) {
      n = -1;
    } else if (at > cuts->lo && held != (value >= 0)) {
      if (n == MAX_CHANGES)
        n = -1;
      else
        changes[n++] = at;
    }
    held = value >= 0;
  }
  for (int i = 0; i < n; i++)
    add_cut(cuts, changes[i]);
  arena_free(scratch);
}

/* A condition on `var` and on variables of loops inside: a cut for each of their values. */
static void cut_condition(Arena *arena, Cuts *cuts, const Affine *a, const Var *var, const Scope *inside) {
  for (size_t k = 0; k < inside->enclosing.len; k++) {
    const Stmt *loop = inside->enclosing.at[k];
    int64_t lo, hi;
    if (!affine_uses(a, loop->var))
      continue;
    if (!loop_constant_bounds(loop, &lo, &hi) || hi - lo > MAX_CUTS)
      return;
    for (int64_t value = lo; value < hi; value++)
      cut_condition(arena, cuts, affine_subst(arena, a, loop->var, affine_const(arena, value)), var, inside);
    return;
  }
  int64_t coef;
  if (affine_coef(a, var, &coef))
    cut_at(cuts, a, var, 0);
  else
    cut_by_value(cuts, a, var);
}

static void find_cuts(Arena *arena, const Block *block, const Var *var, Scope *inside, Cuts *cuts) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *stmt = block->stmts.at[i];
    if (stmt->kind == STMT_FOR) {
      cut_bounds(cuts, (const Affine *const *)stmt->lower, stmt->n_lower, var, true);
      cut_bounds(cuts, (const Affine *const *)stmt->upper, stmt->n_upper, var, false);
    }
    for (int k = 0; stmt->kind == STMT_IF && k < stmt->n_conditions; k++)
      cut_condition(arena, cuts, stmt->conditions[k], var, inside);
    if (stmt->kind == STMT_FOR)
      VEC_PUSH(arena, inside->enclosing, stmt);
    find_cuts(arena, &stmt->body, var, inside, cuts);
    find_cuts(arena, &stmt->otherwise, var, inside, cuts);
    if (stmt->kind == STMT_FOR)
      inside->enclosing.len--;
  }
}

static void push_part(Transform *t, Block *out, const Stmt *loop, int64_t lo, int64_t hi) {
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
    Cuts cuts = {0};
    Scope inside = {0};
    if (stmt->kind == STMT_FOR && strcmp(stmt->label, label) == 0 && loop_constant_bounds(stmt, &cuts.lo, &cuts.hi))
      find_cuts(t->arena, &stmt->body, stmt->var, &inside, &cuts);
    if (cuts.n == 0) {
      block_push(t->arena, &out, stmt);
      continue;
    }
    int64_t lo = cuts.lo;
    for (int k = 0; k <= cuts.n; k++) {
      int64_t hi = k < cuts.n ? cuts.at[k] : cuts.hi;
      push_part(t, &out, stmt, lo, hi);
      lo = hi;
    }
  }
  *block = out;
}
