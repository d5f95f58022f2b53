/* Pass: a channel-affine node (batch normalisation, bias) behind a linear node
 * that nobody else reads is folded into its weights:
 *
 *     scale (W x + b) + shift = (scale W) x + (scale b + shift)
 *
 * The new weights are recipes; no number is touched here. */
#include "graph/graph.h"

/* Weight 0 with what makes output channel c times scale[c]. */
static const Recipe *scaled(Arena *arena, const Node *linear, const Recipe *scale) {
  const Recipe *weight = linear->weights[0];
  if (linear->call.def->output_axis == 0) {
    int64_t dims[RECIPE_MAX_RANK] = {weight->dims[0], 1, 1, 1, 1, 1};
    return recipe_binary(arena, RECIPE_MUL, weight, recipe_reshape(arena, scale, weight->rank, dims));
  }
  int64_t outputs = weight->dims[1], groups = recipe_elems(scale) / outputs, inputs = weight->dims[0] / groups;
  const int64_t apart[4] = {groups, inputs, outputs, recipe_elems(weight) / (weight->dims[0] * outputs)};
  const int64_t factors[4] = {groups, 1, outputs, 1};
  const Recipe *product = recipe_binary(arena, RECIPE_MUL, recipe_reshape(arena, weight, 4, apart),
                                        recipe_reshape(arena, scale, 4, factors));
  return recipe_reshape(arena, product, weight->rank, weight->dims);
}

static void fold(Graph *graph, Node *linear, Node *affine) {
  Arena *arena = graph->arena;
  const Recipe *scale, *shift;
  affine->call.def->channel_affine(arena, &affine->call, affine->weights, &scale, &shift);
  const Recipe *bias = linear->n_weights > 1 ? linear->weights[1] : NULL;
  if (scale) {
    linear->weights[0] = scaled(arena, linear, scale);
    if (bias)
      bias = recipe_binary(arena, RECIPE_MUL, bias, scale);
  }
  if (shift)
    bias = bias ? recipe_binary(arena, RECIPE_ADD, bias, shift) : shift;
  if (bias) {
    linear->weights[1] = bias;
    linear->n_weights = 2;
    linear->call.attrs[linear->call.def->bias_attr].i[0] = 1;
  }
  linear->output = affine->output;
  linear->output->producer = linear;
  affine->output = NULL;
}

void graph_fold_batchnorm(Graph *graph) {
  graph_count_uses(graph);
  for (size_t i = 0; i < graph->nodes.len; i++) {
    Node *node = graph->nodes.at[i];
    if (!node->call.def->channel_affine || node->n_tails)
      continue;
    GTensor *input = node->inputs[0];
    Node *producer = input->producer;
    if (producer && producer->call.def->linear && producer->n_tails == 0 && input->n_uses == 1 && input->output < 0)
      fold(graph, producer, node);
  }
  graph_sweep(graph);
}
