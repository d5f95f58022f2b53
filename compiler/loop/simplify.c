/* Removes what the other passes and lowering leave behind: loops that run once
 * or never, bounds that never decide, conditions that always or never hold,
 * quotients and remainders whose operand stays within one period, and
 * definitions that nothing uses.
 *
 * Everything is decided by affine_range within the loops around. */
#include "loop/loop.h"

#include "loop/internal.h"

typedef struct Simplifier {
  Arena *arena, *scratch;
  Arena *workings; /* of affine_range: emptied now and then */
  Scope scope;
  Rewrite rewrite; /* variables of loops that run once */
} Simplifier;

static bool range(Simplifier *s, const Affine *a, int64_t *min, int64_t *max) {
  if (arena_used_bytes(s->workings) > 1u << 20) {
    arena_free(s->workings);
    s->workings = arena_new();
  }
  return affine_range(s->workings, a, &s->scope, min, max);
}

static bool at_least(Simplifier *s, const Affine *a, int64_t value) {
  int64_t min, max;
  return range(s, a, &min, &max) && min >= value;
}

static bool at_most(Simplifier *s, const Affine *a, int64_t value) {
  int64_t min, max;
  return range(s, a, &min, &max) && max <= value;
}

/* ---- indices ---- */

static bool has_quotient(const Affine *a) {
  for (int i = 0; i < a->n; i++)
    if (a->terms[i].kind != ATOM_VAR)
      return true;
  return false;
}

/* What every value of the term is a multiple of. */
static int64_t multiple_of(const Simplifier *s, const Term *t) {
  for (size_t i = 0; t->kind == ATOM_VAR && i < s->scope.enclosing.len; i++)
    if (s->scope.enclosing.at[i]->kind == STMT_FOR && s->scope.enclosing.at[i]->var == t->var)
      return term_multiple(t, s->scope.enclosing.at[i]);
  return term_multiple(t, NULL);
}

/* `whole` / k, a sum of terms that are multiples of k each: a quotient for each term, so that what they move shows. */
static const Affine *divide_terms(Simplifier *s, const Affine *whole, int64_t k) {
  const Affine *sum = affine_const(s->arena, whole->constant / k);
  for (int i = 0; i < whole->n; i++) {
    Affine single = {0, 1, &whole->terms[i]};
    if (!at_least(s, &single, 0))
      return affine_div(s->arena, whole, k);
    const Affine *term = affine_add(s->arena, affine_const(s->arena, 0), &single);
    sum = affine_add(s->arena, sum, affine_div(s->arena, term, k));
  }
  return sum;
}

/* a / k or a mod k where a = multiple of k + rest and the rest stays in 0..k-1: the rest decides nothing, or everything.
 * Null where that is not so. */
static const Affine *split_period(Simplifier *s, AtomKind kind, const Affine *a, int64_t k) {
  const Affine *whole = affine_const(s->arena, floor_div(a->constant, k) * k);
  const Affine *rest = affine_const(s->arena, floor_mod(a->constant, k));
  bool split = false;
  for (int i = 0; i < a->n; i++) {
    Affine single = {0, 1, &a->terms[i]};
    if (multiple_of(s, &a->terms[i]) % k == 0) {
      whole = affine_add(s->arena, whole, &single);
      split = true;
    } else {
      rest = affine_add(s->arena, rest, &single);
    }
  }
  int64_t min, max;
  if (!split || !range(s, rest, &min, &max) || min < 0 || max >= k || !at_least(s, whole, 0))
    return NULL;
  return kind == ATOM_MOD ? rest : divide_terms(s, whole, k);
}

/* a / k or a mod k where a = multiple of a part of k + rest and the rest stays below that part, as the lanes of a vector do
 * inside of a block: the rest is none of the quotient's. Null where that is not so. */
static const Affine *split_part(Simplifier *s, AtomKind kind, const Affine *a, int64_t k) {
  int64_t part = k;
  for (int i = 0; i < a->n; i++) {
    int64_t multiple = multiple_of(s, &a->terms[i]);
    part = multiple == 1 ? part : greatest_divisor(part, multiple);
  }
  const Affine *whole = affine_const(s->arena, floor_div(a->constant, part) * part);
  const Affine *rest = affine_const(s->arena, floor_mod(a->constant, part));
  for (int i = 0; i < a->n; i++) {
    Affine single = {0, 1, &a->terms[i]};
    if (multiple_of(s, &a->terms[i]) % part == 0)
      whole = affine_add(s->arena, whole, &single);
    else
      rest = affine_add(s->arena, rest, &single);
  }
  int64_t min, max;
  if (part == 1 || !rest->n || !whole->n || !range(s, rest, &min, &max) || min < 0 || max >= part)
    return NULL;
  return kind == ATOM_DIV ? affine_div(s->arena, whole, k) : affine_add(s->arena, affine_mod(s->arena, whole, k), rest);
}

