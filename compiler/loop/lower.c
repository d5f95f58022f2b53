/* regions → loops.
 *
 * Every stage becomes a kernel: the nest over rows, columns and channels of its
 * compute description, with the reduction inside. Stages of the same shape share
 * one kernel (their texts are equal). Every region becomes calls in the entry
 * (drivers.c).
 *
 * Taps outside the input are left out by the bounds of the reduction's loops
 * (max(0, 1 - y)..min(3, 113 - y)), or by a condition where no loop walks with
 * coefficient one. Rings are rows modulo the ring's height. */
#include "loop/lower.h"

#include <string.h>

#include "loop/internal.h"
#include "loop/lowering.h"

/* A kernel and the stages that call it, each once for every class of its steps. */
typedef struct Users {
  Kernel *kernel;
  VEC(const Stage *) stages;
} Users;

/* ---- names ---- */

/* `path` as a C identifier. */
static const char *identifier(Arena *arena, const char *path) {
  char *text = arena_strndup(arena, path, strlen(path));
  for (char *c = text; *c; c++)
    if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
          *c == '_'))
      *c = '_';
  return text[0] >= '0' && text[0] <= '9' ? arena_printf(arena, "_%s", text) : text;
}

const char *lower_unique_name(Lowering *l, const char *wanted) {
  const char *base = intern(l->arena, identifier(l->arena, wanted)), *name = base;
  uintptr_t number = (uintptr_t)ptr_map_get(&l->next_number, base);
  while (ptr_map_get(&l->names, name))
    name = intern(l->arena, arena_printf(l->arena, "%s_%d", base, (int)++number));
  ptr_map_put(&l->next_number, base, (void *)number);
  ptr_map_put(&l->names, name, (void *)(uintptr_t)name);
  return name;
}

/* ---- buffers ---- */

static Buffer *new_buffer(Lowering *l, const char *name, BufferKind kind, Elem elem, int rank,
                          const int64_t *dims) {
  Buffer *buffer = loop_buffer_new(l->arena, lower_unique_name(l, name), kind, elem, rank, dims);
  VEC_PUSH(l->arena, l->program->buffers, buffer);
  return buffer;
}

static Buffer *interface_buffer(Lowering *l, const char *name, BufferKind kind,
                                const GTensor *tensor, size_t position) {
  Buffer *buffer =
      new_buffer(l, name, kind, tensor->shape.elem, tensor->shape.rank, tensor->shape.dims);
  buffer->position = (int)position;
  return buffer;
}

/* What dimension order[i] is, where i is height, width, channels (inverse: what dimension i is, where order[i] is). */
static const char *dimension_names(Lowering *l, const int *order, bool inverse) {
  static const char *const names[3] = {"height", "width", "channels"};
  const char *at[3];
  for (int i = 0; i < 3; i++)
    at[inverse ? i : order[i]] = names[inverse ? order[i] : i];
  return arena_printf(l->arena, "[%s, %s, %s]", at[0], at[1], at[2]);
}

/* Says of inputs that are read permuted, as they are or by a copy, what their dimensions are. */
static void note_inputs(Lowering *l) {
  const Graph *graph = l->regions->graph;
  int order[SHAPE_MAX_RANK];
  for (size_t i = 0; i < graph->nodes.len; i++) {
    const Node *node = graph->nodes.at[i];
    for (int k = 0; k < node->call.n_inputs; k++) {
      const GTensor *tensor = node->inputs[k];
      bool copied = node->call.def->permutes && node->call.def->permutes(&node->call, order);
      if (!tensor->producer && tensor->shape.rank == 3 && (node->permuted[k] || copied))
        l->buffers[tensor->id]->note = dimension_names(l, copied ? order : node->permuted[k], false);
    }
  }
}

/* The same of an output that is made by permuting. */
static const char *output_note(Lowering *l, const GTensor *tensor) {
  const OpCall *call = &tensor->producer->call;
  int order[SHAPE_MAX_RANK];
  bool permuted = tensor->shape.rank == 3 && call->def->permutes && call->def->permutes(call, order);
  return permuted ? dimension_names(l, order, true) : NULL;
}

static void make_interface(Lowering *l) {
  const Graph *graph = l->regions->graph;
  for (size_t i = 0; i < graph->inputs.len; i++) {
    const GTensor *tensor = graph->inputs.at[i];
    l->buffers[tensor->id] = interface_buffer(l, tensor->name, BUFFER_INPUT, tensor, i);
  }
  for (size_t i = 0; i < graph->outputs.len; i++) {
    const GTensor *tensor = graph->outputs.at[i];
    l->buffers[tensor->id] = interface_buffer(l, graph->output_names.at[i], BUFFER_OUTPUT, tensor, i);
    l->buffers[tensor->id]->note = output_note(l, tensor);
  }
  note_inputs(l);
}

