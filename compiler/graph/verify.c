/* Checks the invariants of graph.h; a violation is a bug of the pass before. */
#include <stdio.h>
#include <stdlib.h>

#include "graph/graph.h"

static _Noreturn void fail(const Graph *graph, const Node *node, const char *invariant) {
  Writer w;
  writer_init(&w);
  graph_print(&w, graph);
  fprintf(stderr, "%s", w.data);
  BUG("graph: %s: %s", node ? node->path : "outputs", invariant);
}

static void verify_weights(const Graph *graph, const Node *node, const OpCall *call, const Recipe *const *weights, int n) {
  OpWeight wanted[OP_MAX_WEIGHTS];
  if (op_call_weights(call, wanted) != n)
    fail(graph, node, "the number of weights is not what the operator asks for");
  for (int i = 0; i < n; i++) {
    bool same = wanted[i].rank == weights[i]->rank;
    for (int d = 0; same && d < wanted[i].rank; d++)
      same = wanted[i].dims[d] == weights[i]->dims[d];
    if (!same)
      fail(graph, node, "a weight's shape is not what the operator asks for");
  }
}

/* Input k of the call, as its tensor is stored. */
static bool shape_is_tensors(const Node *node, int k) {
  if (!node->permuted[k])
    return shape_equal(&node->call.inputs[k], &node->inputs[k]->shape);
  int64_t seen[SHAPE_MAX_RANK], stored[SHAPE_MAX_RANK];
  shape_hwc(&node->call.inputs[k], seen);
  shape_hwc(&node->inputs[k]->shape, stored);
  bool same = node->call.inputs[k].elem == node->inputs[k]->shape.elem;
  for (int i = 0; i < SHAPE_MAX_RANK; i++)
    same = same && seen[i] == stored[node->permuted[k][i]];
  return same;
}

/* Each tail continues a value of the node's shape; its other operands may have any that it infers. */
static void verify_tail(const Graph *graph, Arena *scratch, const Node *node, const Tail *tail) {
  OpCall call = tail->call;
  if (!call.def->elementwise)
    fail(graph, node, "a tail is not elementwise");
  if (call.def->infer(scratch, &call) || !shape_equal(&call.output, &node->output->shape))
    fail(graph, node, "a tail has another shape than the node");
  int next = tail->first_input;
  for (int i = 0; i < call.n_inputs; i++) {
    const Shape *wanted = i == tail->chain ? &node->output->shape : &node->inputs[next]->shape;
    next += i != tail->chain;
    if (!shape_equal(&call.inputs[i], wanted))
      fail(graph, node, "a tail's operand has another shape than its tensor");
  }
  verify_weights(graph, node, &tail->call, tail->weights, tail->n_weights);
}

void graph_verify(const Graph *graph) {
  Arena *scratch = arena_new();
  for (size_t i = 0; i < graph->nodes.len; i++) {
    const Node *node = graph->nodes.at[i];
    if (!node->output || node->output->producer != node || node->output->id != (int)(graph->inputs.len + i))
      fail(graph, node, "the output does not name its producer");
    OpCall call = node->call;
    if (call.def->infer(scratch, &call) || !shape_equal(&call.output, &node->call.output) ||
        !shape_equal(&call.output, &node->output->shape))
      fail(graph, node, "the output's shape is not what the operator infers");
    for (int k = 0; k < node->n_inputs; k++) {
      const GTensor *input = node->inputs[k];
      if (k < node->call.n_inputs && !shape_is_tensors(node, k))
        fail(graph, node, "an input's shape differs from its tensor's");
      if (input->id >= (int)(graph->inputs.len + i))
        fail(graph, node, "an input is read before it is defined");
    }
    verify_weights(graph, node, &node->call, node->weights, node->n_weights);
    for (int t = 0; t < node->n_tails; t++)
      verify_tail(graph, scratch, node, &node->tails[t]);
  }
  for (size_t i = 0; i < graph->outputs.len; i++)
    if (!graph->outputs.at[i]->producer && graph->outputs.at[i]->input < 0)
      fail(graph, NULL, "an output has no producer");
  arena_free(scratch);
}
