/* Checks the invariants that loop.h states. Everything that is wrong is
 * reported; nothing stops at the first finding.
 *
 * A kernel is walked once, with the loops and conditions around the current
 * place in a Scope, against which every index, every operand of / and mod and
 * every argument is ranged. What can be proved to run never is not checked
 * for its bounds. */
#include "loop/loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loop/internal.h"
#include "weights/recipe.h"

/* What a name of the current kernel or entry is known to be. */
typedef enum Sight { SIGHT_NONE, SIGHT_VISIBLE, SIGHT_GONE } Sight;

typedef struct Verifier {
  const Program *program;
  LoopReport *report;
  void *user;
  bool ok;
  Arena *arena;         /* for messages and names: the whole call */
  Arena *workings;      /* for ranges: emptied between statements */
  const Kernel *kernel; /* null in the entry */
  PtrMap names;         /* of the kernel or entry */
  PtrMap sights;        /* Var, Value, Buffer -> Sight */
  Scope scope;
  int never; /* loops and conditions around this place that never let it run */
  Loc loc;   /* of the current statement */
  int top;   /* the current top-level statement of the entry */
  bool at_top; /* the next statement is one */
} Verifier;

static void fail(Verifier *v, Loc loc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(Verifier *v, Loc loc, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *message = arena_vprintf(v->arena, format, args);
  va_end(args);
  v->ok = false;
  v->report(v->user, loc, message);
}

static const char *affine_text(Verifier *v, const Affine *a) {
  Writer w;
  writer_init(&w);
  affine_print(&w, a);
  const char *text = arena_printf(v->arena, "%s", w.data ? w.data : "");
  writer_free(&w);
  return text;
}

static const char *type_text(Verifier *v, Type t) {
  return t.lanes == 1 ? elem_name(t.elem)
                      : arena_printf(v->arena, "%sx%d", elem_name(t.elem), t.lanes);
}

/* ---- names ---- */

static bool is_identifier(const char *name) {
  static const char *const reserved[] = {"for", "if", "else", "true", "false", "inf"};
  if (!name || !*name || (*name >= '0' && *name <= '9'))
    return false;
  for (const char *c = name; *c; c++)
    if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
          *c == '_'))
      return false;
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (strcmp(name, reserved[i]) == 0)
      return false;
  return true;
}

static void check_name(Verifier *v, PtrMap *names, Loc loc, const char *name) {
  if (!is_identifier(name)) {
    fail(v, loc, "'%s' is not an identifier", name ? name : "");
    return;
  }
  const char *key = intern(v->arena, name);
  if (ptr_map_get(names, key))
    fail(v, loc, "the name '%s' is used twice", name);
  ptr_map_put(names, key, (void *)(uintptr_t)key);
}

static void set_sight(Verifier *v, const void *what, Sight sight) {
  ptr_map_put(&v->sights, what, (void *)(uintptr_t)sight);
}

static bool visible(Verifier *v, const void *what, const char *kind, const char *name) {
  Sight sight = (Sight)(uintptr_t)ptr_map_get(&v->sights, what);
  if (sight == SIGHT_VISIBLE)
    return true;
  fail(v, v->loc,
       sight == SIGHT_NONE ? "%s '%s' is used before its definition"
                           : "%s '%s' is used after the end of its block",
       kind, name);
  return false;
}

/* ---- indices ---- */

/* affine_range, and whether the place is reached as far as is known. */
static bool range(Verifier *v, const Affine *a, int64_t *min, int64_t *max, bool *reached) {
  bool known = affine_range(v->workings, a, &v->scope, min, max);
  *reached = v->never == 0 && (!known || *min <= *max);
  return known;
}