/* [H][W][C] as it is stored in blocks of so many channels; the rank. */
static int block_dims(int64_t block, int64_t *dims) {
  if (!block)
    return 3;
  int64_t blocks = (dims[2] + block - 1) / block;
  dims[3] = block;
  dims[2] = dims[1];
  dims[1] = dims[0];
  dims[0] = blocks;
  return 4;
}

void lower_stage_buffer(Lowering *l, const Stage *stage, int part) {
  if (part > 0 && stage->storage != STORAGE_RING)
    return;
  const GTensor *tensor = stage->node->output;
  l->ring_rows[tensor->id] = stage->ring_rows < stage->rows ? stage->ring_rows : 0;
  if (stage->storage == STORAGE_OUTPUT)
    return;
  if (stage->in_place >= 0) {
    l->buffers[tensor->id] = l->buffers[stage_operand_tensor(stage, stage->in_place)->id];
    return;
  }
  int64_t dims[LOOP_MAX_RANK] = {stage->ring_rows, stage->compute.out[1], stage->compute.out[2]};
  int rank = block_dims(l->regions->channel_block[tensor->id], dims);
  Buffer *buffer = new_buffer(l, tensor->name, BUFFER_ARENA, tensor->shape.elem, rank, dims);
  buffer->align = l->regions->target->buffer_align;
  if (stage->storage == STORAGE_RING)
    buffer->note = arena_printf(l->arena, "%s, %lld of %lld rows%s", stage->node->path,
                                (long long)stage->ring_rows, (long long)stage->rows,
                                part > 0 ? arena_printf(l->arena, ", part %d", part) : "");
  else
    buffer->note = stage->node->path;
  l->buffers[tensor->id] = buffer;
}

/* True if the operand is stored in blocks of the stage's weight_block: [C/B, ..., B], the last block filled with zeros. */
static bool is_blocked(const Stage *stage, const Operand *operand) {
  const AccessDim *last = &operand->access[operand->rank - 1];
  return stage->weight_block && operand->is_weight && operand->rank >= 2 && operand->rank < LOOP_MAX_RANK &&
         last->coef[DIM_C] == 1 && operand->dims[operand->rank - 1] > stage->weight_block;
}

/* The operand's dimensions as they are stored. */
static int stored_dims(const Stage *stage, const Operand *operand, int64_t *dims) {
  memcpy(dims, operand->dims, LOOP_MAX_RANK * sizeof *dims);
  if (!is_blocked(stage, operand))
    return operand->rank;
  int last = operand->rank - 1;
  dims[0] = (operand->dims[last] + stage->weight_block - 1) / stage->weight_block;
  for (int i = 0; i < last; i++)
    dims[i + 1] = operand->dims[i];
  dims[last + 1] = stage->weight_block;
  return operand->rank + 1;
}

static const Recipe *blocked_recipe(Arena *arena, const Stage *stage, const Operand *operand, const Recipe *recipe) {
  if (!is_blocked(stage, operand))
    return recipe;
  int last = operand->rank - 1, axes[LOOP_MAX_RANK];
  int64_t dims[LOOP_MAX_RANK], split[LOOP_MAX_RANK];
  memcpy(dims, operand->dims, sizeof dims);
  int64_t blocks = (dims[last] + stage->weight_block - 1) / stage->weight_block;
  dims[last] = blocks * stage->weight_block;
  if (dims[last] != operand->dims[last])
    recipe = recipe_pad(arena, recipe, dims);
  memcpy(split, dims, sizeof split);
  split[last] = blocks;
  split[last + 1] = stage->weight_block;
  recipe = recipe_reshape(arena, recipe, operand->rank + 1, split);
  axes[0] = last;
  for (int i = 0; i < last; i++)
    axes[i + 1] = i;
  axes[last + 1] = last + 1;
  return recipe_permute(arena, recipe, axes);
}

Buffer *lower_weight_buffer(Lowering *l, const Stage *stage, const Operand *operand) {
  const Node *node = stage->node;
  const char *name =
      arena_printf(l->arena, "%s_%s", node->path, node_weight_name(node, operand->source));
  int64_t dims[LOOP_MAX_RANK];
  int rank = stored_dims(stage, operand, dims);
  Buffer *buffer = new_buffer(l, name, BUFFER_WEIGHT, ELEM_F32, rank, dims);
  buffer->align = l->regions->target->buffer_align;
  buffer->recipe = blocked_recipe(l->arena, stage, operand, node_weight(l->arena, node, operand->source));
  return buffer;
}

