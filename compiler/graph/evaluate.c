/* The oracle: each node by its operator's reference evaluation, in order, every
 * tensor whole in memory of its own. */
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

typedef struct Evaluation {
  const Graph *graph;
  const Weights *weights;
  float **inputs;  /* one per graph input, malloc'd */
  float **results; /* one per node, malloc'd */
} Evaluation;

static const float *tensor_data(const Evaluation *e, const GTensor *tensor) {
  return tensor->producer ? e->results[(size_t)tensor->id - e->graph->inputs.len] : e->inputs[tensor->input];
}

static float *new_floats(int64_t n) {
  float *data = calloc((size_t)n, sizeof *data);
  if (!data)
    BUG("out of memory in the evaluator");
  return data;
}

static void evaluate_call(const Evaluation *e, const OpCall *call, const EvalTensor *inputs, const Recipe *const *recipes,
                          int n_weights, float *output) {
  double *weights[OP_MAX_WEIGHTS] = {0};
  for (int i = 0; i < n_weights; i++) {
    weights[i] = calloc((size_t)recipe_elems(recipes[i]), sizeof *weights[i]);
    if (!weights[i])
      BUG("out of memory in the evaluator");
    recipe_evaluate(recipes[i], e->weights, weights[i]);
  }
  call->def->evaluate(call, inputs, (const double *const *)weights, output);
  for (int i = 0; i < n_weights; i++)
    free(weights[i]);
}

/* The tensor's elements in the order of `shape`, whose dimension i is the tensor's dimension order[i]. */
static float *permuted(const Shape *shape, const int *order, const float *data) {
  int64_t seen[SHAPE_MAX_RANK], stored[SHAPE_MAX_RANK], at[SHAPE_MAX_RANK];
  shape_hwc(shape, seen);
  for (int i = 0; i < SHAPE_MAX_RANK; i++)
    stored[order[i]] = seen[i];
  float *floats = new_floats(shape_elems(shape)), *next = floats;
  for (int64_t y = 0; y < seen[0]; y++)
    for (int64_t x = 0; x < seen[1]; x++)
      for (int64_t c = 0; c < seen[2]; c++) {
        at[order[0]] = y;
        at[order[1]] = x;
        at[order[2]] = c;
        *next++ = data[(at[0] * stored[1] + at[1]) * stored[2] + at[2]];
      }
  return floats;
}

static float *evaluate_node(const Evaluation *e, const Node *node) {
  EvalTensor inputs[OP_MAX_INPUTS];
  float *own[OP_MAX_INPUTS] = {0};
  for (int i = 0; i < node->call.n_inputs; i++) {
    inputs[i] = (EvalTensor){node->call.inputs[i], tensor_data(e, node->inputs[i])};
    if (node->permuted[i])
      inputs[i].data = own[i] = permuted(&inputs[i].shape, node->permuted[i], inputs[i].data);
  }
  float *result = new_floats(shape_elems(&node->output->shape));
  evaluate_call(e, &node->call, inputs, node->weights, node->n_weights, result);
  for (int i = 0; i < node->call.n_inputs; i++)
    free(own[i]);
  for (int t = 0; t < node->n_tails; t++) {
    const Tail *tail = &node->tails[t];
    int next = tail->first_input;
    for (int i = 0; i < tail->call.n_inputs; i++)
      inputs[i] = (EvalTensor){tail->call.inputs[i], i == tail->chain ? result : tensor_data(e, node->inputs[next++])};
    float *after = new_floats(shape_elems(&node->output->shape));
    evaluate_call(e, &tail->call, inputs, tail->weights, tail->n_weights, after);
    free(result);
    result = after;
  }
  return result;
}

/* Elements of `shape` as the evaluator's numbers, which hold them exactly (an i32 is an index of a channel). */
static float *as_floats(const Shape *shape, const void *data) {
  int64_t n = shape_elems(shape);
  float *floats = new_floats(n);
  if (shape->elem == ELEM_U8)
    for (int64_t i = 0; i < n; i++)
      floats[i] = ((const uint8_t *)data)[i];
  else
    memcpy(floats, data, (size_t)n * sizeof *floats);
  return floats;
}

static void from_floats(const Shape *shape, const float *floats, void *data) {
  int64_t n = shape_elems(shape);
  if (shape->elem == ELEM_I32)
    for (int64_t i = 0; i < n; i++)
      ((int32_t *)data)[i] = (int32_t)floats[i];
  else
    memcpy(data, floats, (size_t)n * sizeof *floats);
}

static void free_all(float **at, size_t n) {
  for (size_t i = 0; i < n; i++)
    free(at[i]);
  free(at);
}

void graph_evaluate(const Graph *graph, const Weights *weights, const void *const *inputs, void *const *outputs) {
  Evaluation e = {graph, weights, calloc(graph->inputs.len + 1, sizeof(float *)),
                  calloc(graph->nodes.len + 1, sizeof(float *))};
  if (!e.results || !e.inputs)
    BUG("out of memory in the evaluator");
  for (size_t i = 0; i < graph->inputs.len; i++)
    e.inputs[i] = as_floats(&graph->inputs.at[i]->shape, inputs[i]);
  for (size_t i = 0; i < graph->nodes.len; i++)
    e.results[i] = evaluate_node(&e, graph->nodes.at[i]);
  for (size_t i = 0; i < graph->outputs.len; i++)
    from_floats(&graph->outputs.at[i]->shape, tensor_data(&e, graph->outputs.at[i]), outputs[i]);
  free_all(e.inputs, graph->inputs.len);
  free_all(e.results, graph->nodes.len);
}
