/* The graph: operators on tensors after the algebra: batch normalisation
 * folded into weights, activations and residual adds absorbed as tails,
 * paddings and permutations absorbed, identities gone, big operators expanded.
 *
 * Weights are recipes. Invariants (graph_verify): nodes are in topological
 * order; shapes are consistent; every node has a compute description; tails
 * are elementwise with the node's output shape; each weight recipe has the
 * shape its operator asks for; outputs have producers or are inputs. */
#ifndef MNCC_GRAPH_GRAPH_H
#define MNCC_GRAPH_GRAPH_H

#include "network/network.h"

typedef struct Node Node;


/* A tensor of the graph. Without passes each is a tensor of the network. */
typedef struct GTensor {
  const char *name; /* "t3", an input's or an output's name */
  Shape shape;
  Node *producer; /* null: input `input` */
  int input;      /* -1, or position among the network's inputs */
  int output;     /* -1, or position among the network's outputs */
  int n_uses;     /* by nodes; see graph_count_uses */
  int id;         /* 0, 1, … over all tensors, likewise */
} GTensor;

enum { NODE_MAX_TAILS = 4, NODE_MAX_INPUTS = OP_MAX_INPUTS + NODE_MAX_TAILS };

/* An elementwise call applied to the node's result. Its input 0 is the value so far; further inputs are
 * node->inputs[first_input ...]. */
typedef struct Tail {
  OpCall call;
  int chain;       /* which input of `call` is the value so far */
  int first_input; /* of node->inputs; its other inputs, in order */
  const char *path;
  int n_weights;
  const Recipe *weights[OP_MAX_WEIGHTS];
} Tail;

struct Node {
  const char *path; /* of the layer it came from */
  OpCall call;
  int n_inputs; /* call's, then the tails' */
  GTensor *inputs[NODE_MAX_INPUTS];
  /* Dimension i of call.inputs[k], seen as [H, W, C], is dimension permuted[k][i] of inputs[k]; null: as it is. */
  const int *permuted[OP_MAX_INPUTS];
  int n_weights;
  const Recipe *weights[OP_MAX_WEIGHTS]; /* PyTorch layout */
  int n_tails;
  Tail tails[NODE_MAX_TAILS];
  GTensor *output;
  Loc loc;
  int64_t macs;
};

typedef struct Graph {
  Arena *arena;
  const Network *network;
  const char *name;
  VEC(GTensor *) inputs;
  VEC(GTensor *) outputs; /* the tensor of each network output; may repeat, may be an input */
  VEC(const char *) output_names;
  VEC(Node *) nodes;
} Graph;

/* One node a layer. */
Graph *graph_build(Arena *arena, const Network *network);

/* Recomputes every tensor's n_uses and id. */
void graph_count_uses(Graph *graph);
/* Deletes the nodes that a pass has marked by setting output to null. */
void graph_sweep(Graph *graph);
/* Tensors in the graph: one more than the largest id. */
int graph_tensor_count(const Graph *graph);

/* Passes, a file each. */
void graph_expand(Graph *graph);           /* operators with `expand` become their steps */
void graph_fold_batchnorm(Graph *graph);   /* channel-affine nodes into the linear node before them */
void graph_fold_affine(Graph *graph);      /* channel-affine nodes into the linear node behind them */
void graph_absorb_padding(Graph *graph);   /* zero pads into the convolution behind them */
void graph_absorb_permutation(Graph *graph); /* transposed inputs into the accesses of those that read them */
void graph_remove_identity(Graph *graph);  /* views that change nothing for their reader */
void graph_absorb_elementwise(Graph *graph); /* activations, residual adds: tails of their producer */
void graph_separate_outputs(Graph *graph); /* a copy for an output that is an input or another output too */

void graph_print(Writer *w, const Graph *graph);
void graph_print_dot(Writer *w, const Graph *graph);
void graph_verify(const Graph *graph);

/* The node's compute description, tails composed into finish. Operands: the call's, then the tails'; the source of a
 * tensor operand is its number in node->inputs, that of a weight operand is for node_weight. */
void node_compute(Arena *arena, const Node *node, Compute *compute);
/* What weight operand `source` is: "weight", "bias", "scale". */
const char *node_weight_name(const Node *node, int source);
/* Recipe behind weight operand `source`, in compute layout. */
const Recipe *node_weight(Arena *arena, const Node *node, int source);

/* ---- the oracle (graph/evaluate.c) ---- */

/* Evaluates the graph, before or after any pass (the numbers agree up to rounding). inputs: one array per graph input;
 * outputs: one per output, filled; of their tensors' elements. Plain loops, accumulation in double, f32 between
 * operators. */
void graph_evaluate(const Graph *graph, const Weights *weights, const void *const *inputs, void *const *outputs);

#endif