/* ---- one kernel ---- */

typedef struct Nest {
  Lowering *l;
  const Stage *stage;
  const Compute *compute;
  Kernel *kernel;
  Buffer *params[COMPUTE_MAX_OPERANDS]; /* of each operand */
  Buffer *arguments[COMPUTE_MAX_OPERANDS];
  int64_t ring[COMPUTE_MAX_OPERANDS];   /* rows held of a tensor operand; 0: all of them */
  Buffer *out;
  int64_t out_ring;
  const Affine *dim[COMPUTE_MAX_DIMS];
  int64_t lo[COMPUTE_MAX_DIMS], hi[COMPUTE_MAX_DIMS]; /* range of each dimension here */
  Stmt *loops[COMPUTE_MAX_DIMS];
  Block *block; /* where statements go */
  int counter;
  PtrMap uses, values; /* of scalars in the finish: whether there are several; what those are named by */
} Nest;

static const Type SCALAR_F32 = {ELEM_F32, 1};
static const Type SCALAR_I32 = {ELEM_I32, 1};
static const Type SCALAR_MASK = {ELEM_MASK, 1};

static const Affine *access_affine(const Nest *n, const AccessDim *access, int except) {
  const Affine *a = affine_const(n->l->arena, access->offset);
  for (int d = 0; d < DIM_R + n->compute->n_reduce; d++)
    if (access->coef[d] && d != except)
      a = affine_add(n->l->arena, a, affine_scale(n->l->arena, n->dim[d], access->coef[d]));
  const AccessQuotient *q = &access->quotient;
  if (q->times == 0)
    return a;
  const Affine *numerator = affine_add_const(n->l->arena, affine_scale(n->l->arena, n->dim[q->dim], q->coef), q->offset);
  const Affine *part = q->remainder ? affine_mod(n->l->arena, numerator, q->divide)
                                    : affine_div(n->l->arena, numerator, q->divide);
  return affine_add(n->l->arena, a, affine_scale(n->l->arena, part, q->times));
}

/* Where the step that begins at `row` lies in a ring of whole steps: it begins at a multiple of their rows. Said so that the
 * rows behind it are seen to stay inside and to be different ones. */
static const Affine *step_in_ring(const Nest *n, const Affine *row, int64_t ring) {
  Arena *arena = n->l->arena;
  int64_t rows = n->stage->step_rows;
  return affine_scale(arena, affine_mod(arena, affine_div(arena, row, rows), ring / rows), rows);
}

/* [row, column] of a tensor walked flat: pixel 0.. of the step behind the rows before it. */
static void flat_index(const Nest *n, int64_t ring, const Affine **index) {
  Arena *arena = n->l->arena;
  const Affine *row = n->dim[DIM_Y];
  if (ring)
    row = step_in_ring(n, row, ring);
  index[0] = affine_const(arena, 0);
  index[1] = affine_add(arena, affine_scale(arena, row, n->compute->out[1]), n->dim[DIM_X]);
}

/* The index of a tensor [H][W][C] as it is stored. */
static void block_index(const Nest *n, const GTensor *tensor, const Affine **index) {
  Arena *arena = n->l->arena;
  int64_t block = n->l->regions->channel_block[tensor->id];
  if (!block)
    return;
  const Affine *channel = index[2];
  index[3] = affine_mod(arena, channel, block);
  index[2] = index[1];
  index[1] = index[0];
  index[0] = affine_div(arena, channel, block);
}

static Expr *load_operand(Nest *n, int o) {
  Arena *arena = n->l->arena;
  const Operand *operand = &n->compute->operands[o];
  const Affine *index[LOOP_MAX_RANK];
  for (int i = 0; i < operand->rank; i++) {
    index[i] = access_affine(n, &operand->access[i], -1);
    if (i == 0 && n->ring[o])
      index[i] = affine_mod(arena, index[i], n->ring[o]);
  }
  if (n->stage->flat && !operand->is_weight)
    flat_index(n, n->ring[o], index);
  if (!operand->is_weight)
    block_index(n, stage_operand_tensor(n->stage, o), index);
  if (is_blocked(n->stage, operand)) {
    int last = operand->rank - 1;
    const Affine *channel = index[last];
    for (int i = last; i > 0; i--)
      index[i] = index[i - 1];
    index[0] = affine_div(arena, channel, n->stage->weight_block);
    index[last + 1] = affine_mod(arena, channel, n->stage->weight_block);
  }
  Expr *load = expr_load(arena, n->params[o], index, 1);
  if (n->params[o]->elem == ELEM_F32 || n->params[o]->elem == n->compute->elem)
    return load;
  Expr *wide = expr_make(arena, OP_CONVERT, SCALAR_I32, load, NULL, NULL);
  return expr_make(arena, OP_CONVERT, SCALAR_F32, wide, NULL, NULL);
}

