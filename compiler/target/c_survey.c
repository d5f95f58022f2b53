/* Names, and a walk over the program before anything is printed: what is used, and whether int32_t
 * is wide enough for every index. */
#include "target/c_emitter.h"

/* ---- names ---- */

const char *c_name_of(const Emitter *e, const void *thing) {
  const char *name = c_map_get(&e->names, thing);
  if (!name)
    BUG("something in program '%s' has no name in the C file", e->program->name);
  return name;
}

void c_set_name(Emitter *e, const void *thing, const char *name) {
  c_map_put(e->arena, &e->names, thing, (void *)(uintptr_t)name);
}

void c_mark_used(Emitter *e, const void *thing) {
  if (!c_map_get(&e->used, thing))
    c_map_put(e->arena, &e->used, thing, e);
}

const char *c_claim_global(Emitter *e, const char *name) {
  return c_names_claim(e->file_names, arena_printf(e->arena, "%s_%s", e->own, name));
}

const char *c_new_temp(Emitter *e) {
  return c_names_claim(e->local_names, arena_printf(e->arena, "t%d", ++e->n_temps));
}

/* ---- ranges: is int32_t wide enough for every index? ---- */

static void reach(Emitter *e, double value) {
  if (value < 0)
    value = -value;
  if (value > e->largest)
    e->largest = value;
}

static Interval affine_interval(Emitter *e, const Affine *a) {
  Interval sum = {(double)a->constant, (double)a->constant};
  double magnitude = sum.lo < 0 ? -sum.lo : sum.lo;
  for (int i = 0; i < a->n; i++) {
    const Term *term = &a->terms[i];
    Interval atom = {0, (double)term->divisor - 1};
    if (term->kind == ATOM_VAR) {
      const Interval *range = c_map_get(&e->ranges, term->var);
      if (!range)
        BUG("variable '%s' is used outside its loop", term->var->name);
      atom = *range;
    } else {
      Interval inside = affine_interval(e, term->inside);
      if (term->kind == ATOM_DIV)
        atom = (Interval){inside.lo / (double)term->divisor - 1,
                          inside.hi / (double)term->divisor + 1};
      reach(e, (double)term->divisor);
    }
    double x = atom.lo * (double)term->coef, y = atom.hi * (double)term->coef;
    sum.lo += x < y ? x : y;
    sum.hi += x < y ? y : x;
    magnitude += (x < 0 ? -x : x) > (y < 0 ? -y : y) ? (x < 0 ? -x : x) : (y < 0 ? -y : y);
  }
  reach(e, magnitude); /* in whatever order the terms are added */
  return sum;
}

const Affine *c_flat_index(Emitter *e, const Buffer *buffer, const Affine *const *index) {
  const Affine *flat = affine_const(e->arena, 0);
  int64_t stride = 1;
  for (int i = buffer->rank - 1; i >= 0; i--) {
    flat = affine_add(e->arena, affine_scale(e->arena, index[i], stride), flat);
    stride *= buffer->dims[i];
  }
  return flat;
}

/* ---- survey: what is used, and how large indices become ---- */

static void survey_affine(Emitter *e, const Affine *a) {
  for (int i = 0; i < a->n; i++) {
    if (a->terms[i].kind == ATOM_VAR)
      c_mark_used(e, a->terms[i].var);
    else
      survey_affine(e, a->terms[i].inside);
  }
}

static void survey_buffer(Emitter *e, const Buffer *buffer) {
  if (buffer->kind != BUFFER_PARAM)
    BUG("a kernel reaches buffer '%s' without a parameter", buffer->name);
  c_mark_used(e, buffer);
}

static void survey_index(Emitter *e, const Buffer *buffer, const Affine *const *index) {
  survey_buffer(e, buffer);
  for (int i = 0; i < buffer->rank; i++)
    survey_affine(e, index[i]);
  affine_interval(e, c_flat_index(e, buffer, index));
  reach(e, (double)buffer_bytes(buffer));
}