static const Affine *simplify_affine(Simplifier *s, const Affine *a) {
  a = rewrite_affine(&s->rewrite, a);
  if (!has_quotient(a))
    return a;
  const Affine *sum = affine_const(s->arena, a->constant);
  bool changed = false;
  for (int i = 0; i < a->n; i++) {
    Term *t = &a->terms[i];
    const Affine *part;
    int64_t min, max;
    if (t->kind == ATOM_VAR) {
      part = affine_var(s->arena, t->var);
    } else {
      int64_t k = t->divisor;
      const Affine *inside = simplify_affine(s, t->inside);
      changed |= inside != t->inside;
      if (range(s, inside, &min, &max) && min >= 0 && min <= max && min / k == max / k) {
        changed = true;
        part = t->kind == ATOM_DIV ? affine_const(s->arena, min / k)
                                   : affine_add_const(s->arena, inside, -(min / k * k));
      } else if ((part = split_period(s, t->kind, inside, k)) != NULL) {
        changed |= t->kind == ATOM_MOD || !affine_equal(part, a);
      } else if ((part = split_part(s, t->kind, inside, k)) != NULL) {
        changed = true;
      } else {
        part =
            t->kind == ATOM_DIV ? affine_div(s->arena, inside, k) : affine_mod(s->arena, inside, k);
      }
    }
    sum = affine_add(s->arena, sum, affine_scale(s->arena, part, t->coef));
  }
  return changed ? sum : a;
}

static Expr *simplify_expr(Simplifier *s, Expr *e) {
  Expr copy = *e;
  bool changed = false;
  for (int i = 0; i < loop_op_arity(e->op); i++) {
    copy.args[i] = simplify_expr(s, e->args[i]);
    changed |= copy.args[i] != e->args[i];
  }
  int rank = e->op == OP_LOAD ? e->buffer->rank : e->op == OP_INDEX ? 1 : 0;
  for (int i = 0; i < rank; i++) {
    copy.index[i] = simplify_affine(s, e->index[i]);
    changed |= copy.index[i] != e->index[i];
  }
  if (!changed)
    return e;
  Expr *result = ARENA_NEW(s->arena, Expr);
  *result = copy;
  return result;
}

/* ---- loops and conditions ---- */

/* Drops bounds of a list that another one always covers: for lower bounds (sign 1) if
 * the other is never smaller, for upper ones (sign -1) if it is never greater. */
static int drop_bounds(Simplifier *s, const Affine **list, int n, int64_t sign) {
  for (int i = 0; i < n;) {
    bool covered = false;
    for (int j = 0; !covered && j < n; j++) {
      if (j == i)
        continue;
      const Affine *more = affine_sub(s->arena, list[j], list[i]);
      covered = at_least(s, affine_scale(s->arena, more, sign), 0);
    }
    if (!covered) {
      i++;
      continue;
    }
    for (int j = i; j + 1 < n; j++)
      list[j] = list[j + 1];
    n--;
  }
  return n;
}

static void simplify_block(Simplifier *s, Block *block);

static void append(Simplifier *s, Block *out, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++)
    block_push(s->arena, out, block->stmts.at[i]);
}

static void simplify_for(Simplifier *s, Stmt *loop, Block *out) {
  const Affine **lower = ARENA_ARRAY(s->arena, const Affine *, loop->n_lower);
  const Affine **upper = ARENA_ARRAY(s->arena, const Affine *, loop->n_upper);
  for (int i = 0; i < loop->n_lower; i++)
    lower[i] = simplify_affine(s, loop->lower[i]);
  for (int i = 0; i < loop->n_upper; i++)
    upper[i] = simplify_affine(s, loop->upper[i]);
  loop->lower = lower;
  loop->upper = upper;
  loop->n_lower = drop_bounds(s, lower, loop->n_lower, 1);
  loop->n_upper = drop_bounds(s, upper, loop->n_upper, -1);

  /* The number of runs, as far as the pairs of bounds tell: never if one pair
   * is always empty, at most once if one is never longer than a step, at
   * least once if none is ever empty. */
  bool at_most_once = false, at_least_once = true;
  for (int i = 0; i < loop->n_lower; i++)
    for (int j = 0; j < loop->n_upper; j++) {
      const Affine *distance = affine_sub(s->arena, upper[j], lower[i]);
      if (at_most(s, distance, 0))
        return;
      at_most_once = at_most_once || at_most(s, distance, loop->step);
      at_least_once = at_least_once && at_least(s, distance, 1);
    }
  if (at_most_once && at_least_once && loop->n_lower == 1) {
    ptr_map_put(&s->rewrite.map, loop->var, (void *)(uintptr_t)lower[0]);
    simplify_block(s, &loop->body);
    append(s, out, &loop->body);
    return;
  }
  VEC_PUSH(s->scratch, s->scope.enclosing, loop);
  simplify_block(s, &loop->body);
  s->scope.enclosing.len--;
  if (loop->body.stmts.len > 0)
    block_push(s->arena, out, loop);
}

