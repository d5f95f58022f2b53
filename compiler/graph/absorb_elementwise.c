/* Pass: an elementwise node (activation, residual add, what is left of batch
 * normalisation) becomes a tail of the node that produces one of its inputs,
 * if nobody else reads that input. The result is applied before the only
 * store.
 *
 * Of several such producers the latest is taken: the others' results exist by
 * then. The merged node stands where the elementwise node stood. */
#include "graph/graph.h"

/* A tail's other operands are read as they are. */
static bool reads_permuted(const Node *node) {
  for (int k = 0; k < node->call.n_inputs; k++)
    if (node->permuted[k])
      return true;
  return false;
}

static bool can_host(const Node *node, int input) {
  const GTensor *tensor = node->inputs[input];
  const Node *host = tensor->producer;
  return host && tensor->n_uses == 1 && tensor->output < 0 && host->n_tails < NODE_MAX_TAILS &&
         host->n_inputs + node->n_inputs - 1 <= NODE_MAX_INPUTS && !op_call_is_view(&host->call) &&
         shape_equal(&tensor->shape, &node->output->shape);
}

static void absorb(Node *node, int chain) {
  Node *host = node->inputs[chain]->producer;
  Node merged = *host;
  Tail *tail = &merged.tails[merged.n_tails++];
  *tail = (Tail){.call = node->call, .chain = chain, .first_input = merged.n_inputs, .path = node->path};
  tail->n_weights = node->n_weights;
  for (int i = 0; i < node->n_weights; i++)
    tail->weights[i] = node->weights[i];
  for (int i = 0; i < node->n_inputs; i++)
    if (i != chain)
      merged.inputs[merged.n_inputs++] = node->inputs[i];
  merged.macs += node->macs;
  merged.output = node->output;
  host->output = NULL;
  *node = merged;
  node->output->producer = node;
}

void graph_absorb_elementwise(Graph *graph) {
  graph_count_uses(graph);
  for (size_t i = 0; i < graph->nodes.len; i++) {
    Node *node = graph->nodes.at[i];
    if (!node->call.def->elementwise || node->n_tails || reads_permuted(node))
      continue;
    int best = -1;
    size_t best_position = 0;
    for (int k = 0; k < node->n_inputs; k++) {
      if (!can_host(node, k))
        continue;
      size_t at = i;
      while (graph->nodes.at[--at] != node->inputs[k]->producer) {
      }
      if (best < 0 || at > best_position) {
        best = k;
        best_position = at;
      }
    }
    if (best >= 0)
      absorb(node, best);
  }
  graph_sweep(graph);
}
