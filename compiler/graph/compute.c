/* What a node computes: its operator's description with the tails composed
 * into the finish, and the recipe behind each weight operand. */
#include "graph/graph.h"

/* Weight sources: the owner (0 the node, 1 + t tail t) and its weight number, or behind those its table's. */
enum { SOURCES_PER_OWNER = 8 };

/* x * scale[c] + shift[c], for operators that are nothing else. Weight sources 0 and 1 are scale and shift. */
static void affine_compute(Arena *arena, const OpCall *call, const Recipe *const *weights, Compute *compute) {
  const Recipe *scale, *shift;
  call->def->channel_affine(arena, call, weights, &scale, &shift);
  shape_hwc(&call->output, compute->out);
  Operand *x = &compute->operands[0];
  *x = (Operand){.source = 0, .rank = 3};
  shape_hwc(&call->inputs[0], x->dims);
  for (int i = 0; i < 3; i++)
    x->access[i].coef[i] = 1;
  compute->n_operands = 1;
  compute->finish = scalar_operand(arena, 0);
  for (int part = 0; part < 2; part++) {
    if (!(part ? shift : scale))
      continue;
    Operand *operand = &compute->operands[compute->n_operands];
    *operand = (Operand){.is_weight = true, .source = part, .rank = 1, .dims = {compute->out[2]}};
    operand->access[0].coef[DIM_C] = 1;
    compute->finish =
        scalar_op(arena, part ? OP_ADD : OP_MUL, compute->finish, scalar_operand(arena, compute->n_operands++), NULL);
  }
}

static void call_compute(Arena *arena, const OpCall *call, const Recipe *const *weights, Compute *compute) {
  if (call->def->compute)
    call->def->compute(arena, call, compute);
  else if (call->def->channel_affine)
    affine_compute(arena, call, weights, compute);
  else
    BUG("operator '%s' has no compute description", call->def->name);
}

/* A tail brings at most two operands: scale and shift, or the other summand. */
_Static_assert(OP_MAX_INPUTS + 2 * NODE_MAX_TAILS <= COMPUTE_MAX_OPERANDS, "a node with all its tails must be describable");

static void compose_tail(Arena *arena, const Node *node, int t, Compute *compute) {
  const Tail *tail = &node->tails[t];
  Compute own = {0};
  call_compute(arena, &tail->call, tail->weights, &own);
  int map[COMPUTE_MAX_OPERANDS];
  for (int i = 0; i < own.n_operands; i++) {
    const Operand *from = &own.operands[i];
    if (!from->is_weight && from->source == tail->chain) {
      if (!compute_is_pointwise_access(&own, i))
        BUG("%s: a tail reads what it continues elsewhere than where it writes", tail->path);
      map[i] = -1;
      continue;
    }
    if (compute->n_operands == COMPUTE_MAX_OPERANDS)
      BUG("%s has too many operands", node->path);
    map[i] = compute->n_operands;
    Operand *to = &compute->operands[compute->n_operands++];
    *to = *from;
    if (from->is_weight)
      to->source += (t + 1) * SOURCES_PER_OWNER;
    else
      to->source = tail->first_input + from->source - (from->source > tail->chain);
  }
  compute->finish = scalar_renumber(arena, own.finish, map, compute->finish);
}

/* The operand as its tensor is stored. */
static void permute_operand(Operand *operand, const int *order) {
  Operand seen = *operand;
  for (int i = 0; i < SHAPE_MAX_RANK; i++) {
    operand->dims[order[i]] = seen.dims[i];
    operand->access[order[i]] = seen.access[i];
  }
}

void node_compute(Arena *arena, const Node *node, Compute *compute) {
  *compute = (Compute){0};
  call_compute(arena, &node->call, node->weights, compute);
  for (int o = 0; o < compute->n_operands; o++)
    if (!compute->operands[o].is_weight && node->permuted[compute->operands[o].source])
      permute_operand(&compute->operands[o], node->permuted[compute->operands[o].source]);
  for (int t = 0; t < node->n_tails; t++)
    compose_tail(arena, node, t, compute);
}

const Recipe *node_weight(Arena *arena, const Node *node, int source) {
  int owner = source / SOURCES_PER_OWNER, i = source % SOURCES_PER_OWNER;
  const OpCall *call = owner ? &node->tails[owner - 1].call : &node->call;
  const Recipe *const *weights = owner ? node->tails[owner - 1].weights : node->weights;
  if (!call->def->compute) {
    const Recipe *affine[2];
    call->def->channel_affine(arena, call, weights, &affine[0], &affine[1]);
    return affine[i];
  }
  if (i >= OP_MAX_WEIGHTS)
    return call->def->table(arena, call, i - OP_MAX_WEIGHTS);
  return call->def->pack ? call->def->pack(arena, call, i, weights[i]) : weights[i];
}

const char *node_weight_name(const Node *node, int source) {
  int owner = source / SOURCES_PER_OWNER, i = source % SOURCES_PER_OWNER;
  const OpCall *call = owner ? &node->tails[owner - 1].call : &node->call;
  if (!call->def->compute)
    return i ? "shift" : "scale";
  static const char *const tables[SOURCES_PER_OWNER - OP_MAX_WEIGHTS] = {"table0", "table1", "table2", "table3"};
  if (i >= OP_MAX_WEIGHTS)
    return tables[i - OP_MAX_WEIGHTS];
  OpWeight weights[OP_MAX_WEIGHTS];
  op_call_weights(call, weights);
  return weights[i].suffix;
}
