/* network → graph: one node a layer, weights as recipes of the file's tensors;
 * and the bookkeeping that the passes share. */
#include "graph/graph.h"

static GTensor *tensor_new(Graph *graph, const char *name, const Shape *shape) {
  GTensor *tensor = ARENA_NEW(graph->arena, GTensor);
  tensor->name = name;
  tensor->shape = *shape;
  tensor->input = tensor->output = -1;
  return tensor;
}

/* The graph's tensor for a network's, by pointer. */
typedef struct Pair {
  const Tensor *from;
  GTensor *to;
} Pair;

typedef struct Map {
  Pair *at;
  size_t cap; /* a power of two */
} Map;

static Pair *map_slot(const Map *map, const Tensor *from) {
  size_t i = ((size_t)(const void *)from >> 4) * 0x9e3779b97f4a7c15u;
  for (i ^= i >> 32;; i++) {
    Pair *pair = &map->at[i & (map->cap - 1)];
    if (!pair->from || pair->from == from)
      return pair;
  }
}

static void map_put(Map *map, const Tensor *from, GTensor *to) { *map_slot(map, from) = (Pair){from, to}; }

Graph *graph_build(Arena *arena, const Network *network) {
  Graph *graph = ARENA_NEW(arena, Graph);
  graph->arena = arena;
  graph->network = network;
  graph->name = network->name;
  Map map = {.cap = 16};
  while (map.cap < 2 * (network->inputs.len + network->layers.len))
    map.cap *= 2;
  Arena *scratch = arena_new();
  map.at = ARENA_ARRAY(scratch, Pair, map.cap);

  for (size_t i = 0; i < network->inputs.len; i++) {
    GTensor *tensor = tensor_new(graph, network->inputs.at[i]->name, &network->inputs.at[i]->shape);
    tensor->input = (int)i;
    map_put(&map, network->inputs.at[i], tensor);
    VEC_PUSH(arena, graph->inputs, tensor);
  }
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    Node *node = ARENA_NEW(arena, Node);
    node->path = layer->path;
    node->call = layer->call;
    node->loc = layer->loc;
    node->macs = op_call_macs(&layer->call);
    node->n_inputs = layer->call.n_inputs;
    for (int k = 0; k < node->n_inputs; k++)
      node->inputs[k] = map_slot(&map, layer->inputs[k])->to;
    node->n_weights = layer->n_weights;
    for (int k = 0; k < node->n_weights; k++)
      node->weights[k] = recipe_tensor(arena, layer->weights[k]->name, layer->weights[k]->rank, layer->weights[k]->dims);
    node->output = tensor_new(graph, layer->output->name, &layer->output->shape);
    node->output->producer = node;
    map_put(&map, layer->output, node->output);
    VEC_PUSH(arena, graph->nodes, node);
  }
  for (size_t i = 0; i < network->outputs.len; i++) {
    GTensor *tensor = map_slot(&map, network->outputs.at[i].tensor)->to;
    if (tensor->output < 0)
      tensor->output = (int)i;
    VEC_PUSH(arena, graph->outputs, tensor);
    VEC_PUSH(arena, graph->output_names, network->outputs.at[i].name);
  }
  arena_free(scratch);
  graph_count_uses(graph);
  return graph;
}

void graph_count_uses(Graph *graph) {
  int id = 0;
  for (size_t i = 0; i < graph->inputs.len; i++) {
    graph->inputs.at[i]->n_uses = 0;
    graph->inputs.at[i]->id = id++;
  }
  for (size_t i = 0; i < graph->nodes.len; i++) {
    graph->nodes.at[i]->output->n_uses = 0;
    graph->nodes.at[i]->output->id = id++;
  }
  for (size_t i = 0; i < graph->nodes.len; i++)
    for (int k = 0; k < graph->nodes.at[i]->n_inputs; k++)
      graph->nodes.at[i]->inputs[k]->n_uses++;
}

int graph_tensor_count(const Graph *graph) { return (int)(graph->inputs.len + graph->nodes.len); }

void graph_sweep(Graph *graph) {
  size_t n = 0;
  for (size_t i = 0; i < graph->nodes.len; i++)
    if (graph->nodes.at[i]->output)
      graph->nodes.at[n++] = graph->nodes.at[i];
  graph->nodes.len = n;
  graph_count_uses(graph);
}
