/* Pass: a channel-affine node (a normalised input, a batch normalisation) in
 * front of a linear node, its only reader, is folded into that one's weights:
 *
 *     W (scale x + shift) + b = (W scale) x + (W shift + b)
 *
 * A linear node that surrounds its input with zeros adds W shift at the border
 * where there is nothing, so it takes a shift only if it does not pad. After it,
 * bytes from a camera are read by the first convolution itself. */
#include "graph/graph.h"

/* Weight 0 as [rows, ..] such that `per_channel`, of one number per input channel, broadcasts to it. */
typedef struct View {
  const Recipe *weight;
  int rank;
  int64_t channel[RECIPE_MAX_RANK]; /* the shape of per_channel */
} View;

/* False if it is not known which of the weight's elements an input channel meets. */
static bool view_of(Arena *arena, const Node *linear, View *view) {
  const Recipe *w = linear->weights[0];
  int64_t hwc[3];
  shape_hwc(&linear->call.inputs[0], hwc);
  int64_t c = hwc[2];
  if (linear->call.def->output_axis != 0)
    return false;
  if (w->rank == 4 && w->dims[1] == c) {
    *view = (View){w, 4, {1, c, 1, 1}};
    return true;
  }
  if (w->rank == 4 && w->dims[1] == 1 && w->dims[0] % c == 0) {
    int64_t dims[2] = {c, recipe_elems(w) / c};
    *view = (View){recipe_reshape(arena, w, 2, dims), 2, {c, 1}};
    return true;
  }
  if (w->rank == 2 && w->dims[1] % c == 0 && w->dims[1] == hwc[0] * hwc[1] * c) {
    int64_t dims[3] = {w->dims[0], w->dims[1] / c, c};
    *view = (View){recipe_reshape(arena, w, 3, dims), 3, {1, 1, c}};
    return true;
  }
  return false;
}

/* The weight with each element times its channel's number, in the weight's shape. */
static const Recipe *times(Arena *arena, const View *view, const Recipe *weight, const Recipe *per_channel) {
  const Recipe *factor = recipe_reshape(arena, per_channel, view->rank, view->channel);
  const Recipe *product = recipe_binary(arena, RECIPE_MUL, view->weight, factor);
  return view->weight == weight ? product : recipe_reshape(arena, product, weight->rank, weight->dims);
}

static bool pads(const Node *linear) {
  int64_t p[4] = {0};
  if (linear->call.def->zero_padding)
    linear->call.def->zero_padding(&linear->call, p);
  return p[0] || p[1] || p[2] || p[3];
}

static void fold(Graph *graph, Node *affine, Node *linear) {
  Arena *arena = graph->arena;
  const Recipe *scale, *shift, *weight = linear->weights[0];
  View view;
  affine->call.def->channel_affine(arena, &affine->call, affine->weights, &scale, &shift);
  if ((shift && pads(linear)) || !view_of(arena, linear, &view))
    return;
  if (shift) {
    const Recipe *bias = recipe_sum(arena, times(arena, &view, weight, shift));
    linear->weights[1] = linear->n_weights > 1 ? recipe_binary(arena, RECIPE_ADD, linear->weights[1], bias) : bias;
    linear->n_weights = 2;
    linear->call.attrs[linear->call.def->bias_attr].i[0] = 1;
  }
  if (scale)
    linear->weights[0] = times(arena, &view, weight, scale);
  linear->inputs[0] = affine->inputs[0];
  linear->call.inputs[0] = affine->inputs[0]->shape;
  affine->output = NULL;
}

void graph_fold_affine(Graph *graph) {
  graph_count_uses(graph);
  for (size_t i = 0; i < graph->nodes.len; i++) {
    Node *linear = graph->nodes.at[i];
    if (!linear->call.def->linear || linear->n_tails)
      continue;
    const GTensor *input = linear->inputs[0];
    Node *affine = input->producer;
    if (affine && affine->call.def->channel_affine && affine->n_tails == 0 && input->n_uses == 1 && input->output < 0)
      fold(graph, affine, linear);
  }
  graph_sweep(graph);
}
