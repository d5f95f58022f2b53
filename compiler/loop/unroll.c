/* Unroll and jam: replaces every `unroll` loop of constant trip count by its
 * iterations, innermost loops first.
 *
 * Jamming goes statement by statement: the first statement for all iterations,
 * then the second, so that a tile's sums become independent registers. A loop
 * inside, whose bounds do not depend on the iteration, stays one loop whose
 * body is jammed; a let that does not depend on it is kept once.
 *
 * That order is legal if iterations touch different memory and pass no
 * register on. Where this is not certain, or a bound or condition depends on
 * the iteration, the iterations follow one another unchanged.
 *
 * Loops that would make too much code keep their mode and run serially. */
#include "loop/loop.h"

#include "loop/internal.h"

enum { MAX_TRIPS = 256, MAX_STMTS = 1 << 16 };

typedef struct Unroller {
  Arena *arena;   /* of the program */
  Arena *scratch; /* of the pass */
  PtrMap names;   /* of the kernel */
  size_t size;    /* statements of the kernel so far */
} Unroller;

/* ---- jamming ---- */

/* One loop being replaced: a Rewrite per iteration, all with the same definitions. */
typedef struct Jam {
  Arena *arena; /* of the program */
  const Var *var;
  Rewrite *copies;
  int n;
} Jam;

static bool uses_replicated(const Jam *j, const Expr *e) {
  if (e->op == OP_VALUE)
    return ptr_map_get(&j->copies[0].map, e->value) != NULL;
  for (int i = 0; i < loop_op_arity(e->op); i++)
    if (uses_replicated(j, e->args[i]))
      return true;
  return false;
}

static void jam_block(Jam *j, const Block *block, Block *out);

static void replicate(Jam *j, const Stmt *s, Block *out) {
  for (int i = 0; i < j->n; i++)
    block_push(j->arena, out, rewrite_stmt(&j->copies[i], s));
}

static void jam_stmt(Jam *j, Stmt *s, Block *out) {
  Block body = {0}, otherwise = {0};
  bool once = false;
  switch (s->kind) {
  case STMT_FOR:
  case STMT_IF:
    jam_block(j, &s->body, &body);
    jam_block(j, &s->otherwise, &otherwise);
    s->body = body;
    s->otherwise = otherwise;
    once = true;
    break;
  case STMT_LET:
    once = !expr_uses_var(s->expr, j->var) && !uses_replicated(j, s->expr);
    break;
  case STMT_PREFETCH:
    once = true;
    for (int i = 0; i < stmt_rank(s); i++)
      once = once && !affine_uses(s->index[i], j->var);
    break;
  case STMT_VAR:
  case STMT_SET:
  case STMT_STORE:
  case STMT_CALL:
  case STMT_PARALLEL:
  case STMT_BRANCH:
    break;
  }
  if (once)
    block_push(j->arena, out, s);
  else
    replicate(j, s, out);
}

static void jam_block(Jam *j, const Block *block, Block *out) {
  for (size_t i = 0; i < block->stmts.len; i++)
    jam_stmt(j, block->stmts.at[i], out);
}

/* ---- when jamming would not do ---- */

static bool shape_depends(const Block *block, const Var *var) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_CALL || (s->kind == STMT_FOR && loop_bounds_use(s, var)) ||
        (s->kind == STMT_IF && conditions_use(s, var)))
      return true;
    if (shape_depends(&s->body, var) || shape_depends(&s->otherwise, var))
      return true;
  }
  return false;
}

static bool may_jam(Unroller *u, const Stmt *loop) {
  return !shape_depends(&loop->body, loop->var) && !sets_outer_value(u->scratch, &loop->body) &&
         iterations_independent(loop);
}

/* ---- the pass ---- */

static bool expand(Unroller *u, const Stmt *loop, Block *out) {
  const Affine *start;
  int64_t trips;
  if (loop->mode != LOOP_UNROLL || !loop_trip_count(u->arena, loop, &start, &trips) ||
      trips > MAX_TRIPS)
    return false;
  size_t more = block_size(&loop->body) * (size_t)trips;
  if (u->size + more > MAX_STMTS)
    return false;
  u->size += more;

  Jam jam = {.arena = u->arena, .var = loop->var, .n = (int)trips};
  jam.copies = ARENA_ARRAY(u->scratch, Rewrite, trips);
  for (int i = 0; i < jam.n; i++) {
    Rewrite *r = &jam.copies[i];
    *r = (Rewrite){.arena = u->arena, .map = {.arena = u->scratch}, .names = &u->names};
    r->suffix = trips > 1 ? arena_printf(u->arena, "_%d", i) : NULL;
    const Affine *value = affine_add_const(u->arena, start, i * loop->step);
    ptr_map_put(&r->map, loop->var, (void *)(uintptr_t)value);
  }
  if (jam.n > 0 && may_jam(u, loop)) {
    jam_block(&jam, &loop->body, out);
  } else {
    for (int i = 0; i < jam.n; i++)
      rewrite_block(&jam.copies[i], &loop->body, out);
  }
  return true;
}

static void unroll_block(Unroller *u, Block *block) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *s = block->stmts.at[i];
    unroll_block(u, &s->body);
    unroll_block(u, &s->otherwise);
    if (s->kind != STMT_FOR || !expand(u, s, &out))
      block_push(u->arena, &out, s);
  }
  *block = out;
}

/* The statements of a kernel are changed in place. The entry is left alone
 * once it is planned: the plan counts its statements. */
void loop_unroll(Program *program) {
  for (size_t i = 0; i <= program->kernels.len; i++) {
    Unroller u = {.arena = program->arena, .scratch = arena_new()};
    u.names.arena = u.scratch;
    if (i < program->kernels.len) {
      Kernel *kernel = program->kernels.at[i];
      collect_names(u.scratch, kernel, &u.names);
      u.size = block_size(&kernel->body);
      unroll_block(&u, &kernel->body);
    } else if (program->arena_bytes < 0) {
      Kernel entry = {.body = program->entry};
      collect_names(u.scratch, &entry, &u.names);
      u.size = block_size(&program->entry);
      unroll_block(&u, &program->entry);
    }
    arena_free(u.scratch);
  }
}
