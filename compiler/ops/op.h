/* What an operator is.
 *
 * An operator is one OpDef (in a file of its family) and one line in ops.def.
 * The grammar knows applications, passes ask about properties, printers print
 * from the attribute table: nothing outside this folder names an operator.
 *
 * Tensors are [H, W, C], or [n] after dense or flatten; no batch dimension. */
#ifndef MNCC_OPS_OP_H
#define MNCC_OPS_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "ops/compute.h"
#include "support/arena.h"
#include "support/rational.h"
#include "support/writer.h"
#include "weights/recipe.h"
#include "weights/weights.h"

enum { OP_MAX_ATTRS = 10, OP_MAX_INPUTS = 8, OP_MAX_WEIGHTS = 4, SHAPE_MAX_RANK = 3 };

typedef struct Shape {
  Elem elem;
  int rank; /* 1 ([n]) to 3 ([H, W, C]) */
  int64_t dims[SHAPE_MAX_RANK];
} Shape;

/* Elements, or -1 on overflow of int64. */
int64_t shape_elems(const Shape *shape);
int64_t shape_bytes(const Shape *shape);
bool shape_equal(const Shape *a, const Shape *b);
void shape_print(Writer *w, const Shape *shape); /* f32[112, 112, 32] */
const char *shape_text(Arena *arena, const Shape *shape);
/* The shape seen as [H, W, C]: leading ones added. */
void shape_hwc(const Shape *shape, int64_t hwc[3]);

/* ---- attributes ---- */

typedef enum AttrType {
  ATTR_INT,     /* a whole number >= min: i[0] */
  ATTR_KERNEL,  /* 3x5, k, or [kh, kw]: i[0] = kh, i[1] = kw, each >= min */
  ATTR_PADDING, /* same, valid, p, [ph, pw] or [top, left, bottom, right]: padding, i[0..3] = top, left, bottom, right */
  ATTR_NUMBER,  /* a rational: number */
  ATTR_BOOL,    /* true, false */
  ATTR_DIMS,    /* [a, b, c]: n, i[0..n-1], each >= min */
  ATTR_NUMBERS  /* a rational, or a list of one per channel: n, numbers */
} AttrType;

typedef enum Padding { PADDING_SAME, PADDING_VALID, PADDING_EXPLICIT } Padding;

typedef struct AttrValue {
  bool given; /* by the user (printers print every value) */
  int64_t i[4];
  int n;
  Padding padding;
  Rational number;
  const Rational *numbers;
} AttrValue;

typedef struct AttrDef {
  const char *name;
  AttrType type;
  bool required;       /* positional attributes come first, in this order */
  bool named_only;     /* not accepted positionally */
  AttrValue value;     /* the default */
  int64_t min;         /* INT, KERNEL, DIMS */
  const char *doc;     /* a phrase for docs/operators.md and --print-ops */
} AttrDef;

/* Prints a value as the language reads it: 3x3, same, [0, 0, 1, 1], 0.001, true. */
void attr_print(Writer *w, const AttrDef *def, const AttrValue *value);

/* ---- an operator applied ---- */

typedef struct OpDef OpDef;
typedef struct OpStep OpStep;

typedef struct OpCall {
  const OpDef *def;
  AttrValue attrs[OP_MAX_ATTRS]; /* in the order of def->attrs, all filled in */
  int n_inputs;
  Shape inputs[OP_MAX_INPUTS];
  Shape output;
} OpCall;

/* What a layer's cost counts as. */
typedef enum CostKind {
  COST_STANDARD,  /* convolution over space and channels */
  COST_DEPTHWISE,
  COST_POINTWISE, /* 1x1 convolution */
  COST_DENSE,
  COST_OTHER
} CostKind;

/* A tensor of the weights file that a call needs; layout PyTorch's. */
typedef struct OpWeight {
  const char *suffix; /* "weight", "bias", "running_mean" */
  WeightRole role;
  bool learned;
  int rank;
  int64_t dims[4];
  int64_t fan_in;
} OpWeight;

/* How an evaluated tensor looks to an operator's evaluate: row-major [H, W, C]. */
typedef struct EvalTensor {
  Shape shape;
  const float *data;
} EvalTensor;

struct OpDef {
  const char *name;
  const char *doc; /* one line: what it computes */
  int min_inputs, max_inputs;
  int n_attrs;
  AttrDef attrs[OP_MAX_ATTRS];

  /* Sets call->output from attrs and inputs. Null, or what is wrong, in words (arena text). */
  const char *(*infer)(Arena *arena, OpCall *call);

  /* Fills `weights` (OP_MAX_WEIGHTS), returns how many. Null: none. */
  int (*weights)(const OpCall *call, OpWeight *weights);