/* Number of taps inside: the product of the reduction loops' lengths. */
static Expr *tap_count(Nest *n) {
  Arena *arena = n->l->arena;
  int64_t constant = 1;
  Expr *count = NULL;
  for (int r = 0; r < n->compute->n_reduce; r++) {
    const Stmt *loop = n->loops[DIM_R + r];
    if (loop->n_lower == 1 && loop->n_upper == 1) {
      constant *= n->compute->reduce[r];
      continue;
    }
    Expr *end = expr_index(arena, loop->upper[0]), *begin = expr_index(arena, loop->lower[0]);
    for (int i = 1; i < loop->n_upper; i++)
      end = expr_make(arena, OP_MIN, SCALAR_I32, end, expr_index(arena, loop->upper[i]), NULL);
    for (int i = 1; i < loop->n_lower; i++)
      begin = expr_make(arena, OP_MAX, SCALAR_I32, begin, expr_index(arena, loop->lower[i]), NULL);
    Expr *length = expr_make(arena, OP_SUB, SCALAR_I32, end, begin, NULL);
    count = count ? expr_make(arena, OP_MUL, SCALAR_I32, count, length, NULL) : length;
  }
  if (!count)
    return expr_f32(arena, (float)constant);
  if (constant != 1)
    count =
        expr_make(arena, OP_MUL, SCALAR_I32, count, expr_int(arena, SCALAR_I32, constant), NULL);
  return expr_make(arena, OP_CONVERT, SCALAR_F32, count, NULL, NULL);
}

static Stmt *push_value(Nest *n, StmtKind kind, Value *value, Expr *expr) {
  Stmt *stmt = loop_stmt_new(n->l->arena, kind);
  stmt->loc = n->stage->node->loc;
  stmt->value = value;
  stmt->expr = expr;
  block_push(n->l->arena, n->block, stmt);
  return stmt;
}

static Expr *scalar_expr(Nest *n, const Scalar *scalar, Expr *acc);

static Expr *fn_expr(Nest *n, ScalarFn fn, Expr *a) {
  switch (fn) {
  case SCALAR_FN_NONE:
    return a;
  case SCALAR_FN_EXP:
    return loop_exp(n->l->arena, n->block, a, &n->counter);
  case SCALAR_FN_SIGMOID:
    return loop_sigmoid(n->l->arena, n->block, a, &n->counter);
  case SCALAR_FN_TANH:
    return loop_tanh(n->l->arena, n->block, a, &n->counter);
  }
  return a;
}

static Expr *scalar_node(Nest *n, const Scalar *scalar, Expr *acc) {
  Arena *arena = n->l->arena;
  switch (scalar->kind) {
  case SCALAR_CONST:
    return expr_f32(arena, scalar->value);
  case SCALAR_WHOLE:
    return expr_int(arena, SCALAR_I32, scalar->whole);
  case SCALAR_INDEX:
    return expr_index(arena, n->dim[scalar->dim]);
  case SCALAR_ACC:
    return acc;
  case SCALAR_OPERAND:
    return load_operand(n, scalar->operand);
  case SCALAR_COUNT:
    return tap_count(n);
  case SCALAR_OP: {
    Expr *a = scalar_expr(n, scalar->a, acc);
    if (scalar->fn != SCALAR_FN_NONE)
      return fn_expr(n, scalar->fn, a);
    Expr *b = scalar->b ? scalar_expr(n, scalar->b, acc) : NULL;
    Expr *c = scalar->c ? scalar_expr(n, scalar->c, acc) : NULL;
    bool compares = scalar->op == OP_EQ || scalar->op == OP_LT || scalar->op == OP_LE;
    Type type = compares ? SCALAR_MASK : scalar->op == OP_SELECT ? b->type : a->type;
    return expr_make(arena, scalar->op, type, a, b, c);
  }
  }
  return NULL;
}