/* `visits` counts the nodes of one statement, so that shared ones are looked at once. */
static void survey_expr(Emitter *e, const Expr *expr) {
  if (c_map_get(&e->visits, expr))
    return;
  c_map_put(e->arena, &e->visits, expr, e);
  switch (expr->op) {
  case OP_VALUE:
    c_mark_used(e, expr->value);
    break;
  case OP_LOAD:
    survey_index(e, expr->buffer, expr->index);
    break;
  case OP_TABLE:
    survey_buffer(e, expr->buffer);
    break;
  case OP_INDEX:
    survey_affine(e, expr->index[0]);
    affine_interval(e, expr->index[0]);
    break;
  default:
    break;
  }
  for (int i = 0; i < loop_op_arity(expr->op); i++)
    survey_expr(e, expr->args[i]);
}

static void survey_kernel(Emitter *e, const Kernel *kernel);

static void survey_call(Emitter *e, const Stmt *stmt) {
  const Kernel *kernel = stmt->callee;
  for (size_t i = 0; i < kernel->buffers.len; i++)
    c_mark_used(e, stmt->buffers[i]);
  for (size_t i = 0; i < kernel->ints.len; i++) {
    survey_affine(e, stmt->ints[i]);
    affine_interval(e, stmt->ints[i]);
  }
  if (!c_map_get(&e->used, kernel)) {
    c_mark_used(e, kernel);
    survey_kernel(e, kernel);
  }
}

static void set_range(Emitter *e, const Var *var, Interval range) {
  Interval *kept = ARENA_NEW(e->arena, Interval);
  *kept = range;
  c_map_put(e->arena, &e->ranges, var, kept);
}

static void survey_for(Emitter *e, const Stmt *stmt) {
  Interval range = {-1e300, 1e300};
  for (int i = 0; i < stmt->n_lower; i++) {
    survey_affine(e, stmt->lower[i]);
    Interval bound = affine_interval(e, stmt->lower[i]);
    range.lo = bound.lo > range.lo ? bound.lo : range.lo;
  }
  for (int i = 0; i < stmt->n_upper; i++) {
    survey_affine(e, stmt->upper[i]);
    Interval bound = affine_interval(e, stmt->upper[i]);
    range.hi = bound.hi - 1 < range.hi ? bound.hi - 1 : range.hi;
  }
  if (range.hi < range.lo) /* never runs */
    range.hi = range.lo;
  reach(e, range.hi + (double)stmt->step);
  set_range(e, stmt->var, range);
}

void c_survey(Emitter *e, const Block *block) {
  for (size_t s = 0; s < block->stmts.len; s++) {
    const Stmt *stmt = block->stmts.at[s];
    switch (stmt->kind) {
    case STMT_FOR:
      survey_for(e, stmt);
      c_survey(e, &stmt->body);
      break;
    case STMT_IF:
      for (int i = 0; i < stmt->n_conditions; i++) {
        survey_affine(e, stmt->conditions[i]);
        affine_interval(e, stmt->conditions[i]);
      }
      c_survey(e, &stmt->body);
      c_survey(e, &stmt->otherwise);
      break;
    case STMT_STORE:
      survey_index(e, stmt->buffer, stmt->index);
      survey_expr(e, stmt->expr);
      break;
    case STMT_LET:
    case STMT_VAR:
    case STMT_SET:
      survey_expr(e, stmt->expr);
      break;
    case STMT_CALL:
      survey_call(e, stmt);
      break;
    case STMT_PARALLEL:
    case STMT_BRANCH:
      c_survey(e, &stmt->body);
      break;
    case STMT_PREFETCH:
      survey_index(e, stmt->buffer, stmt->index);
      break;
    }
    c_map_clear(&e->visits);
  }
}

static void survey_kernel(Emitter *e, const Kernel *kernel) {
  for (size_t i = 0; i < kernel->ints.len; i++) {
    const Var *var = kernel->ints.at[i];
    Interval range = {(double)var->lo, (double)var->hi - 1};
    reach(e, range.lo);
    reach(e, range.hi);
    set_range(e, var, range);
  }
  c_survey(e, &kernel->body);
}
