/* Copying statements with substitution, and questions that the passes ask
 * about blocks.
 *
 * A Rewrite maps variables to affine expressions and values to other values;
 * what it does not map stays. Trees in which nothing changes are shared, not
 * copied. */
#include <string.h>

#include "loop/internal.h"
#include "loop/loop.h"

/* ---- names ---- */

static void take_name(Arena *arena, PtrMap *names, const char *name) {
  const char *key = intern(arena, name);
  ptr_map_put(names, key, (void *)(uintptr_t)key);
}

static void collect_block(Arena *arena, const Block *block, PtrMap *names) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_FOR)
      take_name(arena, names, s->var->name);
    if (s->kind == STMT_LET || s->kind == STMT_VAR)
      take_name(arena, names, s->value->name);
    collect_block(arena, &s->body, names);
    collect_block(arena, &s->otherwise, names);
  }
}

void collect_names(Arena *arena, const Kernel *kernel, PtrMap *names) {
  for (size_t i = 0; i < kernel->buffers.len; i++)
    take_name(arena, names, kernel->buffers.at[i]->name);
  for (size_t i = 0; i < kernel->ints.len; i++)
    take_name(arena, names, kernel->ints.at[i]->name);
  collect_block(arena, &kernel->body, names);
}

static const char *fresh_name(Rewrite *r, const char *name) {
  if (!r->suffix)
    return name;
  const char *text = arena_printf(r->arena, "%s%s", name, r->suffix);
  if (!r->names)
    return text;
  /* Without a suffix of its own a copy is numbered: acc, acc_1, acc_2. */
  if (!*r->suffix) {
    const char *stem = loop_default_label(r->arena, name);
    for (int i = 1; ptr_map_get(r->names, intern(r->names->arena, text)); i++)
      text = arena_printf(r->arena, "%s_%d", stem, i);
  }
  while (ptr_map_get(r->names, intern(r->names->arena, text)))
    text = arena_printf(r->arena, "%s_", text);
  take_name(r->names->arena, r->names, text);
  return text;
}

/* ---- rewriting ---- */

static bool affine_is_mapped(const Rewrite *r, const Affine *a) {
  for (int i = 0; i < a->n; i++)
    if (a->terms[i].kind == ATOM_VAR ? ptr_map_get(&r->map, a->terms[i].var) != NULL
                                     : affine_is_mapped(r, a->terms[i].inside))
      return true;
  return false;
}

const Affine *rewrite_affine(Rewrite *r, const Affine *a) {
  if (!affine_is_mapped(r, a))
    return a;
  const Affine *sum = affine_const(r->arena, a->constant);
  for (int i = 0; i < a->n; i++) {
    Term *t = &a->terms[i];
    const Affine *part;
    if (t->kind == ATOM_VAR) {
      part = ptr_map_get(&r->map, t->var);
      if (!part)
        part = affine_var(r->arena, t->var);
    } else {
      const Affine *inside = rewrite_affine(r, t->inside);
      part = t->kind == ATOM_DIV ? affine_div(r->arena, inside, t->divisor)
                                 : affine_mod(r->arena, inside, t->divisor);
    }
    sum = affine_add(r->arena, sum, affine_scale(r->arena, part, t->coef));
  }
  return sum;
}

Expr *rewrite_expr(Rewrite *r, Expr *e) {
  Expr copy = *e;
  bool changed = false;
  for (int i = 0; i < loop_op_arity(e->op); i++) {
    copy.args[i] = rewrite_expr(r, e->args[i]);
    changed |= copy.args[i] != e->args[i];
  }
  int rank = e->op == OP_LOAD ? e->buffer->rank : e->op == OP_INDEX ? 1 : 0;
  for (int i = 0; i < rank; i++) {
    copy.index[i] = rewrite_affine(r, e->index[i]);
    changed |= copy.index[i] != e->index[i];
  }
  if (e->op == OP_VALUE) {
    Value *value = ptr_map_get(&r->map, e->value);
    if (value && value != e->value) {
      copy.value = value;
      changed = true;
    }
  }
  if (!changed)
    return e;
  Expr *result = ARENA_NEW(r->arena, Expr);
  *result = copy;
  return result;
}

