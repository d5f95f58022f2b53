/* Pass: a vector that several multiply-adds load becomes a value, which is loaded once.
 *
 * In a tile of pixels x channels each weight is a factor for every pixel, and unrolling has written its load out for
 * each. Compilers see that they are one; but where a multiply-add takes a factor from memory, gcc reads it again for
 * each of them, and loads are no faster than multiply-adds. The C printer keeps a value in its register.
 *
 * Only in a straight run of statements that store nothing, so that memory stays as it is; only what moves with the
 * innermost loop, since the rest compilers load before the loop, as much of it as they have registers for; and only if
 * the run's sums and the values that are alive at once fit into the registers. */
#include "loop/loop.h"

#include "loop/internal.h"

/* A load that is a factor somewhere in the run. */
typedef struct Factor Factor;
struct Factor {
  const Expr *load;
  size_t first, last; /* the statements that use it */
  int uses;
  Value *value; /* once it is defined */
  Factor *next; /* of the same hash */
};

/* Statements one behind the other, without control flow and stores. */
typedef struct Run {
  Stmt **at;
  size_t n;
  const Var *innermost; /* of the loop around; null: none */
  VEC(Factor *) factors;
  PtrMap by_hash;
} Run;

typedef struct Sharer {
  Arena *arena;   /* of the program */
  Arena *scratch; /* of the kernel */
  int registers;
  PtrMap names; /* of the kernel */
} Sharer;

/* ---- the loads of a run ---- */

static const void *hash_of(const Expr *load) {
  uintptr_t hash = (uintptr_t)load->buffer;
  for (int d = 0; d < load->buffer->rank; d++)
    hash = hash * 31 + ((uintptr_t)load->index[d]->constant << 4);
  return (const void *)(hash | 8);
}

static Factor *find(const Run *run, const Expr *load) {
  Factor *factor = ptr_map_get(&run->by_hash, hash_of(load));
  while (factor && !same_load(factor->load, load))
    factor = factor->next;
  return factor;
}

static Factor *add(Sharer *s, Run *run, const Expr *load, size_t first) {
  const void *hash = hash_of(load);
  Factor *factor = ARENA_NEW(s->scratch, Factor);
  *factor = (Factor){.load = load, .first = first, .next = ptr_map_get(&run->by_hash, hash)};
  ptr_map_put(&run->by_hash, hash, factor);
  VEC_PUSH(s->scratch, run->factors, factor);
  return factor;
}

/* Is operand i of e a vector that is loaded, moves with the loop and is multiplied? */
static bool is_factor(const Run *run, const Expr *e, int i) {
  const Expr *operand = e->args[i];
  return (e->op == OP_MUL || (e->op == OP_FMA && i < 2)) && operand->op == OP_LOAD && operand->type.elem == ELEM_F32 &&
         operand->type.lanes > 1 && expr_uses_var(operand, run->innermost);
}

static void collect(Sharer *s, Run *run, const Expr *e, size_t at) {
  for (int i = 0; i < loop_op_arity(e->op); i++) {
    collect(s, run, e->args[i], at);
    if (!is_factor(run, e, i))
      continue;
    Factor *factor = find(run, e->args[i]);
    if (!factor)
      factor = add(s, run, e->args[i], at);
    factor->last = at;
    factor->uses++;
  }
}

/* ---- do they fit into the registers? ---- */

static int count_sums(const Sharer *s, const Run *run) {
  PtrMap sums = {.arena = s->scratch};
  for (size_t i = 0; i < run->n; i++)
    if (run->at[i]->kind == STMT_SET)
      ptr_map_put(&sums, run->at[i]->value, run->at[i]);
  return (int)sums.len;
}

/* The most values that are alive at one statement, if all loads that are used more than once become values. */
static int count_alive(const Sharer *s, const Run *run) {
  int *change = ARENA_ARRAY(s->scratch, int, run->n + 1);
  for (size_t i = 0; i < run->factors.len; i++) {
    const Factor *factor = run->factors.at[i];
    change[factor->first] += factor->uses > 1;
    change[factor->last + 1] -= factor->uses > 1;
  }
  int alive = 0, most = 0;
  for (size_t i = 0; i < run->n; i++) {
    alive += change[i];
    most = alive > most ? alive : most;
  }
  return most;
}

/* ---- their values ---- */

static Value *define(Sharer *s, Expr *load, Block *out) {
  Rewrite fresh = {.arena = s->arena, .map = {.arena = s->scratch}, .suffix = "", .names = &s->names};
  Value like = {.name = load->buffer->name, .type = load->type};
  Stmt *let = loop_stmt_new(s->arena, STMT_LET);
  let->value = rewrite_value(&fresh, &like);
  let->expr = load;
  block_push(s->arena, out, let);
  return let->value;
}

/* The expression with values in place of loads that are used more than once, each of them defined before its first use. */
static Expr *share(Sharer *s, const Run *run, Expr *e, Block *out) {
  Expr copy = *e;
  bool changed = false;
  for (int i = 0; i < loop_op_arity(e->op); i++) {
    Factor *factor = is_factor(run, e, i) ? find(run, e->args[i]) : NULL;
    if (factor && factor->uses > 1) {
      if (!factor->value)
        factor->value = define(s, e->args[i], out);
      copy.args[i] = expr_value(s->arena, factor->value);
    } else {
      copy.args[i] = share(s, run, e->args[i], out);
    }
    changed |= copy.args[i] != e->args[i];
  }
  if (!changed)
    return e;
  Expr *result = ARENA_NEW(s->arena, Expr);
  *result = copy;
  return result;
}

/* ---- the pass ---- */

static void share_run(Sharer *s, Run *run, Block *out) {
  for (size_t i = 0; run->innermost && i < run->n; i++)
    if (run->at[i]->expr)
      collect(s, run, run->at[i]->expr, i);
  /* One register holds the factor that is not shared. */
  bool fits = run->factors.len > 0 && count_sums(s, run) + count_alive(s, run) + 1 <= s->registers;
  for (size_t i = 0; i < run->n; i++) {
    if (fits && run->at[i]->expr)
      run->at[i]->expr = share(s, run, run->at[i]->expr, out);
    block_push(s->arena, out, run->at[i]);
  }
}

static bool is_straight(const Stmt *stmt) {
  return stmt->kind == STMT_LET || stmt->kind == STMT_VAR || stmt->kind == STMT_SET || stmt->kind == STMT_PREFETCH;
}

static void share_block(Sharer *s, Block *block, const Var *innermost) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len;) {
    Run run = {.at = &block->stmts.at[i], .innermost = innermost, .by_hash = {.arena = s->scratch}};
    while (i + run.n < block->stmts.len && is_straight(run.at[run.n]))
      run.n++;
    share_run(s, &run, &out);
    i += run.n;
    if (i == block->stmts.len)
      break;
    Stmt *stmt = block->stmts.at[i++];
    share_block(s, &stmt->body, stmt->kind == STMT_FOR ? stmt->var : innermost);
    share_block(s, &stmt->otherwise, innermost);
    block_push(s->arena, &out, stmt);
  }
  *block = out;
}

void loop_share_loads(Program *program, int registers) {
  for (size_t i = 0; i < program->kernels.len; i++) {
    Kernel *kernel = program->kernels.at[i];
    Sharer s = {.arena = program->arena, .scratch = arena_new(), .registers = registers};
    s.names.arena = s.scratch;
    collect_names(s.scratch, kernel, &s.names);
    share_block(&s, &kernel->body, NULL);
    arena_free(s.scratch);
  }
}
