/* Pass: fetches weights ahead of the kernels that read them.
 *
 * Weights are read once for each inference and are more than the caches hold, so they come from memory, which
 * delivers a line in the time of some hundred multiply-adds. A convolution with many pixels has that time to spare; a
 * layer with few pixels has not, and waits. So one cursor runs through all weights in the order of execution, ahead of
 * the reading: each kernel moves it on by its share while it computes, spread evenly over its iterations.
 *
 * How far ahead (the lead, in bytes behind the end of a layer's own weights, when the layer ends) is found from the back:
 * what the following layers need beyond what they have time to fetch themselves, at least the first block of the next
 * one, at most what the cache holds a few times over: what falls out of it is still nearer than memory, but what has not
 * been used yet does not stay there for long.
 *
 * Inputs of the network come from memory too: a kernel fetches the rows that its next row adds. */
#include "loop/prefetch.h"

#include <string.h>

#include "loop/internal.h"

enum {
  LINE = 64,              /* bytes that are fetched at a time */
  STREAM_LEAD = 16 << 10, /* bytes ahead where every line is read once */
  SMALL_WEIGHTS = 64 << 10, /* a layer with fewer bytes does not carry */
  OVERLAP = 8,  /* how often a line may be fetched again so that the fetching is spread */
  FEW_USES = 8, /* of a weight: its layer waits for memory */
  LEAD_CACHES = 4,  /* the greatest lead, in caches */
  MAX_DEPTH = 16
};

/* The way from a kernel's body to the innermost loop in which most of its arithmetic is done. */
typedef struct Nest {
  Stmt *loops[MAX_DEPTH];
  int64_t trips[MAX_DEPTH];
  int depth;
} Nest;

/* The weights of one layer and what is computed with them. */
typedef struct Item {
  const Buffer *weights;
  int64_t begin, end;  /* bytes, in the order of execution */
  int64_t macs;        /* with these weights, in all calls */
  int64_t main_macs;   /* by the kernel that does most */
  Kernel *main;
  const Buffer *param; /* its parameter for the weights */
  const Buffer *input; /* its parameter for an input of the network; or null */
  int64_t calls;       /* of main */
  int64_t row_step;    /* the distance of its integer argument from call to call; 0: it has none or is called once */
  int64_t first_row;
  Nest nest;           /* of main */
  bool carries;        /* main fetches */
  int64_t block;       /* bytes of its weights that are read again and again before the next ones */
  int64_t lead;        /* bytes behind `end` that have been fetched when it ends */
} Item;

typedef VEC(Item) Items;

typedef struct Prefetcher {
  Program *program;
  const Memory *memory;
  Arena *scratch;
  Items items;
  PtrMap place; /* of weights: byte offset + 1 */
  PtrMap item;  /* of weights: number of the item + 1 */
} Prefetcher;

/* ---- how much is computed ---- */

static int64_t expr_macs(const Expr *e) {
  int64_t n = e->op == OP_FMA || (e->op == OP_MUL && e->type.elem == ELEM_F32) ? e->type.lanes : 0;
  for (int i = 0; i < loop_op_arity(e->op); i++)
    n += expr_macs(e->args[i]);
  return n;
}

/* Runs of the loop; 1 where that is not constant. */
static int64_t trips_of(Arena *scratch, const Stmt *loop) {
  const Affine *start;
  int64_t trips;
  return loop_trip_count(scratch, loop, &start, &trips) ? trips : 1;
}

static int64_t block_macs(Arena *scratch, const Block *block) {
  int64_t n = 0;
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    int64_t inside = (s->expr ? expr_macs(s->expr) : 0) + block_macs(scratch, &s->body) + block_macs(scratch, &s->otherwise);
    n += s->kind == STMT_FOR ? inside * trips_of(scratch, s) : inside;
  }
  return n;
}

typedef VEC(const Expr *) Loads;

/* Adds the places that are loaded, each once. */
static void collect_loads(Arena *scratch, const Expr *e, Loads *loads) {
  bool known = e->op != OP_LOAD;
  for (size_t i = 0; i < loads->len && !known; i++)
    known = same_load(loads->at[i], e);
  if (!known)
    VEC_PUSH(scratch, *loads, e);
  for (int i = 0; i < loop_op_arity(e->op); i++)
    collect_loads(scratch, e->args[i], loads);
}