Value *rewrite_value(Rewrite *r, Value *value) {
  Value *copy = ARENA_NEW(r->arena, Value);
  *copy = *value;
  copy->name = fresh_name(r, value->name);
  ptr_map_put(&r->map, value, copy);
  return copy;
}

static const Affine **rewrite_list(Rewrite *r, const Affine **list, int n) {
  const Affine **copy = ARENA_ARRAY(r->arena, const Affine *, n);
  for (int i = 0; i < n; i++)
    copy[i] = rewrite_affine(r, list[i]);
  return copy;
}

Stmt *rewrite_stmt(Rewrite *r, const Stmt *stmt) {
  Stmt *copy = ARENA_NEW(r->arena, Stmt);
  *copy = *stmt;
  copy->body = (Block){0};
  copy->otherwise = (Block){0};
  switch (stmt->kind) {
  case STMT_FOR: {
    copy->lower = rewrite_list(r, stmt->lower, stmt->n_lower);
    copy->upper = rewrite_list(r, stmt->upper, stmt->n_upper);
    Var *var = ARENA_NEW(r->arena, Var);
    *var = *stmt->var;
    var->name = fresh_name(r, var->name);
    copy->var = var;
    ptr_map_put(&r->map, stmt->var, (void *)(uintptr_t)affine_var(r->arena, var));
    rewrite_block(r, &stmt->body, &copy->body);
    break;
  }
  case STMT_IF:
    copy->conditions = rewrite_list(r, stmt->conditions, stmt->n_conditions);
    rewrite_block(r, &stmt->body, &copy->body);
    rewrite_block(r, &stmt->otherwise, &copy->otherwise);
    break;
  case STMT_LET:
  case STMT_VAR:
    copy->expr = rewrite_expr(r, stmt->expr);
    copy->value = rewrite_value(r, stmt->value);
    break;
  case STMT_SET: {
    copy->expr = rewrite_expr(r, stmt->expr);
    Value *value = ptr_map_get(&r->map, stmt->value);
    if (value)
      copy->value = value;
    break;
  }
  case STMT_STORE:
    copy->expr = rewrite_expr(r, stmt->expr);
    for (int i = 0; i < stmt->buffer->rank; i++)
      copy->index[i] = rewrite_affine(r, stmt->index[i]);
    break;
  case STMT_PREFETCH:
    for (int i = 0; i < stmt->buffer->rank; i++)
      copy->index[i] = rewrite_affine(r, stmt->index[i]);
    break;
  case STMT_CALL:
    copy->ints = rewrite_list(r, stmt->ints, (int)stmt->callee->ints.len);
    break;
  case STMT_PARALLEL:
  case STMT_BRANCH:
    rewrite_block(r, &stmt->body, &copy->body);
    break;
  }
  return copy;
}

void rewrite_block(Rewrite *r, const Block *block, Block *out) {
  for (size_t i = 0; i < block->stmts.len; i++)
    block_push(r->arena, out, rewrite_stmt(r, block->stmts.at[i]));
}

Block loop_clone_block(Arena *arena, const Block *block, const Var *var, const Affine *with,
                       const char *suffix) {
  Arena *scratch = arena_new();
  Rewrite r = {.arena = arena, .map = {.arena = scratch}, .suffix = suffix};
  if (var && with)
    ptr_map_put(&r.map, var, (void *)(uintptr_t)with);
  Block copy = {0};
  rewrite_block(&r, block, &copy);
  arena_free(scratch);
  return copy;
}

/* ---- questions ---- */

bool expr_uses_var(const Expr *e, const Var *var) {
  int rank = e->op == OP_LOAD ? e->buffer->rank : e->op == OP_INDEX ? 1 : 0;
  for (int i = 0; i < rank; i++)
    if (affine_uses(e->index[i], var))
      return true;
  for (int i = 0; i < loop_op_arity(e->op); i++)
    if (expr_uses_var(e->args[i], var))
      return true;
  return false;
}