/* Variables are visible, and what is divided is not negative. */
static bool check_affine(Verifier *v, const Affine *a) {
  bool ok = true;
  for (int i = 0; i < a->n; i++) {
    const Term *t = &a->terms[i];
    if (t->coef == 0) {
      fail(v, v->loc, "an index has a term with coefficient 0");
      ok = false;
    }
    if (t->kind == ATOM_VAR) {
      ok = visible(v, t->var, "variable", t->var->name) && ok;
      continue;
    }
    if (t->divisor < 1) {
      fail(v, v->loc, "an index is divided by %" PRId64, t->divisor);
      ok = false;
    }
    int64_t min, max;
    bool reached;
    if (!check_affine(v, t->inside)) {
      ok = false;
    } else if ((!range(v, t->inside, &min, &max, &reached) || min < 0) && reached) {
      fail(v, v->loc, "%s may be negative where it is divided by %" PRId64,
           affine_text(v, t->inside), t->divisor);
      ok = false;
    }
  }
  return ok;
}

static void check_access(Verifier *v, const Buffer *buffer, const Affine *const *index, int lanes) {
  bool is_param = v->kernel && (Sight)(uintptr_t)ptr_map_get(&v->sights, buffer) == SIGHT_VISIBLE;
  if (!is_param)
    fail(v, v->loc, "buffer '%s' is not a parameter of the kernel", buffer->name);
  if (buffer->rank == 0 && lanes > 1)
    fail(v, v->loc, "'%s' has no dimensions, so no vectors", buffer->name);
  for (int d = 0; d < buffer->rank; d++) {
    if (!check_affine(v, index[d]))
      continue;
    int width = d + 1 == buffer->rank ? lanes : 1;
    int64_t min, max;
    bool reached;
    if (!range(v, index[d], &min, &max, &reached)) {
      if (reached)
        fail(v, v->loc, "no bounds are known for index %d of '%s', %s", d, buffer->name,
             affine_text(v, index[d]));
    } else if (reached && (min < 0 || max > buffer->dims[d] - width)) {
      const char *vector = width > 1 ? arena_printf(v->arena, " in %d lanes", width) : "";
      fail(v, v->loc,
           "index %d of '%s', %s, is %" PRId64 "..%" PRId64 "%s; the dimension is %" PRId64, d,
           buffer->name, affine_text(v, index[d]), min, max, vector, buffer->dims[d]);
    }
  }
}

/* A hint may point anywhere near. */
static void check_prefetch(Verifier *v, const Stmt *s) {
  if (!v->kernel || (Sight)(uintptr_t)ptr_map_get(&v->sights, s->buffer) != SIGHT_VISIBLE)
    fail(v, v->loc, "buffer '%s' is not a parameter of the kernel", s->buffer->name);
  for (int d = 0; d < s->buffer->rank; d++)
    check_affine(v, s->index[d]);
}

static bool readable(const Buffer *b) { return b->kind != BUFFER_PARAM || (b->access & ACCESS_IN); }

/* ---- expressions ---- */

static void check_expr(Verifier *v, const Expr *e) {
  for (int i = 0; i < loop_op_arity(e->op); i++) {
    if (!e->args[i]) {
      fail(v, v->loc, "%s lacks an operand", loop_op_name(e->op));
      return;
    }
    check_expr(v, e->args[i]);
  }
  const char *error = loop_expr_error(v->arena, e);
  if (error)
    fail(v, v->loc, "%s", error);
  if (e->op == OP_VALUE) {
    visible(v, e->value, "value", e->value->name);
  } else if (e->op == OP_LOAD || e->op == OP_TABLE) {
    if (!readable(e->buffer))
      fail(v, v->loc, "'%s' is read but is not an `in` parameter", e->buffer->name);
    if (e->op == OP_LOAD)
      check_access(v, e->buffer, e->index, e->type.lanes);
    else if (!ptr_map_get(&v->sights, e->buffer))
      fail(v, v->loc, "buffer '%s' is not a parameter of the kernel", e->buffer->name);
  } else if (e->op == OP_INDEX && check_affine(v, e->index[0])) {
    int64_t min, max;
    bool reached;
    if ((!range(v, e->index[0], &min, &max, &reached) || min < INT32_MIN || max > INT32_MAX) &&
        reached)
      fail(v, v->loc, "index(%s) may not fit in i32", affine_text(v, e->index[0]));
  }
}