static int64_t count_products(const Expr *e) {
  int64_t n = e->op == OP_FMA || e->op == OP_MUL;
  for (int i = 0; i < loop_op_arity(e->op); i++)
    n += count_products(e->args[i]);
  return n;
}

static bool has_prefetch(const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_PREFETCH || has_prefetch(&s->body) || has_prefetch(&s->otherwise))
      return true;
  }
  return false;
}

/* Follows the loop with the most arithmetic, level by level, as long as its bounds are constant. */
static void find_nest(Arena *scratch, Block *block, Nest *nest) {
  for (nest->depth = 0; nest->depth < MAX_DEPTH; nest->depth++) {
    Stmt *best = NULL;
    int64_t most = 0;
    for (size_t i = 0; i < block->stmts.len; i++) {
      Stmt *s = block->stmts.at[i];
      int64_t macs = s->kind == STMT_FOR ? block_macs(scratch, &s->body) * trips_of(scratch, s) : 0;
      if (macs > most) {
        most = macs;
        best = s;
      }
    }
    const Affine *start;
    if (!best || best->n_lower != 1 || !affine_is_const(best->lower[0], NULL) ||
        !loop_trip_count(scratch, best, &start, &nest->trips[nest->depth]))
      return;
    nest->loops[nest->depth] = best;
    block = &best->body;
  }
}

/* ---- the layers ---- */

static void place_weights(Prefetcher *p) {
  int64_t at = 0;
  for (size_t i = 0; i < p->program->buffers.len; i++) {
    const Buffer *b = p->program->buffers.at[i];
    if (b->kind != BUFFER_WEIGHT)
      continue;
    int64_t align = b->align > LINE ? b->align : LINE;
    at = (at + align - 1) / align * align;
    ptr_map_put(&p->place, b, (void *)(uintptr_t)(at + 1));
    at += buffer_bytes(b);
  }
}

/* The weights that a call passes, the largest if there are several, and their number among the arguments; null if it passes
 * none. */
static const Buffer *main_weights(const Stmt *call, size_t *at) {
  const Buffer *best = NULL;
  for (size_t i = 0; i < call->callee->buffers.len; i++)
    if (call->buffers[i]->kind == BUFFER_WEIGHT && (!best || buffer_bytes(call->buffers[i]) > buffer_bytes(best))) {
      best = call->buffers[i];
      *at = i;
    }
  return best;
}

/* The callee's parameter for the first input of the network among the arguments; or null. */
static const Buffer *input_param(const Stmt *call) {
  for (size_t i = 0; i < call->callee->buffers.len; i++)
    if (call->buffers[i]->kind == BUFFER_INPUT)
      return call->callee->buffers.at[i];
  return NULL;
}

/* `times` runs of the call, whose integer argument moves with `step`. */
static void add_call(Prefetcher *p, const Stmt *call, int64_t times, const Var *step) {
  size_t at = 0;
  const Buffer *weights = main_weights(call, &at);
  if (!weights)
    return;
  uintptr_t known = (uintptr_t)ptr_map_get(&p->item, weights);
  if (!known) {
    int64_t begin = (int64_t)(uintptr_t)ptr_map_get(&p->place, weights) - 1;
    Item new = {.weights = weights, .begin = begin, .end = begin + buffer_bytes(weights)};
    VEC_PUSH(p->scratch, p->items, new);
    known = p->items.len;
    ptr_map_put(&p->item, weights, (void *)known);
  }
  Item *item = &p->items.at[known - 1];
  int64_t macs = block_macs(p->scratch, &call->callee->body) * times;
  item->macs += macs;
  if (item->main && macs <= item->main_macs) /* one that only adds its weights has none */
    return;
  item->main = call->callee;
  item->main_macs = macs;
  item->param = call->callee->buffers.at[at];
  item->input = input_param(call);
  item->calls = times;
  item->row_step = 0;
  if (times > 1 && call->callee->ints.len == 1) {
    int64_t coef;
    item->first_row = call->ints[0]->constant;
    if (step && affine_coef(call->ints[0], step, &coef) && coef > 0)
      item->row_step = coef;
  }
}

