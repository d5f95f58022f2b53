/* Pass: views that change nothing for whoever reads them go away: those that
 * keep the shape (dropout), and those whose readers all flatten their input
 * anyway. A view whose result the caller sees stays, as a copy, unless its
 * producer can write the caller's memory itself. */
#include "graph/graph.h"

typedef struct Views {
  Graph *graph;
  GTensor **stands_for; /* of each tensor, by id: the one that is read in its place; itself where it stays */
  int *n_shaped;        /* likewise: reads by nodes that do not flatten it */
} Views;

/* The tensor that is read in the place of `tensor` in the end; shortens the way there. */
static GTensor *resolve(Views *v, GTensor *tensor) {
  GTensor *end = tensor;
  while (v->stands_for[end->id] != end)
    end = v->stands_for[end->id];
  while (tensor != end) {
    GTensor *next = v->stands_for[tensor->id];
    v->stands_for[tensor->id] = end;
    tensor = next;
  }
  return end;
}

static bool flattens(const Node *node, int k) { return k == 0 && node->call.def->flattens_input; }

static void start(Views *v, Arena *scratch) {
  graph_count_uses(v->graph);
  v->stands_for = ARENA_ARRAY(scratch, GTensor *, graph_tensor_count(v->graph));
  v->n_shaped = ARENA_ARRAY(scratch, int, graph_tensor_count(v->graph));
  for (size_t i = 0; i < v->graph->inputs.len; i++)
    v->stands_for[v->graph->inputs.at[i]->id] = v->graph->inputs.at[i];
  for (size_t i = 0; i < v->graph->nodes.len; i++) {
    const Node *node = v->graph->nodes.at[i];
    v->stands_for[node->output->id] = node->output;
    for (int k = 0; k < node->n_inputs; k++)
      v->n_shaped[node->inputs[k]->id] += !flattens(node, k);
  }
}

/* Deletes a view: `from`, its input or its output, is read as `to`, the other one. */
static void remove_view(Views *v, Node *view, GTensor *from, GTensor *to) {
  v->stands_for[from->id] = to;
  v->n_shaped[to->id] += v->n_shaped[from->id] - !flattens(view, 0);
  view->output = NULL;
}

static void visit(Views *v, Node *node) {
  if (!op_call_is_view(&node->call) || node->n_tails)
    return;
  GTensor *input = resolve(v, node->inputs[0]), *output = node->output;
  bool same = shape_equal(&input->shape, &output->shape);
  if (output->output < 0 && (same || v->n_shaped[output->id] == 0)) {
    remove_view(v, node, output, input);
  } else if (output->output >= 0 && same && input->producer && input->output < 0) {
    /* The producer writes the output; other readers of the input read it there. */
    output->producer = input->producer;
    input->producer->output = output;
    remove_view(v, node, input, output);
  }
}

static void redirect_inputs(Views *v, Node *node) {
  for (int k = 0; node->output && k < node->n_inputs; k++) {
    GTensor *tensor = resolve(v, node->inputs[k]);
    if (tensor == node->inputs[k])
      continue;
    node->inputs[k] = tensor;
    if (k < node->call.n_inputs)
      node->call.inputs[k] = tensor->shape;
  }
}

void graph_remove_identity(Graph *graph) {
  Arena *scratch = arena_new();
  Views v = {.graph = graph};
  start(&v, scratch);
  /* Backwards, so that a view is judged by those who read it in the end. */
  for (size_t i = graph->nodes.len; i-- > 0;)
    visit(&v, graph->nodes.at[i]);
  for (size_t i = 0; i < graph->nodes.len; i++)
    redirect_inputs(&v, graph->nodes.at[i]);
  graph_sweep(graph);
  arena_free(scratch);
}