  /* Multiply-accumulates of one inference; null: 0. */
  int64_t (*macs)(const OpCall *call);
  CostKind (*cost_kind)(const OpCall *call); /* null: COST_OTHER */

  /* The compute description. Null: the operator expands, or is channel-affine. */
  void (*compute)(Arena *arena, const OpCall *call, Compute *compute);

  /* Weight `i` in the layout that compute's access maps index, from its PyTorch layout. Null: unchanged. */
  const Recipe *(*pack)(Arena *arena, const OpCall *call, int i, const Recipe *recipe);

  /* Constants that compute reads beside the weights; the i-th is weight source OP_MAX_WEIGHTS + i. */
  const Recipe *(*table)(Arena *arena, const OpCall *call, int i);

  /* Instead of compute: calls of smaller operators, in order. Operand numbers: 0.. are the call's inputs, then the
   * results of earlier steps. The last result is the call's. Returns the number of steps. */
  int (*expand)(Arena *arena, const OpCall *call, OpStep *steps);

  /* Reference: plain loops, double accumulation, rounded to f32 on writing. Weights in PyTorch's layout. */
  void (*evaluate)(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output);

  /* ---- properties that passes ask for ---- */

  /* output[.., c] = input[.., c] * scale[c] + shift[c], as recipes of shape [C] from the call's weights (batch
   * normalisation, bias). *scale or *shift null: 1 or 0. */
  void (*channel_affine)(Arena *arena, const OpCall *call, const Recipe *const *weights, const Recipe **scale, const Recipe **shift);

  /* Linear in weight 0, with an optional bias (weight 1, present when the attribute number `bias_attr` is true). The
   * output channel is dimension `output_axis` of weight 0: 0, or 1, where dimension 0 holds the inputs of one group
   * behind the other, [groups * inputs, outputs of a group, ...]. */
  bool linear;
  int output_axis;
  int bias_attr;

  /* Elements outside the input count as zero: fills the resolved [top, left, bottom, right]. The padding is attribute
   * number `padding_attr`, so that a zero pad before the call can be absorbed. Null: not so. */
  void (*zero_padding)(const OpCall *call, int64_t pads[4]);
  int padding_attr;
  /* Fills [top, left, bottom, right] if this call only surrounds its input with zeros. */
  bool (*pads_zero)(const OpCall *call, int64_t pads[4]);

  /* The output has the same elements in the same order as input 0 (dropout, flatten, reshape); see op_call_is_view. */
  bool is_view;
  /* Fills `order` if this call only permutes dimensions: dimension i of the output, seen as [H, W, C], is dimension
   * order[i] of the input, seen so. Null: not so. */
  bool (*permutes)(const OpCall *call, int order[SHAPE_MAX_RANK]);
  /* What the inputs may hold: f32 only, unless input 0 may be u8, or any type will do. */
  bool takes_u8, takes_any;
  /* Input 0 is read as a flat vector whatever its shape. */
  bool flattens_input;
  /* Each output element depends only on the same element of every input: may be absorbed as a tail. */
  bool elementwise;

  /* --emit=pytorch. Module constructor text such as "nn.Conv2d(3, 8, (3, 3), …)" (null: no module), and the
   * expression of forward; `self` is the module's name, x[i] the inputs (NCHW tensors, or [N, n]). */
  void (*torch_module)(Writer *w, const OpCall *call);
  void (*torch_forward)(Writer *w, const OpCall *call, const char *self, const char *const *x);

  /* The name is known, the operator not supported: the reason, and what would do. Nothing else is set then. */
  const char *refusal;

  bool internal; /* result of expansion only: not applicable by name */
};

enum { OP_MAX_STEPS = 8 };
struct OpStep {
  OpCall call; /* attrs and inputs filled in; output inferred */
  int operands[OP_MAX_INPUTS];
};

/* The operator that the attributes of an input stand for. */
const OpDef *op_input_def(void);
/* The operator that copies its input. */
const OpDef *op_copy_def(void);
/* By name (internal ones too); null if unknown. */
const OpDef *op_find(const char *name);
size_t op_count(void);
const OpDef *op_at(size_t i);
int op_attr_index(const OpDef *def, const char *name); /* -1: none */

/* docs/operators.md (--print-ops). */
void op_print_all(Writer *w);
/* The section of the manual page mn(5) (--print-ops-man). */
void op_print_manual(Writer *w);

/* A call with default attributes. */
void op_call_init(OpCall *call, const OpDef *def);
int op_call_weights(const OpCall *call, OpWeight *weights);
int64_t op_call_macs(const OpCall *call);
/* A view, or a permutation that moves only dimensions of one. */
bool op_call_is_view(const OpCall *call);
CostKind op_call_cost_kind(const OpCall *call);

#endif