/* ---- calls ---- */

static bool overlap(const Buffer *a, const Buffer *b) {
  if (a == b)
    return true;
  if (a->kind != BUFFER_ARENA || b->kind != BUFFER_ARENA || a->offset < 0 || b->offset < 0)
    return false;
  return a->offset < b->offset + buffer_bytes(b) && b->offset < a->offset + buffer_bytes(a);
}

static void check_argument(Verifier *v, const Stmt *s, size_t i) {
  const Buffer *param = s->callee->buffers.at[i], *arg = s->buffers[i];
  if (!arg) {
    fail(v, s->loc, "argument '%s' of '%s' is missing", param->name, s->callee->name);
    return;
  }
  if (!ptr_map_get(&v->sights, arg)) {
    fail(v, s->loc, "'%s' is not a buffer of the program", arg->name);
    return;
  }
  if (arg->elem != param->elem)
    fail(v, s->loc, "'%s' holds %s; parameter '%s' of '%s' is %s", arg->name, elem_name(arg->elem),
         param->name, s->callee->name, elem_name(param->elem));
  if (buffer_elems(arg) != buffer_elems(param))
    fail(v, s->loc, "'%s' has %" PRId64 " elements; parameter '%s' of '%s' has %" PRId64, arg->name,
         buffer_elems(arg), param->name, s->callee->name, buffer_elems(param));
  if (param->align > arg->align)
    fail(v, s->loc, "'%s' is aligned to %d; parameter '%s' of '%s' wants %d", arg->name, arg->align,
         param->name, s->callee->name, param->align);
  if ((param->access & ACCESS_OUT) && (arg->kind == BUFFER_INPUT || arg->kind == BUFFER_WEIGHT))
    fail(v, s->loc, "%s '%s' is written as parameter '%s' of '%s'",
         arg->kind == BUFFER_INPUT ? "input" : "weight", arg->name, param->name, s->callee->name);
  for (size_t j = 0; j < i; j++) {
    const Buffer *other = s->callee->buffers.at[j];
    if (!s->buffers[j] || !overlap(arg, s->buffers[j]) || !(param->noalias || other->noalias))
      continue;
    if ((param->access & ACCESS_OUT) || (other->access & ACCESS_OUT))
      fail(v, s->loc, "parameters '%s' and '%s' of '%s' overlap in '%s' in spite of noalias",
           other->name, param->name, s->callee->name, arg->name);
  }
  if (arg->kind == BUFFER_ARENA && v->program->arena_bytes >= 0 &&
      (v->top < arg->live_begin || v->top > arg->live_end))
    fail(v, s->loc, "'%s' is used by statement %d of the entry but lives in %d..%d", arg->name,
         v->top, arg->live_begin, arg->live_end);
}

static void check_call(Verifier *v, const Stmt *s) {
  if (!s->callee || !ptr_map_get(&v->sights, s->callee)) {
    fail(v, s->loc, "the kernel that is called is not one of the program's");
    return;
  }
  for (size_t i = 0; i < s->callee->buffers.len; i++)
    check_argument(v, s, i);
  for (size_t i = 0; i < s->callee->ints.len; i++) {
    const Var *param = s->callee->ints.at[i];
    int64_t min, max;
    bool reached;
    if (!check_affine(v, s->ints[i]))
      continue;
    bool known = range(v, s->ints[i], &min, &max, &reached);
    if (!reached)
      continue;
    if (!known)
      fail(v, s->loc, "no bounds are known for argument '%s' of '%s'", param->name,
           s->callee->name);
    else if (min < param->lo || max >= param->hi)
      fail(v, s->loc,
           "argument '%s' of '%s', %s, is %" PRId64 "..%" PRId64 "; its range is %" PRId64
           "..%" PRId64,
           param->name, s->callee->name, affine_text(v, s->ints[i]), min, max, param->lo,
           param->hi - 1);
  }
}

/* ---- statements ---- */

static void check_block(Verifier *v, const Block *block);