static void find_items(Prefetcher *p, const Block *block, int64_t times, const Var *step) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->kind == STMT_CALL) {
      add_call(p, s, times, step);
      continue;
    }
    bool loop = s->kind == STMT_FOR;
    find_items(p, &s->body, loop ? times * trips_of(p->scratch, s) : times, loop ? s->var : step);
    find_items(p, &s->otherwise, times, step);
  }
}

static bool loads_move(const Expr *e, const Buffer *buffer, const Var *var) {
  if (e->op == OP_LOAD && e->buffer == buffer)
    for (int i = 0; i < buffer->rank; i++)
      if (affine_uses(e->index[i], var))
        return true;
  for (int i = 0; i < loop_op_arity(e->op); i++)
    if (loads_move(e->args[i], buffer, var))
      return true;
  return false;
}

/* The loop's variable decides what is read of the buffer. */
static bool block_moves(const Block *block, const Buffer *buffer, const Var *var) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if ((s->expr && loads_move(s->expr, buffer, var)) || block_moves(&s->body, buffer, var) ||
        block_moves(&s->otherwise, buffer, var))
      return true;
  }
  return false;
}

/* The kernel waits for memory anyway: it uses each weight a few times only, reads them one after the other, and what it would
 * fetch besides would only slow that down. */
static bool streams(const Item *item) { return item->macs < FEW_USES * buffer_elems(item->weights); }

/* The innermost loop has slots to spare for fetching: more products than loads. */
static bool has_room(Arena *scratch, const Item *item) {
  const Block *inner = &item->nest.loops[item->nest.depth - 1]->body;
  int64_t products = 0;
  Loads loads = {0};
  for (size_t i = 0; i < inner->stmts.len; i++)
    if (inner->stmts.at[i]->expr) {
      collect_loads(scratch, inner->stmts.at[i]->expr, &loads);
      products += count_products(inner->stmts.at[i]->expr);
    }
  return products > (int64_t)loads.len;
}

static void survey(Prefetcher *p, Item *item) {
  find_nest(p->scratch, &item->main->body, &item->nest);
  bool small = item->end - item->begin < SMALL_WEIGHTS, stepped = item->calls > 1 && item->row_step == 0;
  if (item->nest.depth == 0 || has_prefetch(&item->main->body) || !has_room(p->scratch, item))
    item->input = NULL;
  item->carries = item->nest.depth > 0 && !small && !stepped && !has_prefetch(&item->main->body) && !streams(item) &&
                  has_room(p->scratch, item);
  int64_t bytes = item->end - item->begin;
  item->block = bytes;
  bool again = item->calls > 1;
  for (int d = item->nest.depth; d-- > 0;) {
    bool moves = block_moves(&item->nest.loops[d]->body, item->param, item->nest.loops[d]->var);
    again |= !moves && item->nest.trips[d] > 1;
  }
  if (!again)
    item->block = STREAM_LEAD < bytes ? STREAM_LEAD : bytes;
  else if (item->nest.depth > 0 && item->calls == 1 &&
           block_moves(&item->nest.loops[0]->body, item->param, item->nest.loops[0]->var))
    item->block = bytes / item->nest.trips[0];
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Bytes that memory delivers while the layer computes. */
static int64_t budget(const Prefetcher *p, const Item *item) {
  return item->carries ? item->macs / p->memory->macs_per_line * LINE : 0;
}

static void choose_leads(Prefetcher *p) {
  int64_t cap = LEAD_CACHES * p->memory->cache_bytes;
  for (size_t i = p->items.len; i-- > 1;) {
    const Item *next = &p->items.at[i];
    Item *item = &p->items.at[i - 1];
    int64_t bytes = next->end - item->end; /* what lies between is small and read as well */
    int64_t needed = bytes + next->lead - budget(p, next);
    item->lead = greatest(least(greatest(needed, next->block + bytes - (next->end - next->begin)), cap), 0);
  }
}

/* ---- inputs of the network ---- */

/* Kernels that read an input while they compute: each row is fetched while the row above it is worked on. */

/* How a kernel walks over a buffer [H][W]...: the innermost loop along the columns, the elements that one iteration moves on,
 * the rows that the next run of the walk reads for the first time. */
typedef struct Walk {
  Stmt *loop;
  const Affine *row, *column; /* the first new row; the leftmost column of the iteration */
  int64_t rows, elems;
} Walk;

/* The index with the variables of the loops of the nest from `first` on at one end. */
static const Affine *index_at_end(Arena *arena, const Affine *index, const Nest *nest, int first, bool last) {
  for (int d = first; d < nest->depth; d++) {
    const Stmt *loop = nest->loops[d];
    const Affine *end = affine_add_const(arena, loop->lower[0], last ? (nest->trips[d] - 1) * loop->step : 0);
    index = affine_subst(arena, index, loop->var, end);
  }
  return index;
}

/* The rows by which the walk moves on: those of the loop around it, or of the next call. */
static int64_t rows_of_step(const Kernel *kernel, const Nest *nest, int depth, const Affine *row) {
  int64_t coef;
  for (int d = depth; d-- > 0;)
    if (affine_uses(row, nest->loops[d]->var))
      return affine_coef(row, nest->loops[d]->var, &coef) ? coef * nest->loops[d]->step : 0;
  return kernel->ints.len == 1 && affine_coef(row, kernel->ints.at[0], &coef) ? coef : 0;
}

/* Elements by which iterations of loop d move along the columns. */
static int64_t columns_of_step(const Loads *loads, const Buffer *buffer, const Stmt *loop) {
  int64_t coef, most = 0;
  for (size_t i = 0; i < loads->len; i++)
    if (loads->at[i]->buffer == buffer && affine_coef(loads->at[i]->index[1], loop->var, &coef))
      most = greatest(most, coef * loop->step);
  for (int d = 2; d < buffer->rank; d++)
    most *= buffer->dims[d];
  return most;
}

static void collect_block_loads(Arena *scratch, const Block *block, Loads *loads) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *s = block->stmts.at[i];
    if (s->expr)
      collect_loads(scratch, s->expr, loads);
    collect_block_loads(scratch, &s->body, loads);
    collect_block_loads(scratch, &s->otherwise, loads);
  }
}