static Expr *scalar_expr(Nest *n, const Scalar *scalar, Expr *acc) {
  Expr *known = ptr_map_get(&n->values, scalar);
  if (known)
    return known;
  Expr *expr = scalar_node(n, scalar, acc);
  bool several = (uintptr_t)ptr_map_get(&n->uses, scalar) > 1;
  if (!several || (scalar->kind != SCALAR_OP && scalar->kind != SCALAR_OPERAND))
    return expr;
  Value *value = ARENA_NEW(n->l->arena, Value);
  value->name = intern(n->l->arena, arena_printf(n->l->arena, "v_%d", n->counter++));
  value->type = expr->type;
  push_value(n, STMT_LET, value, expr);
  known = expr_value(n->l->arena, value);
  ptr_map_put(&n->values, scalar, known);
  return known;
}

static void count_uses(PtrMap *uses, const Scalar *scalar) {
  if (!scalar)
    return;
  uintptr_t before = (uintptr_t)ptr_map_get(uses, scalar);
  ptr_map_put(uses, scalar, (void *)(before + 1));
  if (before)
    return;
  count_uses(uses, scalar->a);
  count_uses(uses, scalar->b);
  count_uses(uses, scalar->c);
}

/* The finish, its shared parts as values. */
static Expr *finish_expr(Nest *n, Expr *acc) {
  n->uses.arena = n->values.arena = n->l->arena;
  count_uses(&n->uses, n->compute->finish);
  return scalar_expr(n, n->compute->finish, acc);
}

/* An update; a multiply-add is one rounding where the target has fma. */
static Expr *update_expr(Nest *n, const Scalar *update, Expr *acc) {
  if (!n->compute->multiply_add || !n->l->regions->target->fma)
    return scalar_expr(n, update, acc);
  return expr_make(n->l->arena, OP_FMA, SCALAR_F32, scalar_expr(n, update->b->a, acc),
                   scalar_expr(n, update->b->b, acc), acc);
}

static void add_bound(Arena *arena, const Affine ***list, int *count, const Affine *bound) {
  const Affine **grown = ARENA_ARRAY(arena, const Affine *, *count + 1);
  if (*count) /* copying nothing from a null pointer is undefined */
    memcpy(grown, *list, (size_t)*count * sizeof *grown);
  grown[(*count)++] = bound;
  *list = grown;
}

/* Leaves out the taps for which dimension i of operand o is outside: by bounds of a reduction loop,
 * else by conditions, which are appended to `branch`. */
static void keep_inside(Nest *n, int o, int i, Stmt *branch) {
  Arena *arena = n->l->arena;
  const Operand *operand = &n->compute->operands[o];
  const AccessDim *access = &operand->access[i];
  /* A flat walk reads the very pixel that it writes. */
  if (n->stage->flat && i < 2 && !operand->is_weight)
    return;
  int64_t lo, hi;
  access_range(access, DIM_R + n->compute->n_reduce, n->lo, n->hi, &lo, &hi);
  int walker = -1;
  /* Bounds leave out a point for every update: only where there is one. Of a quotient conditions say more. */
  for (int r = DIM_R; r < DIM_R + n->compute->n_reduce; r++)
    if (access->coef[r] == 1 && n->compute->n_more == 0 && access->quotient.times == 0)
      walker = r;
  if (walker >= 0) {
    const Affine *rest = access_affine(n, access, walker);
    Stmt *loop = n->loops[walker];
    if (lo < 0)
      add_bound(arena, &loop->lower, &loop->n_lower, affine_scale(arena, rest, -1));
    if (hi >= operand->dims[i])
      add_bound(arena, &loop->upper, &loop->n_upper,
                affine_sub(arena, affine_const(arena, operand->dims[i]), rest));
    return;
  }
  const Affine *index = access_affine(n, access, -1);
  if (lo < 0)
    add_bound(arena, &branch->conditions, &branch->n_conditions, index);
  if (hi >= operand->dims[i])
    add_bound(arena, &branch->conditions, &branch->n_conditions,
              affine_sub(arena, affine_const(arena, operand->dims[i] - 1), index));
}

/* Opens a loop for dimension d around what follows. */
static void open_loop(Nest *n, int d, const char *label, int64_t extent) {
  Stmt *loop =
      loop_for_new(n->l->arena, loop_var_new(n->l->arena, intern(n->l->arena, label)), 0, extent);
  loop->loc = n->stage->node->loc;
  block_push(n->l->arena, n->block, loop);
  n->block = &loop->body;
  n->loops[d] = loop;
  n->dim[d] = affine_var(n->l->arena, loop->var);
  n->lo[d] = 0;
  n->hi[d] = extent - 1;
}