static bool always_below(Verifier *v, const Affine *a, int64_t limit) {
  int64_t min, max;
  return affine_range(v->workings, a, &v->scope, &min, &max) && max < limit;
}

static bool never_runs(Verifier *v, const Stmt *loop) {
  for (int i = 0; i < loop->n_lower; i++)
    for (int j = 0; j < loop->n_upper; j++)
      if (always_below(v, affine_sub(v->workings, loop->upper[j], loop->lower[i]), 1))
        return true;
  return false;
}

static void check_for(Verifier *v, const Stmt *s) {
  if (s->n_lower < 1 || s->n_upper < 1)
    fail(v, s->loc, "a loop needs a lower and an upper bound");
  if (s->step < 1)
    fail(v, s->loc, "the step of a loop is at least 1, not %" PRId64, s->step);
  bool ok = s->n_lower >= 1 && s->n_upper >= 1 && s->step >= 1;
  for (int i = 0; i < s->n_lower; i++)
    ok = check_affine(v, s->lower[i]) && ok;
  for (int i = 0; i < s->n_upper; i++)
    ok = check_affine(v, s->upper[i]) && ok;
  if (s->var->is_param)
    fail(v, s->loc, "'%s' is a parameter and cannot be a loop's variable", s->var->name);
  check_name(v, &v->names, s->loc, s->var->name);
  set_sight(v, s->var, SIGHT_VISIBLE);
  bool never = ok && never_runs(v, s);
  v->never += never;
  if (ok)
    VEC_PUSH(v->arena, v->scope.enclosing, s);
  check_block(v, &s->body);
  v->never -= never;
  if (ok)
    v->scope.enclosing.len--;
  set_sight(v, s->var, SIGHT_GONE);
}

static void check_if(Verifier *v, const Stmt *s) {
  bool ok = true;
  for (int i = 0; i < s->n_conditions; i++)
    ok = check_affine(v, s->conditions[i]) && ok;
  bool never = false;
  for (int i = 0; ok && i < s->n_conditions; i++)
    never = never || always_below(v, s->conditions[i], 0);
  v->never += never;
  if (ok)
    VEC_PUSH(v->arena, v->scope.enclosing, s);
  check_block(v, &s->body);
  v->never -= never;
  if (ok)
    v->scope.enclosing.len--;
  check_block(v, &s->otherwise);
}

static void check_definition(Verifier *v, const Stmt *s) {
  Value *value = s->value;
  if (value->is_mutable != (s->kind == STMT_VAR))
    fail(v, s->loc, "'%s' is defined by the wrong kind of statement", value->name);
  if (s->expr && !type_equal(s->expr->type, value->type))
    fail(v, s->loc, "'%s' is %s; its value is %s", value->name, type_text(v, value->type),
         type_text(v, s->expr->type));
  check_name(v, &v->names, s->loc, value->name);
  if (ptr_map_get(&v->sights, value))
    fail(v, s->loc, "'%s' is defined twice", value->name);
  set_sight(v, value, SIGHT_VISIBLE);
}

static void check_set(Verifier *v, const Stmt *s) {
  if (!visible(v, s->value, "value", s->value->name))
    return;
  if (!s->value->is_mutable)
    fail(v, s->loc, "'%s' is set but was defined by let", s->value->name);
  if (s->expr && !type_equal(s->expr->type, s->value->type))
    fail(v, s->loc, "'%s' is %s; its value is %s", s->value->name, type_text(v, s->value->type),
         type_text(v, s->expr->type));
}

static void check_store(Verifier *v, const Stmt *s) {
  const Buffer *buffer = s->buffer;
  if (buffer->kind == BUFFER_PARAM && !(buffer->access & ACCESS_OUT))
    fail(v, s->loc, "'%s' is written but is not an `out` parameter", buffer->name);
  if (s->expr && s->expr->type.elem != buffer->elem)
    fail(v, s->loc, "'%s' holds %s; the value stored is %s", buffer->name, elem_name(buffer->elem),
         type_text(v, s->expr->type));
  check_access(v, buffer, s->index, s->expr ? s->expr->type.lanes : 1);
}

