/* Turns `vector` loops of constant trip count V into V lanes.
 *
 * A value varies if it is computed from the loop's variable: from a load whose
 * last index moves with it by 1, or from another value that varies. What varies
 * becomes a vector of V lanes, what does not stays scalar and is splat where it
 * meets what does; the loop itself disappears. Serial loops inside stay.
 *
 * Whatever else uses the variable (a stride, a quotient, a bound, its number)
 * and whatever passes a register or memory from one iteration to another
 * leaves the loop as it is: serial, with the same result. */
#include "loop/loop.h"

#include "loop/internal.h"

typedef struct Vectorizer {
  Arena *arena;
  const Var *var;
  const Affine *start;
  int lanes;
  PtrMap varying; /* Value -> itself */
  PtrMap widened; /* Value -> its vector */
} Vectorizer;

static bool varies(const Vectorizer *v, const Expr *e) {
  if (e->op == OP_VALUE)
    return ptr_map_get(&v->varying, e->value) != NULL;
  int rank = e->op == OP_LOAD ? e->buffer->rank : e->op == OP_INDEX ? 1 : 0;
  for (int i = 0; i < rank; i++)
    if (affine_uses(e->index[i], v->var))
      return true;
  for (int i = 0; i < loop_op_arity(e->op); i++)
    if (varies(v, e->args[i]))
      return true;
  return false;
}

/* Marks what varies; true if that was more than before. */
static bool mark(Vectorizer *v, const Block *block) {
  bool more = false;
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    bool defines = s->kind == STMT_LET || s->kind == STMT_VAR || s->kind == STMT_SET;
    if (defines && !ptr_map_get(&v->varying, s->value) && varies(v, s->expr)) {
      ptr_map_put(&v->varying, s->value, s->value);
      more = true;
    }
    more |= mark(v, &s->body);
    more |= mark(v, &s->otherwise);
  }
  return more;
}

/* ---- may it be done ---- */

/* Consecutive along the last dimension, fixed in all others. */
static bool is_row(const Vectorizer *v, const Buffer *buffer, const Affine *const *index) {
  int64_t coef;
  for (int i = 0; i + 1 < buffer->rank; i++)
    if (affine_uses(index[i], v->var))
      return false;
  return buffer->rank > 0 && affine_coef(index[buffer->rank - 1], v->var, &coef) && coef == 1;
}

static bool can_widen(const Vectorizer *v, const Expr *e) {
  if (!varies(v, e))
    return true;
  if (e->type.lanes != 1)
    return false;
  for (int i = 0; i < loop_op_arity(e->op); i++)
    if (!can_widen(v, e->args[i]) || e->args[i]->type.lanes != 1)
      return false;
  return e->op == OP_LOAD ? is_row(v, e->buffer, e->index) : e->op != OP_INDEX;
}

static bool can_widen_block(const Vectorizer *v, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    bool ok = true;
    switch (s->kind) {
    case STMT_FOR:
      ok = !loop_bounds_use(s, v->var);
      break;
    case STMT_IF:
      ok = !conditions_use(s, v->var);
      break;
    case STMT_LET:
    case STMT_VAR:
    case STMT_SET:
      ok = can_widen(v, s->expr) &&
           (!ptr_map_get(&v->varying, s->value) || s->value->type.lanes == 1);
      break;
    case STMT_STORE:
      ok = can_widen(v, s->expr) && s->expr->type.lanes == 1 && is_row(v, s->buffer, s->index);
      break;
    case STMT_CALL:
    case STMT_PARALLEL:
    case STMT_BRANCH:
      ok = false;
      break;
    case STMT_PREFETCH:
      break;
    }
    if (!ok || !can_widen_block(v, &s->body) || !can_widen_block(v, &s->otherwise))
      return false;
  }
  return true;
}

/* ---- doing it ---- */

static Expr *widen(Vectorizer *v, Expr *e) {
  Type type = {e->type.elem, v->lanes};
  if (!varies(v, e)) {
    if (e->op != OP_CONST)
      return expr_make(v->arena, OP_SPLAT, type, e, NULL, NULL);
    Expr *c = ARENA_NEW(v->arena, Expr);
    *c = *e;
    c->type = type;
    return c;
  }
  Expr *wide = ARENA_NEW(v->arena, Expr);
  *wide = *e;
  wide->type = type;
  if (e->op == OP_VALUE)
    wide->value = ptr_map_get(&v->widened, e->value);
  for (int i = 0; e->op == OP_LOAD && i < e->buffer->rank; i++)
    wide->index[i] = affine_subst(v->arena, e->index[i], v->var, v->start);
  for (int i = 0; i < loop_op_arity(e->op); i++)
    wide->args[i] = widen(v, e->args[i]);
  return wide;
}

static void widen_block(Vectorizer *v, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *s = block->stmts.at[i];
    switch (s->kind) {
    case STMT_LET:
    case STMT_VAR:
      if (ptr_map_get(&v->varying, s->value)) {
        Value *wide = ARENA_NEW(v->arena, Value);
        *wide = *s->value;
        wide->type.lanes = v->lanes;
        ptr_map_put(&v->widened, s->value, wide);
        s->expr = widen(v, s->expr);
        s->value = wide;
      }
      break;
    case STMT_SET:
      if (ptr_map_get(&v->varying, s->value)) {
        s->expr = widen(v, s->expr);
        s->value = ptr_map_get(&v->widened, s->value);
      }
      break;
    case STMT_STORE:
      s->expr = widen(v, s->expr);
      break;
    case STMT_FOR:
    case STMT_IF:
    case STMT_CALL:
    case STMT_PREFETCH:
    case STMT_PARALLEL:
    case STMT_BRANCH:
      break;
    }
    for (int d = 0; d < stmt_rank(s); d++)
      s->index[d] = affine_subst(v->arena, s->index[d], v->var, v->start);
    widen_block(v, &s->body);
    widen_block(v, &s->otherwise);
  }
}

/* The loop's body, widened in place; false and unchanged if that cannot be. */
static bool vectorize(Arena *arena, Arena *scratch, Stmt *loop) {
  Vectorizer v = {.arena = arena, .var = loop->var};
  int64_t trips;
  if (loop->mode != LOOP_VECTOR || loop->step != 1 ||
      !loop_trip_count(arena, loop, &v.start, &trips) || trips < 2 || trips > 64 ||
      !affine_is_const(v.start, NULL))
    return false;
  v.lanes = (int)trips;
  v.varying.arena = v.widened.arena = scratch;
  while (mark(&v, &loop->body))
    continue;
  if (!can_widen_block(&v, &loop->body) || sets_outer_value(scratch, &loop->body) ||
      !iterations_independent(loop))
    return false;
  widen_block(&v, &loop->body);
  return true;
}

static void vectorize_block(Arena *arena, Arena *scratch, Block *block) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *s = block->stmts.at[i];
    vectorize_block(arena, scratch, &s->body);
    vectorize_block(arena, scratch, &s->otherwise);
    if (s->kind != STMT_FOR || !vectorize(arena, scratch, s)) {
      block_push(arena, &out, s);
      continue;
    }
    for (size_t j = 0; j < s->body.stmts.len; j++)
      block_push(arena, &out, s->body.stmts.at[j]);
  }
  *block = out;
}

void loop_vectorize(Program *program) {
  for (size_t i = 0; i < program->kernels.len; i++) {
    Arena *scratch = arena_new();
    vectorize_block(program->arena, scratch, &program->kernels.at[i]->body);
    arena_free(scratch);
  }
}
