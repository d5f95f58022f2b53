/* May the branches of a parallel statement run at the same time?
 *
 * For every buffer that one branch writes and another touches, the elements that
 * each branch reads and writes are bounded by a box: the hull of the indices of
 * all accesses, in the shape that the kernel's parameter gives the buffer. A
 * kernel's integer parameters range over what the call passes, the loops around
 * the call included. Boxes of one shape are apart if they are apart in some
 * dimension; boxes of different shapes are compared as intervals of elements. */
#include <inttypes.h>
#include <string.h>

#include "loop/internal.h"
#include "loop/loop.h"

/* Elements lo..hi, bounds included, of each dimension. */
typedef struct Box {
  bool any;
  int rank;
  int64_t dims[LOOP_MAX_RANK], lo[LOOP_MAX_RANK], hi[LOOP_MAX_RANK];
} Box;

typedef struct Extent {
  Box read, written;
} Extent;

typedef struct Walk {
  Arena *scratch;
  Scope scope;         /* of the entry: the loops around a call; of a kernel: the loops around an access */
  const Buffer *buffer; /* in the entry: the one asked for; in a kernel: the parameter it is bound to */
  Extent *extent;
} Walk;

/* ---- boxes ---- */

static Box whole_box(const Buffer *buffer) {
  Box box = {.any = true, .rank = buffer->rank};
  for (int d = 0; d < buffer->rank; d++) {
    box.dims[d] = buffer->dims[d];
    box.hi[d] = buffer->dims[d] - 1;
  }
  return box;
}

static bool same_shape(const Box *a, const Box *b) {
  return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

/* The elements from the first to the last of the box as one dimension. */
static Box flat_box(const Box *box) {
  Box flat = {.any = box->any, .rank = 1};
  int64_t stride = 1;
  for (int d = box->rank - 1; d >= 0; d--) {
    flat.lo[0] += box->lo[d] * stride;
    flat.hi[0] += box->hi[d] * stride;
    stride *= box->dims[d];
  }
  flat.dims[0] = stride;
  return flat;
}

static void box_add(Box *box, Box more) {
  if (!more.any)
    return;
  if (!box->any) {
    *box = more;
    return;
  }
  if (!same_shape(box, &more)) {
    *box = flat_box(box);
    more = flat_box(&more);
  }
  for (int d = 0; d < box->rank; d++) {
    box->lo[d] = more.lo[d] < box->lo[d] ? more.lo[d] : box->lo[d];
    box->hi[d] = more.hi[d] > box->hi[d] ? more.hi[d] : box->hi[d];
  }
}

static bool boxes_apart(const Box *a, const Box *b) {
  if (!a->any || !b->any)
    return true;
  if (!same_shape(a, b)) {
    Box x = flat_box(a), y = flat_box(b);
    return x.hi[0] < y.lo[0] || y.hi[0] < x.lo[0];
  }
  for (int d = 0; d < a->rank; d++)
    if (a->hi[d] < b->lo[d] || b->hi[d] < a->lo[d])
      return true;
  return false;
}

/* ---- what a kernel touches of a parameter ---- */

static void add_access(Walk *w, const Affine *const *index, int lanes, Box *into) {
  Box box = whole_box(w->buffer);
  for (int d = 0; index && d < box.rank; d++) {
    int64_t lo, hi;
    if (!affine_range(w->scratch, index[d], &w->scope, &lo, &hi))
      continue;
    if (lo > hi)
      return; /* never reached */
    hi += d + 1 == box.rank ? lanes - 1 : 0;
    box.lo[d] = lo > 0 ? lo : 0;
    box.hi[d] = hi < box.hi[d] ? hi : box.hi[d];
  }
  box_add(into, box);
}

static void walk_expr(Walk *w, const Expr *e) {
  if (e->op == OP_LOAD && e->buffer == w->buffer)
    add_access(w, e->index, e->type.lanes, &w->extent->read);
  if (e->op == OP_TABLE && e->buffer == w->buffer)
    add_access(w, NULL, 1, &w->extent->read);
  for (int i = 0; i < loop_op_arity(e->op); i++)
    walk_expr(w, e->args[i]);
}

static void walk_kernel(Walk *w, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->expr)
      walk_expr(w, s->expr);
    if (s->kind == STMT_STORE && s->buffer == w->buffer)
      add_access(w, s->index, s->expr->type.lanes, &w->extent->written);
    bool around = s->kind == STMT_FOR || s->kind == STMT_IF;
    if (around)
      VEC_PUSH(w->scratch, w->scope.enclosing, s);
    walk_kernel(w, &s->body);
    if (around)
      w->scope.enclosing.len--;
    walk_kernel(w, &s->otherwise);
  }
}