static void check_parallel(Verifier *v, const Stmt *s) {
  const Block *branches = &s->body;
  if (branches->stmts.len < 1 || branches->stmts.len > (size_t)v->program->threads)
    fail(v, s->loc, "a parallel statement has 1 to %d branches, as the program's threads say, not %zu",
         v->program->threads, branches->stmts.len);
  bool ok = v->ok;
  v->ok = true;
  for (size_t i = 0; i < branches->stmts.len; i++) {
    if (branches->stmts.at[i]->kind == STMT_BRANCH)
      check_block(v, &branches->stmts.at[i]->body);
    else
      fail(v, branches->stmts.at[i]->loc, "a parallel statement holds branches only");
  }
  const char *conflict = v->ok ? branches_conflict(v->arena, s) : NULL;
  v->ok = v->ok && ok;
  if (conflict)
    fail(v, s->loc, "%s", conflict);
}

/* What may stand where the statement stands; null if it may. */
static const char *misplaced(const Verifier *v, const Stmt *s, bool at_top) {
  if (s->kind == STMT_FOR || s->kind == STMT_IF)
    return NULL;
  if (s->kind == STMT_BRANCH)
    return "a branch belongs to a parallel statement";
  if (s->kind == STMT_PARALLEL)
    return at_top ? NULL : "a parallel statement stands at the top level of the entry";
  if (v->kernel)
    return s->kind == STMT_CALL ? "a kernel calls nothing" : NULL;
  return s->kind == STMT_CALL ? NULL : "the entry holds for, if, call and parallel only";
}

static void check_stmt(Verifier *v, const Stmt *s) {
  v->loc = s->loc;
  const char *problem = misplaced(v, s, v->at_top);
  v->at_top = false;
  if (problem) {
    fail(v, s->loc, "%s", problem);
    return;
  }
  bool has_value =
      s->kind == STMT_LET || s->kind == STMT_VAR || s->kind == STMT_SET || s->kind == STMT_STORE;
  if (has_value && s->expr)
    check_expr(v, s->expr);
  else if (has_value)
    fail(v, s->loc, "the statement lacks its value");
  switch (s->kind) {
  case STMT_FOR:
    check_for(v, s);
    return;
  case STMT_IF:
    check_if(v, s);
    return;
  case STMT_LET:
  case STMT_VAR:
    check_definition(v, s);
    return;
  case STMT_SET:
    check_set(v, s);
    return;
  case STMT_STORE:
    check_store(v, s);
    return;
  case STMT_CALL:
    check_call(v, s);
    return;
  case STMT_PREFETCH:
    check_prefetch(v, s);
    return;
  case STMT_PARALLEL:
    check_parallel(v, s);
    return;
  case STMT_BRANCH:
    return;
  }
}

static void check_block(Verifier *v, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    if (arena_used_bytes(v->workings) > 1u << 20) {
      arena_free(v->workings);
      v->workings = arena_new();
    }
    check_stmt(v, block->stmts.at[i]);
  }
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_LET || s->kind == STMT_VAR)
      set_sight(v, s->value, SIGHT_GONE);
  }
}

/* ---- buffers ---- */

static bool is_power_of_two(int n) { return n > 0 && (n & (n - 1)) == 0; }

static void check_values(Verifier *v, const Buffer *b) {
  int64_t n = buffer_elems(b), lo, hi;
  elem_limits(b->elem, &lo, &hi);
  for (int64_t i = 0; i < n; i++) {
    double x = b->values[i];
    bool fits = b->elem == ELEM_F32
                    ? isfinite(x) && fabs(x) <= 3.4028234663852886e38 && (double)(float)x == x
                    : x >= (double)lo && x <= (double)hi && floor(x) == x;
    if (!fits) {
      fail(v, b->loc, "element %" PRId64 " of '%s' is no %s", i, b->name, elem_name(b->elem));
      return;
    }
  }
}

