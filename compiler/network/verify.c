/* The network's invariants (see the header). A failure is mncc's own bug. */
#include "network/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn static void fail(const Network *network, const char *what, const char *where) {
  Writer w;
  writer_init(&w);
  network_print(&w, network);
  fwrite(w.data, 1, w.len, stderr);
  BUG("network: %s: %s", where, what);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_unique(const Network *network, const char **names, size_t n, const char *what) {
  qsort(names, n, sizeof *names, compare_names);
  for (size_t i = 1; i < n; i++)
    if (strcmp(names[i - 1], names[i]) == 0)
      fail(network, what, names[i]);
}

static void check_layer(const Network *network, Arena *arena, const Layer *layer, size_t index) {
  const OpCall *call = &layer->call;
  if (!layer->path || !*layer->path)
    fail(network, "a layer without a path", call->def->name);
  if (call->n_inputs < call->def->min_inputs || call->n_inputs > call->def->max_inputs)
    fail(network, "the wrong number of inputs", layer->path);
  for (int i = 0; i < call->n_inputs; i++)
    if (!layer->inputs[i] || !shape_equal(&layer->inputs[i]->shape, &call->inputs[i]))
      fail(network, "an input's shape is not the call's", layer->path);
  OpCall again = *call;
  memset(&again.output, 0, sizeof again.output);
  if (call->def->infer(arena, &again) || !shape_equal(&again.output, &call->output))
    fail(network, "the output's shape is not what the operator infers", layer->path);
  if (!layer->output || layer->output->producer != layer ||
      !shape_equal(&layer->output->shape, &call->output))
    fail(network, "the output is not this layer's", layer->path);
  if (network->layers.at[index] != layer)
    fail(network, "layers are out of order", layer->path);
  OpWeight weights[OP_MAX_WEIGHTS];
  memset(weights, 0, sizeof weights);
  if (op_call_weights(call, weights) != layer->n_weights)
    fail(network, "the wrong number of weights", layer->path);
}

/* Inputs of a layer are network inputs or outputs of earlier layers: both sorted by address. */
static int compare_pointers(const void *a, const void *b) {
  const char *x = *(const char *const *)a, *y = *(const char *const *)b;
  return (x > y) - (x < y);
}

typedef struct Place {
  const void *tensor;
  size_t index; /* of its producer + 1; 0: an input */
} Place;

static const Place *find_place(const Place *places, size_t n, const Tensor *tensor) {
  Place key = {tensor, 0};
  return bsearch(&key, places, n, sizeof *places, compare_pointers);
}

static void check_order(const Network *network, Arena *arena) {
  size_t n = 0;
  Place *places = ARENA_ARRAY(arena, Place, network->inputs.len + network->layers.len);
  for (size_t i = 0; i < network->inputs.len; i++)
    places[n++] = (Place){network->inputs.at[i], 0};
  for (size_t i = 0; i < network->layers.len; i++)
    places[n++] = (Place){network->layers.at[i]->output, i + 1};
  qsort(places, n, sizeof *places, compare_pointers);
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    for (int k = 0; k < layer->call.n_inputs; k++) {
      const Place *place = find_place(places, n, layer->inputs[k]);
      if (!place || place->index > i)
        fail(network, "an input is not defined before", layer->path);
    }
  }
  for (size_t i = 0; i < network->outputs.len; i++)
    if (!find_place(places, n, network->outputs.at[i].tensor))
      fail(network, "an output names no tensor", network->outputs.at[i].name);
}

void network_verify(const Network *network) {
  Arena *arena = arena_new();
  size_t n_inputs = network->inputs.len, n_layers = network->layers.len, n = 0, w = 0;
  const char **names = ARENA_ARRAY(arena, const char *, n_inputs + n_layers);
  for (size_t i = 0; i < n_inputs; i++) {
    if (network->inputs.at[i]->producer)
      fail(network, "an input has a producer", network->inputs.at[i]->name);
    names[n++] = network->inputs.at[i]->name;
  }
  for (size_t i = 0; i < n_layers; i++) {
    check_layer(network, arena, network->layers.at[i], i);
    names[n++] = network->layers.at[i]->output->name;
  }
  check_unique(network, names, n, "two tensors have one name");
  for (size_t i = 0; i < n_layers; i++)
    names[i] = network->layers.at[i]->path;
  check_unique(network, names, n_layers, "two layers have one path");
  n = network->outputs.len;
  names = ARENA_ARRAY(arena, const char *, n);
  for (size_t i = 0; i < n; i++)
    names[i] = network->outputs.at[i].name;
  check_unique(network, names, n, "two outputs have one name");
  for (size_t i = 0; i < n_layers; i++)
    for (int k = 0; k < network->layers.at[i]->n_weights; k++, w++)
      if (w >= network->weights.len || network->weights.at[w] != network->layers.at[i]->weights[k])
        fail(network, "weights are out of order", network->layers.at[i]->path);
  if (w != network->weights.len)
    fail(network, "there are weights of no layer", network->name);
  check_order(network, arena);
  arena_free(arena);
}