bool same_load(const Expr *a, const Expr *b) {
  if (a->buffer != b->buffer || a->type.lanes != b->type.lanes)
    return false;
  for (int d = 0; d < a->buffer->rank; d++)
    if (!affine_equal(a->index[d], b->index[d]))
      return false;
  return true;
}

bool loop_bounds_use(const Stmt *loop, const Var *var) {
  for (int i = 0; i < loop->n_lower; i++)
    if (affine_uses(loop->lower[i], var))
      return true;
  for (int i = 0; i < loop->n_upper; i++)
    if (affine_uses(loop->upper[i], var))
      return true;
  return false;
}

bool conditions_use(const Stmt *branch, const Var *var) {
  for (int i = 0; i < branch->n_conditions; i++)
    if (affine_uses(branch->conditions[i], var))
      return true;
  return false;
}

size_t block_size(const Block *block) {
  size_t n = block->stmts.len;
  for (size_t i = 0; i < block->stmts.len; i++)
    n += block_size(&block->stmts.at[i]->body) + block_size(&block->stmts.at[i]->otherwise);
  return n;
}

static void collect_defined(const Block *block, PtrMap *defined) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_LET || s->kind == STMT_VAR)
      ptr_map_put(defined, s->value, s->value);
    if (s->kind == STMT_FOR)
      ptr_map_put(defined, s->var, s->var);
    collect_defined(&s->body, defined);
    collect_defined(&s->otherwise, defined);
  }
}

static bool sets_undefined(const Block *block, const PtrMap *defined) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_SET && !ptr_map_get(defined, s->value))
      return true;
    if (sets_undefined(&s->body, defined) || sets_undefined(&s->otherwise, defined))
      return true;
  }
  return false;
}

bool sets_outer_value(Arena *scratch, const Block *body) {
  PtrMap defined = {.arena = scratch};
  collect_defined(body, &defined);
  return sets_undefined(body, &defined);
}

/* A place that a loop's body reads or writes. */
typedef struct Touch {
  const Buffer *buffer;
  const Affine *const *index; /* null: the whole buffer (table) */
  int lanes;
  bool is_store;
} Touch;
typedef VEC(Touch) Touches;

static void touches_of_expr(Arena *scratch, const Expr *e, Touches *out) {
  if (e->op == OP_LOAD)
    VEC_PUSH(scratch, *out, ((Touch){e->buffer, e->index, e->type.lanes, false}));
  if (e->op == OP_TABLE)
    VEC_PUSH(scratch, *out, ((Touch){.buffer = e->buffer}));
  for (int i = 0; i < loop_op_arity(e->op); i++)
    touches_of_expr(scratch, e->args[i], out);
}

static void touches_of(Arena *scratch, const Block *block, Touches *out) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->expr)
      touches_of_expr(scratch, s->expr, out);
    if (s->kind == STMT_STORE)
      VEC_PUSH(scratch, *out, ((Touch){s->buffer, s->index, s->expr->type.lanes, true}));
    touches_of(scratch, &s->body, out);
    touches_of(scratch, &s->otherwise, out);
  }
}

static bool mentions(const Affine *a, const PtrMap *vars) {
  for (int i = 0; i < a->n; i++)
    if (a->terms[i].kind == ATOM_VAR ? ptr_map_get(vars, a->terms[i].var) != NULL
                                     : mentions(a->terms[i].inside, vars))
      return true;
  return false;
}

/* The loops inside the body, by variable. */
static void collect_loops(const Block *block, PtrMap *loops) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_FOR)
      ptr_map_put(loops, s->var, s);
    collect_loops(&s->body, loops);
    collect_loops(&s->otherwise, loops);
  }
}

/* Splits an index into a part that every iteration of the loop moves by `move`, a part that the whole loop leaves alone, and a part that the
 * loops inside move, of which only the range is kept. False if it is not of that form. */