static void check_buffer(Verifier *v, const Buffer *b, PtrMap *names) {
  check_name(v, names, b->loc, b->name);
  set_sight(v, b, SIGHT_VISIBLE);
  if (b->elem == ELEM_I64 || b->elem == ELEM_MASK)
    fail(v, b->loc, "buffer '%s' cannot hold %s", b->name, elem_name(b->elem));
  if (b->rank < 0 || b->rank > LOOP_MAX_RANK) {
    fail(v, b->loc, "buffer '%s' has rank %d", b->name, b->rank);
    return;
  }
  for (int i = 0; i < b->rank; i++)
    if (b->dims[i] < 1)
      fail(v, b->loc, "dimension %d of buffer '%s' is %" PRId64, i, b->name, b->dims[i]);
  if (buffer_bytes(b) > INT64_MAX / 4)
    fail(v, b->loc, "buffer '%s' is too large", b->name);
  if (!is_power_of_two(b->align) || b->align < elem_bytes(b->elem))
    fail(v, b->loc, "the alignment of buffer '%s' is %d", b->name, b->align);
  if (b->kind == BUFFER_PARAM && (b->access < ACCESS_IN || b->access > ACCESS_INOUT))
    fail(v, b->loc, "parameter '%s' is neither read nor written", b->name);
}

static void check_contents(Verifier *v, const Buffer *b) {
  if (b->kind == BUFFER_PARAM)
    fail(v, b->loc, "parameter '%s' stands outside of a kernel", b->name);
  if (b->kind != BUFFER_WEIGHT)
    return;
  if ((b->recipe != NULL) == (b->values != NULL)) {
    fail(v, b->loc, "weight '%s' needs a recipe or values", b->name);
  } else if (b->recipe && recipe_elems(b->recipe) != buffer_elems(b)) {
    fail(v, b->loc, "weight '%s' has %" PRId64 " elements; its recipe makes %" PRId64, b->name,
         buffer_elems(b), recipe_elems(b->recipe));
  } else if (b->values) {
    check_values(v, b);
  }
}

/* A buffer of the arena, and its place among all. */
typedef struct Placed {
  const Buffer *buffer;
  size_t order;
} Placed;

static int earlier_first(const void *a, const void *b) {
  const Placed *x = a, *y = b;
  if (x->buffer->live_begin != y->buffer->live_begin)
    return x->buffer->live_begin < y->buffer->live_begin ? -1 : 1;
  return (x->order > y->order) - (x->order < y->order);
}

/* Buffers that live at the same time do not overlap: walks through time with those that are alive. Sorts `placed`. */
static void check_overlaps(Verifier *v, Placed *placed, size_t n) {
  Placed *alive = ARENA_ARRAY(v->arena, Placed, n + 1);
  size_t n_alive = 0;
  if (n)
    qsort(placed, n, sizeof *placed, earlier_first);
  for (size_t i = 0; i < n; i++) {
    size_t kept = 0;
    for (size_t j = 0; j < n_alive; j++) {
      if (alive[j].buffer->live_end < placed[i].buffer->live_begin)
        continue;
      bool declared_before = alive[j].order < placed[i].order;
      const Buffer *first = declared_before ? alive[j].buffer : placed[i].buffer;
      const Buffer *second = declared_before ? placed[i].buffer : alive[j].buffer;
      if (overlap(first, second))
        fail(v, second->loc, "buffers '%s' and '%s' overlap while both live", first->name, second->name);
      alive[kept++] = alive[j];
    }
    alive[kept++] = placed[i];
    n_alive = kept;
  }
}

