/* The graph's text: one node a line, tails behind bars, recipes below.
 *
 *     t3: f32[4, 4, 8] = conv(1x1, 8, stride = 1x1, …)(t2) | relu6 | add(t1)   // conv0
 *         weight 0: mul(conv0.weight[8,4,1,1], …) */
#include "graph/graph.h"

static void print_call(Writer *w, const OpCall *call) {
  write_text(w, call->def->name);
  if (call->def->n_attrs == 0)
    return;
  write_text(w, "(");
  for (int i = 0; i < call->def->n_attrs; i++) {
    write_text(w, i ? ", " : "");
    if (!call->def->attrs[i].required)
      write_f(w, "%s = ", call->def->attrs[i].name);
    attr_print(w, &call->def->attrs[i], &call->attrs[i]);
  }
  write_text(w, ")");
}

static void print_weights(Writer *w, const char *owner, const Recipe *const *weights, int n) {
  for (int i = 0; i < n; i++) {
    write_f(w, "%s weight %d: ", owner, i);
    recipe_print(w, weights[i]);
    write_text(w, "\n");
  }
}

static void print_node(Writer *w, const Node *node) {
  write_f(w, "%s: ", node->output->name);
  shape_print(w, &node->output->shape);
  write_text(w, " = ");
  print_call(w, &node->call);
  write_text(w, " <- ");
  for (int i = 0; i < node->call.n_inputs; i++) {
    const int *order = node->permuted[i];
    write_f(w, "%s%s", i ? ", " : "", node->inputs[i]->name);
    if (order)
      write_f(w, " as [%d, %d, %d]", order[0], order[1], order[2]);
  }
  for (int t = 0; t < node->n_tails; t++) {
    const Tail *tail = &node->tails[t];
    write_text(w, " | ");
    print_call(w, &tail->call);
    for (int i = 0; i < tail->call.n_inputs - 1; i++)
      write_f(w, " %s", node->inputs[tail->first_input + i]->name);
  }
  if (node->output->output >= 0)
    write_f(w, " -> output");
  write_f(w, "  // %s\n", node->path);
  w->indent++;
  print_weights(w, node->call.def->name, node->weights, node->n_weights);
  for (int t = 0; t < node->n_tails; t++)
    print_weights(w, node->tails[t].call.def->name, node->tails[t].weights, node->tails[t].n_weights);
  w->indent--;
}

void graph_print(Writer *w, const Graph *graph) {
  write_f(w, "graph %s {\n", graph->name);
  w->indent++;
  for (size_t i = 0; i < graph->inputs.len; i++) {
    write_f(w, "input %s: ", graph->inputs.at[i]->name);
    shape_print(w, &graph->inputs.at[i]->shape);
    write_text(w, "\n");
  }
  for (size_t i = 0; i < graph->nodes.len; i++)
    print_node(w, graph->nodes.at[i]);
  for (size_t i = 0; i < graph->outputs.len; i++)
    write_f(w, "output %s = %s\n", graph->output_names.at[i], graph->outputs.at[i]->name);
  w->indent--;
  write_text(w, "}\n");
}

void graph_print_dot(Writer *w, const Graph *graph) {
  write_text(w, "digraph ");
  write_quoted(w, graph->name);
  write_text(w, " {\n");
  w->indent++;
  write_text(w, "node [shape=box];\n");
  for (size_t i = 0; i < graph->inputs.len; i++)
    write_f(w, "\"%s\" [shape=ellipse];\n", graph->inputs.at[i]->name);
  for (size_t i = 0; i < graph->nodes.len; i++) {
    const Node *node = graph->nodes.at[i];
    write_f(w, "\"%s\" [label=\"%s", node->output->name, node->call.def->name);
    for (int t = 0; t < node->n_tails; t++)
      write_f(w, " | %s", node->tails[t].call.def->name);
    write_f(w, "\\n%s\\n", node->path);
    shape_print(w, &node->output->shape);
    write_text(w, "\"];\n");
    for (int k = 0; k < node->n_inputs; k++)
      write_f(w, "\"%s\" -> \"%s\";\n", node->inputs[k]->name, node->output->name);
  }
  for (size_t i = 0; i < graph->outputs.len; i++) {
    write_f(w, "\"output %s\" [shape=ellipse];\n", graph->output_names.at[i]);
    write_f(w, "\"%s\" -> \"output %s\";\n", graph->outputs.at[i]->name, graph->output_names.at[i]);
  }
  w->indent--;
  write_text(w, "}\n");
}