/* Moves the conditions of `branch`, inside all loops of the reduction, to where they are known. */
static void hoist_conditions(Nest *n, Stmt *branch) {
  int kept = 0;
  Stmt *hoisted[COMPUTE_MAX_REDUCE] = {0};
  for (int i = 0; i < branch->n_conditions; i++) {
    int level = n->compute->n_reduce - 1;
    while (level > 0 && !affine_uses(branch->conditions[i], n->loops[DIM_R + level]->var))
      level--;
    if (level == n->compute->n_reduce - 1) {
      branch->conditions[kept++] = branch->conditions[i];
      continue;
    }
    if (!hoisted[level]) {
      hoisted[level] = loop_stmt_new(n->l->arena, STMT_IF);
      hoisted[level]->loc = branch->loc;
    }
    add_bound(n->l->arena, &hoisted[level]->conditions, &hoisted[level]->n_conditions, branch->conditions[i]);
  }
  branch->n_conditions = kept;
  for (int level = 0; level < n->compute->n_reduce; level++) {
    if (!hoisted[level])
      continue;
    Stmt *loop = n->loops[DIM_R + level];
    hoisted[level]->body = loop->body;
    loop->body = (Block){0};
    block_push(n->l->arena, &loop->body, hoisted[level]);
  }
}

/* var acc = init; the reduction's loops around set acc = update. */
static Expr *reduce(Nest *n) {
  Arena *arena = n->l->arena;
  const Compute *compute = n->compute;
  Value *value = ARENA_NEW(arena, Value);
  value->name = intern(arena, "acc");
  value->type = (Type){compute->elem, 1};
  value->is_mutable = true;
  Expr *acc = expr_value(arena, value);
  Block *outside = n->block;
  push_value(n, STMT_VAR, value, scalar_expr(n, compute->init, acc));
  for (int r = 0; r < compute->n_reduce; r++)
    open_loop(n, DIM_R + r, compute->reduce_label[r], compute->reduce[r]);
  Block *inside = n->block;
  for (int u = 0; u <= compute->n_more; u++) {
    const Scalar *update = u ? compute->more[u - 1] : compute->combine;
    Stmt *branch = loop_stmt_new(arena, STMT_IF);
    branch->loc = n->stage->node->loc;
    for (int o = 0; o < compute->n_operands; o++)
      for (int i = 0; i < compute->operands[o].rank; i++)
        if (scalar_reads(update, o))
          keep_inside(n, o, i, branch);
    if (compute->n_more == 0)
      hoist_conditions(n, branch);
    if (branch->n_conditions) {
      block_push(arena, inside, branch);
      n->block = &branch->body;
    }
    push_value(n, STMT_SET, value, update_expr(n, update, acc));
    n->block = inside;
  }
  n->block = outside;
  return acc;
}

/* Opens a loop for dimension d that starts where the nest's piece does. */
static void open_part_loop(Nest *n, int d, const char *label, int64_t extent) {
  const Affine *first = n->dim[d];
  int64_t lo = n->lo[d], hi = n->hi[d];
  open_loop(n, d, label, extent);
  if (!first)
    return;
  n->dim[d] = affine_add(n->l->arena, first, n->dim[d]);
  n->lo[d] = lo;
  n->hi[d] = hi + extent - 1;
}

static void make_body(Nest *n, const Piece *piece) {
  Arena *arena = n->l->arena;
  const Compute *compute = n->compute;
  const Affine *first_row = n->dim[DIM_Y];
  n->block = &n->kernel->body;
  if (n->stage->flat) {
    open_part_loop(n, DIM_X, "x", piece->cut == CUT_PIXELS ? piece->size : piece->rows * compute->out[1]);
  } else {
    open_part_loop(n, DIM_Y, "y", piece->rows);
    open_loop(n, DIM_X, "x", compute->out[1]);
  }
  open_part_loop(n, DIM_C, "c", piece->cut == CUT_CHANNELS ? piece->size : compute->out[2]);
  Expr *acc = compute->combine ? reduce(n) : NULL;
  Stmt *store = loop_stmt_new(arena, STMT_STORE);
  store->loc = n->stage->node->loc;
  store->buffer = n->out;
  for (int i = 0; i < 3; i++)
    store->index[i] = n->dim[i];
  if (n->out_ring && piece->rows > 1 && n->out_ring % n->stage->step_rows == 0)
    store->index[0] = affine_add(arena, step_in_ring(n, first_row, n->out_ring), affine_sub(arena, n->dim[DIM_Y], first_row));
  else if (n->out_ring)
    store->index[0] = affine_mod(arena, store->index[0], n->out_ring);
  if (n->stage->flat)
    flat_index(n, n->out_ring, store->index);
  block_index(n, n->stage->node->output, store->index);
  store->expr = finish_expr(n, acc);
  block_push(arena, n->block, store);
}

