/* Pass: every output gets memory of its own to be written to: an output that is
 * a network input, or that repeats another output, becomes a copy. */
#include "graph/graph.h"

void graph_separate_outputs(Graph *graph) {
  for (size_t i = 0; i < graph->outputs.len; i++) {
    GTensor *tensor = graph->outputs.at[i];
    if (tensor->producer && tensor->output == (int)i)
      continue;
    Node *copy = ARENA_NEW(graph->arena, Node);
    copy->path = arena_printf(graph->arena, "output.%s", graph->output_names.at[i]);
    op_call_init(&copy->call, op_copy_def());
    copy->call.n_inputs = copy->n_inputs = 1;
    copy->call.inputs[0] = copy->call.output = tensor->shape;
    copy->inputs[0] = tensor;
    copy->output = ARENA_NEW(graph->arena, GTensor);
    copy->output->name = graph->output_names.at[i];
    copy->output->shape = tensor->shape;
    copy->output->input = -1;
    copy->output->output = (int)i;
    copy->output->producer = copy;
    graph->outputs.at[i] = copy->output;
    if (!tensor->producer && tensor->output == (int)i)
      tensor->output = -1;
    VEC_PUSH(graph->arena, graph->nodes, copy);
  }
  graph_count_uses(graph);
}
