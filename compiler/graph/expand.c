/* Pass: operators too big for one compute description become their steps.
 *
 * Needs nothing; leaves only nodes that have a compute description or are
 * channel-affine. */
#include "graph/graph.h"

void graph_expand(Graph *graph) {
  VEC(Node *) nodes = {0};
  for (size_t i = 0; i < graph->nodes.len; i++) {
    Node *node = graph->nodes.at[i];
    if (!node->call.def->expand) {
      VEC_PUSH(graph->arena, nodes, node);
      continue;
    }
    OpStep steps[OP_MAX_STEPS] = {0};
    int n = node->call.def->expand(graph->arena, &node->call, steps);
    GTensor *results[OP_MAX_STEPS];
    for (int s = 0; s < n; s++) {
      Node *part = ARENA_NEW(graph->arena, Node);
      part->path = arena_printf(graph->arena, "%s.%s", node->path, steps[s].call.def->name);
      part->loc = node->loc;
      part->call = steps[s].call;
      part->n_inputs = steps[s].call.n_inputs;
      for (int k = 0; k < part->n_inputs; k++) {
        int operand = steps[s].operands[k];
        part->inputs[k] = operand < node->call.n_inputs ? node->inputs[operand] : results[operand - node->call.n_inputs];
      }
      if (s == n - 1) {
        part->output = node->output;
        part->macs = node->macs;
      } else {
        part->output = ARENA_NEW(graph->arena, GTensor);
        part->output->name = arena_printf(graph->arena, "%s_%s", node->output->name, steps[s].call.def->name);
        part->output->shape = steps[s].call.output;
        part->output->input = part->output->output = -1;
      }
      part->output->producer = part;
      results[s] = part->output;
      VEC_PUSH(graph->arena, nodes, part);
    }
  }
  graph->nodes.len = 0;
  for (size_t i = 0; i < nodes.len; i++)
    VEC_PUSH(graph->arena, graph->nodes, nodes.at[i]);
  graph_count_uses(graph);
}