/* A tensor walked flat is one row. */
static void flatten_dims(const Stage *stage, int64_t *dims) {
  if (!stage->flat)
    return;
  dims[1] *= dims[0];
  dims[0] = 1;
}

static Buffer *new_param(Nest *n, const char *name, Access access, Elem elem, int rank,
                         const int64_t *dims) {
  Buffer *param =
      loop_buffer_new(n->l->arena, intern(n->l->arena, name), BUFFER_PARAM, elem, rank, dims);
  param->access = access;
  param->noalias = true;
  param->align = n->l->regions->target->buffer_align;
  VEC_PUSH(n->l->arena, n->kernel->buffers, param);
  return param;
}

/* Parameters for the operands and the result; memory that is shared gets one parameter. */
static void make_params(Nest *n, Buffer *const *weights, Arguments *arguments) {
  Lowering *l = n->l;
  const Stage *stage = n->stage;
  int n_in = 0, n_weight = 0;
  for (int o = 0; o < n->compute->n_operands; o++) {
    const Operand *operand = &n->compute->operands[o];
    Buffer *argument =
        operand->is_weight ? weights[o] : l->buffers[stage_operand_tensor(stage, o)->id];
    int64_t dims[LOOP_MAX_RANK];
    int rank = stored_dims(stage, operand, dims);
    if (!operand->is_weight) {
      n->ring[o] = l->ring_rows[stage_operand_tensor(stage, o)->id];
      if (n->ring[o])
        dims[0] = n->ring[o];
      flatten_dims(stage, dims);
      rank = block_dims(l->regions->channel_block[stage_operand_tensor(stage, o)->id], dims);
    }
    for (int i = 0; i < o && !operand->is_weight; i++)
      if (n->params[i] && !n->compute->operands[i].is_weight && n->arguments[i] == argument &&
          n->params[i]->rank == rank && memcmp(n->params[i]->dims, dims, (size_t)rank * sizeof *dims) == 0)
        n->params[o] = n->params[i];
    n->arguments[o] = argument;
    if (n->params[o])
      continue;
    const char *name = operand->is_weight ? arena_printf(l->arena, "w%d", n_weight++)
                                          : arena_printf(l->arena, "in%d", n_in++);
    n->params[o] = new_param(n, name, ACCESS_IN, argument->elem, rank, dims);
    /* The caller's memory has the alignment of its elements only. */
    if (argument->kind == BUFFER_INPUT || argument->kind == BUFFER_OUTPUT)
      n->params[o]->align = argument->align;
    arguments->at[arguments->n++] = argument;
  }
  Buffer *result = l->buffers[stage->node->output->id];
  int64_t dims[LOOP_MAX_RANK] = {stage->ring_rows, n->compute->out[1], n->compute->out[2]};
  n->out_ring = stage->ring_rows < stage->rows ? stage->ring_rows : 0;
  flatten_dims(stage, dims);
  if (stage->in_place >= 0) {
    n->out = n->params[stage->in_place];
    n->out->access = ACCESS_INOUT;
    return;
  }
  int rank = block_dims(l->regions->channel_block[stage->node->output->id], dims);
  n->out = new_param(n, "out", ACCESS_OUT, result->elem, rank, dims);
  if (result->kind == BUFFER_OUTPUT)
    n->out->align = result->align;
  arguments->at[arguments->n++] = result;
}

const char *lower_describe(Arena *arena, const Stage *stage) {
  Writer w;
  writer_init(&w);
  write_text(&w, stage->node->call.def->name);
  for (int t = 0; t < stage->node->n_tails; t++)
    write_f(&w, " | %s", stage->node->tails[t].call.def->name);
  const int64_t *out = stage->compute.out;
  write_f(&w, ", %lldx%lldx%lld", (long long)out[0], (long long)out[1], (long long)out[2]);
  return writer_take(&w, arena);
}