/* False where the walk is none of those that are understood. */
static bool find_walk(Arena *arena, const Kernel *kernel, const Buffer *buffer, const Nest *nest, Walk *walk) {
  *walk = (Walk){0};
  if (buffer->rank < 2)
    return false;
  Loads loads = {0};
  collect_block_loads(arena, &nest->loops[nest->depth - 1]->body, &loads);
  int depth = 0;
  for (int d = 0; d < nest->depth; d++) {
    int64_t elems = columns_of_step(&loads, buffer, nest->loops[d]);
    if (elems > walk->elems) {
      walk->elems = elems;
      walk->loop = nest->loops[d];
      depth = d;
    }
  }
  for (size_t i = 0; i < loads.len && walk->loop; i++) {
    const Expr *load = loads.at[i];
    if (load->buffer != buffer)
      continue;
    const Affine *row = index_at_end(arena, load->index[0], nest, depth + 1, true);
    const Affine *column = index_at_end(arena, load->index[1], nest, depth + 1, false);
    int64_t further;
    if (!walk->row || (affine_is_const(affine_sub(arena, row, walk->row), &further) && further > 0))
      walk->row = row;
    if (!walk->column || (affine_is_const(affine_sub(arena, column, walk->column), &further) && further < 0))
      walk->column = column;
  }
  if (!walk->row)
    return false;
  walk->rows = rows_of_step(kernel, nest, depth, walk->row);
  walk->row = affine_add_const(arena, walk->row, 1);
  return walk->rows > 0 && walk->elems * elem_bytes(buffer->elem) >= LINE;
}

static Stmt *fetch_new(Arena *arena, const Stmt *around, const Buffer *buffer) {
  Stmt *fetch = loop_stmt_new(arena, STMT_PREFETCH);
  fetch->loc = around->loc;
  fetch->buffer = (Buffer *)(uintptr_t)buffer;
  for (int d = 0; d < buffer->rank; d++)
    fetch->index[d] = affine_const(arena, 0);
  return fetch;
}

static void prepend(Arena *arena, Stmt *around, Block *body) {
  for (size_t i = 0; i < around->body.stmts.len; i++)
    block_push(arena, body, around->body.stmts.at[i]);
  around->body = *body;
}

