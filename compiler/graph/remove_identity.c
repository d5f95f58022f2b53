/* Pass: views that change nothing for whoever reads them go away: those that
 * keep the shape (dropout), and those whose readers all flatten their input
 * anyway. A view whose result the caller sees stays, as a copy, unless its
 * producer can write the caller's memory itself. */
#include "graph/graph.h"

/* All reads of `tensor` are by nodes that flatten it. */
static bool all_readers_flatten(const Graph *graph, const GTensor *tensor) {
  for (size_t i = 0; i < graph->nodes.len; i++) {
    const Node *node = graph->nodes.at[i];
    for (int k = 0; node->output && k < node->n_inputs; k++)
      if (node->inputs[k] == tensor && (k != 0 || !node->call.def->flattens_input))
        return false;
  }
  return true;
}

static void redirect(Graph *graph, const GTensor *from, GTensor *to) {
  for (size_t i = 0; i < graph->nodes.len; i++) {
    Node *node = graph->nodes.at[i];
    for (int k = 0; node->output && k < node->n_inputs; k++)
      if (node->inputs[k] == from) {
        node->inputs[k] = to;
        if (k < node->call.n_inputs)
          node->call.inputs[k] = to->shape;
      }
  }
}

void graph_remove_identity(Graph *graph) {
  graph_count_uses(graph);
  /* Backwards, so that a view is judged by those who read it in the end. */
  for (size_t i = graph->nodes.len; i-- > 0;) {
    Node *node = graph->nodes.at[i];
    if (!node->call.def->is_view || node->n_tails)
      continue;
    GTensor *input = node->inputs[0], *output = node->output;
    bool same = shape_equal(&input->shape, &output->shape);
    if (output->output < 0 && (same || all_readers_flatten(graph, output))) {
      redirect(graph, output, input);
      node->output = NULL;
    } else if (output->output >= 0 && same && input->producer && input->output < 0) {
      /* The producer writes the output; other readers of the input read it there. */
      redirect(graph, input, output);
      output->producer = input->producer;
      input->producer->output = output;
      node->output = NULL;
    }
  }
  graph_sweep(graph);
}