/* What the kernel computes, and the paths of the others that it computes it for. */
static const char *kernel_note(Arena *arena, const Users *users) {
  const Stage *stage = users->stages.at[0];
  Writer w;
  writer_init(&w);
  write_f(&w, "%s: %s", stage->node->path, lower_describe(arena, stage));
  Arena *scratch = arena_new();
  PtrMap seen = {.arena = scratch};
  for (size_t i = 0; i < users->stages.len; i++) {
    const Node *node = users->stages.at[i]->node;
    if (i > 0 && !ptr_map_get(&seen, node))
      write_f(&w, "; %s", node->path);
    ptr_map_put(&seen, node, users->kernel);
  }
  arena_free(scratch);
  return writer_take(&w, arena);
}

/* The kernel with this text if there is one, else `kernel` under a name of its own. */
static Kernel *shared_kernel(Lowering *l, Kernel *kernel, const Stage *stage) {
  kernel->name = "kernel";
  Writer w;
  writer_init(&w);
  loop_print_kernel(&w, kernel);
  const char *text = intern_n(l->arena, w.data, w.len);
  writer_free(&w);
  Users *users = ptr_map_get(&l->shared, text);
  if (!users) {
    users = ARENA_NEW(l->arena, Users);
    users->kernel = kernel;
    kernel->name = lower_unique_name(l, stage->node->call.def->name);
    ptr_map_put(&l->shared, text, users);
    VEC_PUSH(l->arena, l->users, users);
    VEC_PUSH(l->arena, l->program->kernels, kernel);
  }
  VEC_PUSH(l->arena, users->stages, stage);
  return users->kernel;
}

/* Where dimension d begins: at unit * lo … unit * hi, a parameter of the kernel if that is several. */
static void begin_dimension(Nest *n, int d, const char *name, int64_t lo, int64_t hi, int64_t unit) {
  Arena *arena = n->l->arena;
  n->lo[d] = lo * unit;
  n->hi[d] = hi * unit;
  if (lo == hi) {
    n->dim[d] = affine_const(arena, lo * unit);
    return;
  }
  Var *var = loop_var_new(arena, intern(arena, name));
  var->is_param = true;
  var->lo = lo;
  var->hi = hi + 1;
  VEC_PUSH(arena, n->kernel->ints, var);
  n->dim[d] = affine_scale(arena, affine_var(arena, var), unit);
}

Kernel *lower_kernel(Lowering *l, const Stage *stage, Buffer *const *weights, const Piece *piece,
                           Arguments *arguments) {
  Nest n = {.l = l, .stage = stage, .compute = &stage->compute};
  n.kernel = ARENA_NEW(l->arena, Kernel);
  n.kernel->loc = stage->node->loc;
  n.kernel->schedule = stage->schedule && *stage->schedule ? stage->schedule : NULL;
  make_params(&n, weights, arguments);
  begin_dimension(&n, DIM_Y, "row", piece->first_lo, piece->first_hi, 1);
  if (piece->cut != CUT_NONE)
    begin_dimension(&n, piece->cut == CUT_PIXELS ? DIM_X : DIM_C, "part", piece->part_lo, piece->part_hi, stage->part_size);
  make_body(&n, piece);
  return shared_kernel(l, n.kernel, stage);
}

/* ---- the header's layer table ---- */

static const char *layer_table(Arena *arena, const Network *network) {
  Writer w;
  writer_init(&w);
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    write_f(&w, "%-28s %-10s %-22s %lld MACs\n", layer->path, layer->call.def->name,
            shape_text(arena, &layer->output->shape), (long long)op_call_macs(&layer->call));
  }
  return writer_take(&w, arena);
}

Program *loop_lower(Arena *arena, const Regions *regions) {
  Lowering l = {.arena = arena, .regions = regions, .names = {.arena = arena}};
  l.program = loop_program_new(arena, regions->graph->name);
  l.program->arena_align = regions->target->buffer_align;
  l.next_number.arena = l.shared.arena = arena;
  l.program->threads = regions->threads;
  l.buffers = ARENA_ARRAY(arena, Buffer *, graph_tensor_count(regions->graph));
  l.ring_rows = ARENA_ARRAY(arena, int64_t, graph_tensor_count(regions->graph));
  for (size_t i = 0; i < regions->graph->network->layers.len; i++)
    l.program->macs += op_call_macs(&regions->graph->network->layers.at[i]->call);
  l.program->layers = layer_table(arena, regions->graph->network);
  make_interface(&l);
  for (size_t r = 0; r < regions->regions.len; r++)
    lower_region(&l, regions->regions.at[r]);
  for (size_t i = 0; i < l.users.len; i++)
    l.users.at[i]->kernel->note = kernel_note(arena, l.users.at[i]);
  return l.program;
}