static void simplify_if(Simplifier *s, Stmt *branch, Block *out) {
  const Affine **kept = ARENA_ARRAY(s->arena, const Affine *, branch->n_conditions);
  int n = 0;
  bool never = false;
  for (int i = 0; i < branch->n_conditions; i++) {
    const Affine *condition = simplify_affine(s, branch->conditions[i]);
    never = never || at_most(s, condition, -1);
    if (!at_least(s, condition, 0))
      kept[n++] = condition;
  }
  branch->conditions = kept;
  branch->n_conditions = n;
  if (never || n == 0) {
    Block *taken = never ? &branch->otherwise : &branch->body;
    simplify_block(s, taken);
    append(s, out, taken);
    return;
  }
  VEC_PUSH(s->scratch, s->scope.enclosing, branch);
  simplify_block(s, &branch->body);
  s->scope.enclosing.len--;
  simplify_block(s, &branch->otherwise);
  if (branch->body.stmts.len + branch->otherwise.stmts.len > 0)
    block_push(s->arena, out, branch);
}

static void simplify_block(Simplifier *s, Block *block) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *stmt = block->stmts.at[i];
    if (stmt->kind == STMT_FOR) {
      simplify_for(s, stmt, &out);
      continue;
    }
    if (stmt->kind == STMT_IF) {
      simplify_if(s, stmt, &out);
      continue;
    }
    if (stmt->kind == STMT_PARALLEL || stmt->kind == STMT_BRANCH)
      simplify_block(s, &stmt->body);
    if (stmt->expr)
      stmt->expr = simplify_expr(s, stmt->expr);
    for (int d = 0; d < stmt_rank(stmt); d++)
      stmt->index[d] = simplify_affine(s, stmt->index[d]);
    for (size_t j = 0; stmt->kind == STMT_CALL && j < stmt->callee->ints.len; j++)
      stmt->ints[j] = simplify_affine(s, stmt->ints[j]);
    block_push(s->arena, &out, stmt);
  }
  *block = out;
}

/* ---- definitions that nothing uses ---- */

static void mark_expr(PtrMap *used, const Expr *e) {
  if (e->op == OP_VALUE)
    ptr_map_put(used, e->value, e->value);
  for (int i = 0; i < loop_op_arity(e->op); i++)
    mark_expr(used, e->args[i]);
}

static bool is_dead(const PtrMap *used, const Stmt *s) {
  bool defines = s->kind == STMT_LET || s->kind == STMT_VAR || s->kind == STMT_SET;
  return defines && !ptr_map_get(used, s->value);
}

/* Marks what live statements use; true if that was more than before. */
static bool mark_used(PtrMap *used, const Block *block) {
  size_t before = used->len;
  for (size_t i = block->stmts.len; i-- > 0;) {
    const Stmt *s = block->stmts.at[i];
    mark_used(used, &s->otherwise);
    mark_used(used, &s->body);
    if (s->expr && !is_dead(used, s))
      mark_expr(used, s->expr);
  }
  return used->len > before;
}

static void remove_dead(Arena *arena, const PtrMap *used, Block *block) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *s = block->stmts.at[i];
    remove_dead(arena, used, &s->body);
    remove_dead(arena, used, &s->otherwise);
    bool hollow = (s->kind == STMT_FOR || s->kind == STMT_IF) &&
                  s->body.stmts.len + s->otherwise.stmts.len == 0;
    if (!is_dead(used, s) && !hollow)
      block_push(arena, &out, s);
  }
  *block = out;
}

/* ---- the pass ---- */

static void simplify(Arena *arena, Block *block) {
  Arena *scratch = arena_new();
  Simplifier s = {.arena = arena, .scratch = scratch, .workings = arena_new()};
  s.rewrite = (Rewrite){.arena = arena, .map = {.arena = scratch}};
  simplify_block(&s, block);
  PtrMap used = {.arena = scratch};
  while (mark_used(&used, block))
    continue;
  remove_dead(arena, &used, block);
  arena_free(s.workings);
  arena_free(scratch);
}

/* The entry is left alone once it is planned: the plan counts its statements. */
void loop_simplify(Program *program) {
  for (size_t i = 0; i < program->kernels.len; i++)
    simplify(program->arena, &program->kernels.at[i]->body);
  if (program->arena_bytes < 0)
    simplify(program->arena, &program->entry);
}