static void fetch_input(Prefetcher *p, const Item *item) {
  Arena *arena = p->program->arena;
  const Buffer *buffer = item->input;
  Walk walk;
  if (!find_walk(arena, item->main, buffer, &item->nest, &walk))
    return;
  int64_t elem = elem_bytes(buffer->elem), lines = (walk.elems * elem + LINE - 1) / LINE;
  Block body = {0};
  for (int64_t r = 0; r < walk.rows; r++)
    for (int64_t i = 0; i < lines; i++) {
      Stmt *fetch = fetch_new(arena, walk.loop, buffer);
      fetch->index[0] = affine_add_const(arena, walk.row, r);
      fetch->index[1] = walk.column;
      fetch->index[buffer->rank - 1] = affine_add_const(arena, fetch->index[buffer->rank - 1], i * LINE / elem);
      block_push(arena, &body, fetch);
    }
  prepend(arena, walk.loop, &body);
}

/* ---- the code ---- */

/* Fetches `lines` lines from `from` bytes behind the start of the weights, spread over the iterations. */
static void insert(Prefetcher *p, Item *item, int64_t from, int64_t lines) {
  Arena *arena = p->program->arena;
  Nest *nest = &item->nest;
  int64_t times = item->calls;
  int depth = 0; /* loops around the place: as many as leave every iteration a line */
  while (depth < nest->depth && times * nest->trips[depth] <= lines * OVERLAP)
    times *= nest->trips[depth++];
  if (depth == 0)
    return;
  int64_t each = (lines + times - 1) / times, elem = elem_bytes(item->param->elem);
  const Affine *at = affine_const(arena, from / elem);
  double share = (double)(lines * LINE / elem) / (double)item->calls; /* elements to pass in one run of the loop at d */
  if (item->row_step) {
    const Affine *row = affine_add_const(arena, affine_var(arena, item->main->ints.at[0]), -item->first_row);
    at = affine_add(arena, at, affine_scale(arena, row, (int64_t)share / item->row_step));
  }
  for (int d = 0; d < depth; d++) {
    const Stmt *loop = nest->loops[d];
    int64_t first = 0;
    affine_is_const(loop->lower[0], &first);
    share /= (double)nest->trips[d];
    const Affine *run = affine_add_const(arena, affine_var(arena, loop->var), -first);
    at = affine_add(arena, at, affine_scale(arena, run, (int64_t)share / loop->step));
  }
  Block body = {0};
  Stmt *around = nest->loops[depth - 1];
  for (int64_t i = 0; i < each; i++) {
    Stmt *fetch = fetch_new(arena, around, item->param);
    fetch->index[item->param->rank - 1] = affine_add_const(arena, at, i * LINE / elem);
    block_push(arena, &body, fetch);
  }
  prepend(arena, around, &body);
}

static void insert_all(Prefetcher *p) {
  int64_t cursor = 0;
  for (size_t i = 0; i < p->items.len; i++) {
    Item *item = &p->items.at[i];
    cursor = greatest(cursor, item->begin);
    int64_t bytes = item->end - item->begin, most = greatest(budget(p, item), bytes / 2);
    int64_t until = least(item->end + item->lead, cursor + most);
    if (!item->carries || until - cursor < LINE)
      continue;
    if (!has_prefetch(&item->main->body)) /* a kernel that an earlier layer shares fetches as that one needs */
      insert(p, item, cursor - item->begin, (until - cursor + LINE - 1) / LINE);
    cursor = until;
  }
}

void loop_prefetch(Program *program, const Memory *memory) {
  if (memory->cache_bytes == 0 || memory->macs_per_line == 0)
    return;
  Arena *scratch = arena_new();
  Prefetcher p = {.program = program, .memory = memory, .scratch = scratch};
  p.place.arena = p.item.arena = scratch;
  place_weights(&p);
  find_items(&p, &program->entry, 1, NULL);
  for (size_t i = 0; i < p.items.len; i++)
    survey(&p, &p.items.at[i]);
  choose_leads(&p);
  insert_all(&p);
  for (size_t i = 0; i < p.items.len; i++)
    if (p.items.at[i].input)
      fetch_input(&p, &p.items.at[i]);
  arena_free(scratch);
}
