/* What a network costs: multiply-accumulates, parameters, and the bytes of its
 * activations. All of it follows from the operators' own rules. */
#include "network/network.h"

#include <stdlib.h>

/* Sums stay at the greatest number instead of wrapping. */
static void add(int64_t *sum, int64_t value) {
  if (__builtin_add_overflow(*sum, value, sum))
    *sum = INT64_MAX;
}

LayerCost network_layer_cost(const Layer *layer) {
  LayerCost cost = {.macs = op_call_macs(&layer->call),
                    .activation_bytes = shape_bytes(&layer->call.output)};
  for (int i = 0; i < layer->n_weights; i++) {
    const WeightDecl *weight = layer->weights[i];
    int64_t elems = 1;
    for (int d = 0; d < weight->rank; d++)
      elems *= weight->dims[d];
    if (weight->learned)
      add(&cost.parameters, elems);
    if (weight->role == ROLE_KERNEL)
      add(&cost.weights, elems);
  }
  return cost;
}

/* From its producer to its last reader; layers are numbered from 1, 0 is before the first. */
typedef struct Life {
  const Tensor *tensor;
  size_t born, dies;
} Life;

static int compare_lives(const void *a, const void *b) {
  const char *x = (const char *)((const Life *)a)->tensor;
  const char *y = (const char *)((const Life *)b)->tensor;
  return (x > y) - (x < y);
}

static void live_until(Life *lives, size_t n, const Tensor *tensor, size_t time) {
  Life key = {tensor, 0, 0};
  Life *life = bsearch(&key, lives, n, sizeof *lives, compare_lives);
  if (life && life->dies < time)
    life->dies = time;
}

/* While a layer runs its inputs, its output and whatever waits for a later layer are alive; what
 * the network returns lives to the end. */
static int64_t peak_bytes(const Network *network) {
  Arena *arena = arena_new();
  size_t layers = network->layers.len, n = 0;
  Life *lives = ARENA_ARRAY(arena, Life, network->inputs.len + layers);
  int64_t *born = ARENA_ARRAY(arena, int64_t, layers + 2);
  int64_t *died = ARENA_ARRAY(arena, int64_t, layers + 2);
  for (size_t i = 0; i < network->inputs.len; i++)
    lives[n++] = (Life){network->inputs.at[i], 0, 0};
  for (size_t i = 0; i < layers; i++)
    lives[n++] = (Life){network->layers.at[i]->output, i + 1, i + 1};
  qsort(lives, n, sizeof *lives, compare_lives);
  for (size_t i = 0; i < layers; i++)
    for (int k = 0; k < network->layers.at[i]->call.n_inputs; k++)
      live_until(lives, n, network->layers.at[i]->inputs[k], i + 1);
  for (size_t i = 0; i < network->outputs.len; i++)
    live_until(lives, n, network->outputs.at[i].tensor, layers + 1);
  for (size_t i = 0; i < n; i++) {
    int64_t bytes = shape_bytes(&lives[i].tensor->shape);
    add(&born[lives[i].born], bytes);
    if (lives[i].dies < layers + 1)
      add(&died[lives[i].dies], bytes);
  }
  int64_t alive = 0, peak = 0;
  for (size_t time = 0; time <= layers; time++) {
    add(&alive, born[time]);
    if (alive > peak)
      peak = alive;
    alive -= died[time];
  }
  arena_free(arena);
  return peak;
}

NetworkCost network_cost(const Network *network) {
  NetworkCost cost = {.peak_bytes = peak_bytes(network)};
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    LayerCost one = network_layer_cost(layer);
    CostKind kind = op_call_cost_kind(&layer->call);
    add(&cost.total.macs, one.macs);
    add(&cost.total.parameters, one.parameters);
    add(&cost.total.weights, one.weights);
    add(&cost.total.activation_bytes, one.activation_bytes);
    add(&cost.macs_by_kind[kind], one.macs);
    add(&cost.parameters_by_kind[kind], one.parameters);
  }
  return cost;
}
