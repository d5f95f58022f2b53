/* Pass: an input of the network that is only permuted (channels first, as other
 * frameworks hand images over) is read as it is by whoever reads it permuted, if
 *
 *   - a sum over its channels walks them (convolution): it reads one element for
 *     many outputs, wherever that is; or
 *   - each element is read about once (elementwise): then the reading does what
 *     the copy would.
 *
 * Others, such as a depthwise convolution, whose channels are lanes, read a copy.
 * In the middle of a network it is the copy that lets rows follow one another. */
#include "graph/graph.h"

/* The reader's operand for its input k costs no more where it is permuted. */
static bool may_permute(const Graph *graph, const Node *node, int k) {
  Compute compute;
  int64_t hwc[3];
  node_compute(graph->arena, node, &compute);
  shape_hwc(&node->call.inputs[k], hwc);
  for (int o = 0; o < compute.n_operands; o++) {
    const Operand *operand = &compute.operands[o];
    if (operand->is_weight || operand->source != k)
      continue;
    bool whole = operand->dims[0] == hwc[0] && operand->dims[1] == hwc[1] && operand->dims[2] == hwc[2];
    if (!whole || (compute.n_reduce && access_uses(&operand->access[2], DIM_C)))
      return false;
  }
  return true;
}

/* All reads of `tensor` are by calls, not tails, that may read it permuted. */
static bool all_may_permute(const Graph *graph, const GTensor *tensor) {
  for (size_t i = 0; i < graph->nodes.len; i++) {
    const Node *node = graph->nodes.at[i];
    for (int k = 0; node->output && k < node->n_inputs; k++)
      if (node->inputs[k] == tensor && (k >= node->call.n_inputs || !may_permute(graph, node, k)))
        return false;
  }
  return true;
}

static void absorb(Graph *graph, Node *permutation, const int *order) {
  for (size_t i = 0; i < graph->nodes.len; i++) {
    Node *node = graph->nodes.at[i];
    for (int k = 0; k < node->call.n_inputs; k++)
      if (node->output && node->inputs[k] == permutation->output) {
        node->inputs[k] = permutation->inputs[0];
        node->permuted[k] = order;
      }
  }
  permutation->output = NULL;
}

void graph_absorb_permutation(Graph *graph) {
  graph_count_uses(graph);
  for (size_t i = 0; i < graph->nodes.len; i++) {
    Node *node = graph->nodes.at[i];
    int *order = node->call.def->permutes ? ARENA_ARRAY(graph->arena, int, SHAPE_MAX_RANK) : NULL;
    if (order && node->call.def->permutes(&node->call, order) && node->n_tails == 0 &&
        !node->permuted[0] && !node->inputs[0]->producer && node->output->output < 0 && node->output->n_uses > 0 &&
        all_may_permute(graph, node->output))
      absorb(graph, node, order);
  }
  graph_sweep(graph);
}