typedef struct Walk {
  int64_t move;
  const Affine *fixed;
  int64_t lo, hi;
} Walk;

/* By how much an iteration of the loop moves the term: its variable's, or a quotient of that alone which is exact. */
static bool term_moves(const Term *term, const Stmt *loop, int64_t *move) {
  int64_t first;
  if (term->kind == ATOM_VAR && term->var == loop->var) {
    *move = term->coef * loop->step;
    return true;
  }
  if (term->kind != ATOM_DIV || term->inside->n != 1 || term->inside->constant % term->divisor != 0)
    return false;
  const Term *inside = &term->inside->terms[0];
  bool exact = inside->kind == ATOM_VAR && inside->var == loop->var && loop->n_lower == 1 &&
               affine_is_const(loop->lower[0], &first) && inside->coef * first % term->divisor == 0 &&
               inside->coef * loop->step % term->divisor == 0;
  if (exact)
    *move = term->coef * (inside->coef * loop->step / term->divisor);
  return exact;
}

static bool walk_of(Arena *scratch, const Affine *index, const Stmt *around, const PtrMap *inside, Walk *walk) {
  *walk = (Walk){.fixed = affine_const(scratch, 0), .lo = index->constant, .hi = index->constant};
  for (int i = 0; i < index->n; i++) {
    Term *term = &index->terms[i];
    const Affine alone = {.n = 1, .terms = term};
    int64_t move;
    if (term_moves(term, around, &move)) {
      walk->move += move;
      continue;
    }
    if (affine_uses(&alone, around->var))
      return false;
    if (!mentions(&alone, inside)) {
      walk->fixed = affine_add(scratch, walk->fixed, &alone);
      continue;
    }
    const Stmt *loop = term->kind == ATOM_VAR ? ptr_map_get(inside, term->var) : NULL;
    int64_t first, end;
    if (!loop || loop->n_lower != 1 || loop->n_upper != 1 ||
        !affine_is_const(loop->lower[0], &first) || !affine_is_const(loop->upper[0], &end) ||
        end <= first)
      return false;
    int64_t a = term->coef * first, b = term->coef * (end - 1);
    walk->lo += a < b ? a : b;
    walk->hi += a < b ? b : a;
  }
  return true;
}

/* In some dimension the two places move with the loop's variable, alike, and by more in one
 * iteration than the loops inside and the lanes spread them: different iterations never meet. */
static bool always_apart(Arena *scratch, const Touch *a, const Touch *b, const Stmt *loop,
                         const PtrMap *inside) {
  if (!a->index || !b->index)
    return false;
  for (int d = 0; d < a->buffer->rank; d++) {
    Walk p, q;
    if (!walk_of(scratch, a->index[d], loop, inside, &p) ||
        !walk_of(scratch, b->index[d], loop, inside, &q) || p.move != q.move ||
        !affine_equal(p.fixed, q.fixed))
      continue;
    if (d == a->buffer->rank - 1) {
      p.hi += a->lanes - 1;
      q.hi += b->lanes - 1;
    }
    int64_t distance = p.move < 0 ? -p.move : p.move;
    if (p.hi - q.lo < distance && q.hi - p.lo < distance)
      return true;
  }
  return false;
}

bool iterations_independent(const Stmt *loop) {
  Arena *scratch = arena_new();
  Touches touches = {0};
  PtrMap inside = {.arena = scratch};
  touches_of(scratch, &loop->body, &touches);
  collect_loops(&loop->body, &inside);
  bool ok = true;
  for (size_t i = 0; ok && i < touches.len; i++) {
    const Touch *store = &touches.at[i];
    for (size_t j = 0; ok && store->is_store && j < touches.len; j++) {
      const Touch *other = &touches.at[j];
      if (other->buffer != store->buffer)
        ok = store->buffer->noalias || other->buffer->noalias;
      else
        ok = always_apart(scratch, store, other, loop, &inside);
    }
  }
  arena_free(scratch);
  return ok;
}