static void check_plan(Verifier *v) {
  const Program *p = v->program;
  Placed *placed = ARENA_ARRAY(v->arena, Placed, p->buffers.len + 1);
  size_t n = 0;
  if (!is_power_of_two(p->arena_align))
    fail(v, (Loc){0}, "the alignment of the arena is %d", p->arena_align);
  for (size_t i = 0; i < p->buffers.len; i++) {
    const Buffer *b = p->buffers.at[i];
    if (b->kind != BUFFER_ARENA)
      continue;
    if (p->arena_bytes < 0 || b->offset < 0) {
      if (p->arena_bytes >= 0)
        fail(v, b->loc, "buffer '%s' has no offset in the arena", b->name);
      else if (b->offset >= 0)
        fail(v, b->loc, "buffer '%s' has an offset, but the arena has no size", b->name);
      continue;
    }
    if (b->align > 0 && b->offset % b->align != 0)
      fail(v, b->loc, "buffer '%s' at offset %" PRId64 " is not aligned to %d", b->name, b->offset,
           b->align);
    if (b->align > p->arena_align)
      fail(v, b->loc, "buffer '%s' is aligned to %d, the arena only to %d", b->name, b->align,
           p->arena_align);
    if (buffer_bytes(b) > p->arena_bytes || b->offset > p->arena_bytes - buffer_bytes(b))
      fail(v, b->loc, "buffer '%s' at offset %" PRId64 " leaves the arena of %" PRId64 " bytes",
           b->name, b->offset, p->arena_bytes);
    placed[n++] = (Placed){b, i};
  }
  check_overlaps(v, placed, n);
}

/* ---- the program ---- */

static void check_kernel(Verifier *v, const Kernel *kernel) {
  v->kernel = kernel;
  v->names = (PtrMap){.arena = v->arena};
  v->sights = (PtrMap){.arena = v->arena};
  for (size_t i = 0; i < kernel->buffers.len; i++) {
    check_buffer(v, kernel->buffers.at[i], &v->names);
    if (kernel->buffers.at[i]->kind != BUFFER_PARAM)
      fail(v, kernel->loc, "'%s' of '%s' is not a parameter", kernel->buffers.at[i]->name,
           kernel->name);
  }
  for (size_t i = 0; i < kernel->ints.len; i++) {
    const Var *var = kernel->ints.at[i];
    check_name(v, &v->names, kernel->loc, var->name);
    set_sight(v, var, SIGHT_VISIBLE);
    if (!var->is_param || var->lo >= var->hi)
      fail(v, kernel->loc, "the range of parameter '%s' is empty", var->name);
  }
  check_block(v, &kernel->body);
}

bool loop_verify(const Program *program, LoopReport *report, void *user) {
  Verifier v = {.program = program, .report = report, .user = user, .ok = true};
  v.arena = arena_new();
  v.workings = arena_new();
  PtrMap kernel_names = {.arena = v.arena};
  for (size_t i = 0; i < program->kernels.len; i++) {
    check_name(&v, &kernel_names, program->kernels.at[i]->loc, program->kernels.at[i]->name);
    check_kernel(&v, program->kernels.at[i]);
  }

  v.kernel = NULL;
  v.names = (PtrMap){.arena = v.arena};
  v.sights = (PtrMap){.arena = v.arena};
  int positions[BUFFER_PARAM + 1] = {0};
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *b = program->buffers.at[i];
    check_buffer(&v, b, &v.names);
    check_contents(&v, b);
    if ((b->kind == BUFFER_INPUT || b->kind == BUFFER_OUTPUT) &&
        b->position != positions[b->kind]++)
      fail(&v, b->loc, "'%s' is out of order among the inputs or outputs", b->name);
  }
  for (size_t i = 0; i < program->kernels.len; i++)
    set_sight(&v, program->kernels.at[i], SIGHT_VISIBLE);
  check_plan(&v);
  if (program->threads < 1 || program->threads > LOOP_MAX_THREADS)
    fail(&v, (Loc){0}, "a program is for 1 to %d threads, not %d", LOOP_MAX_THREADS, program->threads);
  for (size_t i = 0; i < program->entry.stmts.len; i++) {
    Block one = {0};
    Stmt *stmt = program->entry.stmts.at[i];
    one.stmts.at = &stmt;
    one.stmts.len = 1;
    v.top = (int)i;
    v.at_top = true;
    check_block(&v, &one);
  }
  arena_free(v.workings);
  arena_free(v.arena);
  return v.ok;
}