/* The call's integers as conditions on the kernel's parameters. */
static Stmt *argument_facts(Walk *w, const Stmt *call) {
  size_t n = call->callee->ints.len;
  Stmt *facts = loop_stmt_new(w->scratch, STMT_IF);
  facts->conditions = ARENA_ARRAY(w->scratch, const Affine *, 2 * n);
  for (size_t i = 0; i < n; i++) {
    const Affine *param = affine_var(w->scratch, call->callee->ints.at[i]);
    int64_t lo, hi;
    if (!affine_range(w->scratch, call->ints[i], &w->scope, &lo, &hi))
      continue;
    facts->conditions[facts->n_conditions++] = affine_add_const(w->scratch, param, -lo);
    facts->conditions[facts->n_conditions++] = affine_add_const(w->scratch, affine_scale(w->scratch, param, -1), hi);
  }
  return facts;
}

static void walk_call(Walk *w, const Stmt *call) {
  for (size_t i = 0; i < call->callee->buffers.len; i++) {
    if (call->buffers[i] != w->buffer)
      continue;
    Walk inside = {.scratch = w->scratch, .buffer = call->callee->buffers.at[i], .extent = w->extent};
    VEC_PUSH(w->scratch, inside.scope.enclosing, argument_facts(w, call));
    walk_kernel(&inside, &call->callee->body);
  }
}

static void walk_branch(Walk *w, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_CALL)
      walk_call(w, s);
    bool around = s->kind == STMT_FOR || s->kind == STMT_IF;
    if (around)
      VEC_PUSH(w->scratch, w->scope.enclosing, s);
    walk_branch(w, &s->body);
    if (around)
      w->scope.enclosing.len--;
    walk_branch(w, &s->otherwise);
  }
}

static Extent extent_in(Arena *scratch, const Stmt *branch, const Buffer *buffer) {
  Extent extent = {0};
  Walk walk = {.scratch = scratch, .buffer = buffer, .extent = &extent};
  walk_branch(&walk, &branch->body);
  return extent;
}

/* ---- which buffers to look at ---- */

typedef struct Shared {
  Buffer *buffer;
  int branches;   /* that touch it */
  int last;       /* the last of them */
  bool written;
} Shared;
typedef VEC(Shared) SharedList;

static void find_shared(Arena *scratch, const Block *block, int branch, SharedList *list) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    for (size_t k = 0; s->kind == STMT_CALL && k < s->callee->buffers.len; k++) {
      size_t at = 0;
      while (at < list->len && list->at[at].buffer != s->buffers[k])
        at++;
      if (at == list->len)
        VEC_PUSH(scratch, *list, ((Shared){.buffer = s->buffers[k], .last = -1}));
      Shared *shared = &list->at[at];
      shared->branches += shared->last != branch;
      shared->last = branch;
      shared->written = shared->written || (s->callee->buffers.at[k]->access & ACCESS_OUT);
    }
    find_shared(scratch, &s->body, branch, list);
    find_shared(scratch, &s->otherwise, branch, list);
  }
}

static const char *box_text(Arena *arena, const Box *box) {
  const char *text = "";
  for (int d = 0; d < box->rank; d++)
    text = arena_printf(arena, "%s[%" PRId64 "..%" PRId64 "]", text, box->lo[d], box->hi[d]);
  return text;
}

static const char *conflict(Arena *arena, const Buffer *buffer, const Extent *extents, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      const Box *written = &extents[i].written;
      const Box *others[2] = {&extents[k].written, &extents[k].read};
      for (int o = 0; i != k && o < 2; o++)
        if (!boxes_apart(written, others[o]))
          return arena_printf(arena, "branch %zu writes '%s'%s, of which branch %zu %s %s", i, buffer->name,
                              box_text(arena, written), k, o ? "reads" : "writes", box_text(arena, others[o]));
    }
  return NULL;
}

const char *branches_conflict(Arena *arena, const Stmt *parallel) {
  Arena *scratch = arena_new();
  SharedList list = {0};
  size_t n = parallel->body.stmts.len;
  for (size_t i = 0; i < n; i++)
    find_shared(scratch, &parallel->body.stmts.at[i]->body, (int)i, &list);
  Extent *extents = ARENA_ARRAY(scratch, Extent, n);
  const char *found = NULL;
  for (size_t b = 0; !found && b < list.len; b++) {
    if (!list.at[b].written || list.at[b].branches < 2)
      continue;
    for (size_t i = 0; i < n; i++)
      extents[i] = extent_in(scratch, parallel->body.stmts.at[i], list.at[b].buffer);
    found = conflict(arena, list.at[b].buffer, extents, n);
  }
  arena_free(scratch);
  return found;
}
