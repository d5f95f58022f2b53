/* The network: parameters bound, blocks expanded, every shape known.
 *
 * A list of layers in execution order, each one operator application with its
 * path ("separable7.2.depthwise0"), on tensors. Printed, it is itself a
 * program in the language, without parameters or blocks, that compiles to the
 * same dump.
 *
 * Invariants (network_verify): inputs of a layer are defined before it; shapes
 * are what the operator infers; paths are unique; every output names a tensor. */
#ifndef MNCC_NETWORK_NETWORK_H
#define MNCC_NETWORK_NETWORK_H

#include "ast/ast.h"
#include "ops/op.h"

typedef struct Layer Layer;

typedef struct Tensor {
  const char *
      name; /* inputs: the declared name; let and output values: that name; others "t12". Unique. */
  Shape shape;
  Layer *producer; /* null: a network input */
  Loc loc;
} Tensor;

struct Layer {
  const char *path; /* "separable0.depthwise0" or the name = "…" override */
  OpCall call;
  Tensor *inputs[OP_MAX_INPUTS];
  Tensor *output;
  int n_weights;
  WeightDecl *weights[OP_MAX_WEIGHTS]; /* named PATH.suffix */
  Loc loc;
};

typedef struct NetworkOutput {
  const char *name;
  Tensor *tensor;
  Loc loc;
  /* What the channels are called: in a file, a line each, beside the file that `loc` is in, or as a
   * list. */
  const char *labels_file; /* null: none */
  VEC(const char *) labels;
} NetworkOutput;

typedef struct Network {
  Arena *arena;
  const char *name;
  const char *weights_file; /* as the network names it; may be null */
  Loc loc;
  VEC(Tensor *) inputs;
  VEC(Layer *) layers;
  VEC(NetworkOutput) outputs;
  VEC(const WeightDecl *) weights; /* of all layers, in order */
} Network;

/* A value given on the command line: -D name=value, --alpha, --rho. `text` for messages. */
typedef struct Binding {
  const char *name;
  Rational value;
  const char *option; /* "--alpha 1/3" */
  bool used;
} Binding;

typedef struct NetworkOptions {
  Binding *bindings;
  size_t n_bindings;
  int64_t
      resolution;   /* 0: not given; sets rho = resolution / height of the first input at rho = 1 */
  bool no_warnings; /* for a network that was built before with other values */
} NetworkOptions;

/* Binds parameters, expands blocks, infers shapes. Errors to diag; null then. */
Network *network_build(Arena *arena, Diag *diag, const AstFile *file,
                       const NetworkOptions *options);

/* The i-th function that is there without a definition, and the i-th word that is a value; null behind the last. */
const char *network_function(size_t i);
const char *network_word(size_t i);

void network_print(Writer *w, const Network *network);
/* The network as a PyTorch module whose state_dict names are the weights' names (--emit=pytorch).
 */
void network_print_pytorch(Writer *w, const Network *network);
/* Aborts (BUG) with the dump if an invariant does not hold. */
void network_verify(const Network *network);

/* ---- costs (network/cost.c) ---- */

typedef struct LayerCost {
  int64_t macs;
  int64_t parameters;       /* what training would learn: weights, biases, gamma and beta */
  int64_t weights;          /* kernels alone (ROLE_KERNEL): what the papers count beside the MACs */
  int64_t activation_bytes; /* of the output */
} LayerCost;
LayerCost network_layer_cost(const Layer *layer);

typedef struct NetworkCost {
  LayerCost total;    /* activation_bytes: the sum */
  int64_t peak_bytes; /* largest set of tensors alive at once, every layer on its own: inputs,
                         outputs and what waits */
  int64_t macs_by_kind[5], parameters_by_kind[5]; /* CostKind */
} NetworkCost;
NetworkCost network_cost(const Network *network);

#endif
