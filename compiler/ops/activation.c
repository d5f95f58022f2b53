/* Activations beyond relu and relu6: the leaky ones, and those made of a
 * sigmoid or of its piecewise linear likeness. */
#include <math.h>

#include "ops/family.h"

static const Scalar *operation(Arena *arena, LoopOp op, const Scalar *a, const Scalar *b) {
  return scalar_op(arena, op, a, b, NULL);
}

/* x < 0 ? slope * x : x */
static const Scalar *leaky(Arena *arena, const Scalar *x, const Scalar *slope) {
  const Scalar *negative = operation(arena, OP_LT, x, scalar_const(arena, 0));
  return scalar_op(arena, OP_SELECT, negative, operation(arena, OP_MUL, x, slope), x);
}

/* min(max(x + 3, 0), 6) / 6, the division as a product. */
static const Scalar *hard_sigmoid(Arena *arena, const Scalar *x) {
  const Scalar *shifted = operation(arena, OP_ADD, x, scalar_const(arena, 3));
  const Scalar *above = operation(arena, OP_MAX, shifted, scalar_const(arena, 0));
  const Scalar *inside = operation(arena, OP_MIN, above, scalar_const(arena, 6));
  return operation(arena, OP_MUL, inside, scalar_const(arena, 1.0f / 6));
}

static void leaky_relu_compute(Arena *arena, const OpCall *call, Compute *compute) {
  float slope = (float)rational_to_double(call->attrs[0].number);
  elementwise_compute(call, compute, leaky(arena, scalar_operand(arena, 0), scalar_const(arena, slope)));
}

static void prelu_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute, leaky(arena, scalar_operand(arena, 0), scalar_operand(arena, 1)));
  operand_channel(&compute->operands[1], 0, compute->out[2]);
  compute->n_operands = 2;
}

static void sigmoid_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute, scalar_fn(arena, SCALAR_FN_SIGMOID, scalar_operand(arena, 0)));
}

static void tanh_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute, scalar_fn(arena, SCALAR_FN_TANH, scalar_operand(arena, 0)));
}

static void swish_compute(Arena *arena, const OpCall *call, Compute *compute) {
  const Scalar *x = scalar_operand(arena, 0);
  elementwise_compute(call, compute, operation(arena, OP_MUL, x, scalar_fn(arena, SCALAR_FN_SIGMOID, x)));
}

static void hard_sigmoid_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute, hard_sigmoid(arena, scalar_operand(arena, 0)));
}

static void hard_swish_compute(Arena *arena, const OpCall *call, Compute *compute) {
  const Scalar *x = scalar_operand(arena, 0);
  elementwise_compute(call, compute, operation(arena, OP_MUL, x, hard_sigmoid(arena, x)));
}

/* ---- evaluation ---- */

static void evaluate_each(const OpCall *call, const EvalTensor *x, double (*f)(double), float *output) {
  int64_t n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = (float)f((double)x->data[i]);
}

static double exact_sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double exact_swish(double x) { return x * exact_sigmoid(x); }

static double exact_hard_sigmoid(double x) { return x < -3 ? 0 : x > 3 ? 1 : (x + 3) / 6; }

static double exact_hard_swish(double x) { return x * exact_hard_sigmoid(x); }

#define EVALUATE(name, f)                                                                                              \
  static void name##_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights,              \
                              float *output) {                                                                         \
    (void)weights;                                                                                                     \
    evaluate_each(call, &inputs[0], f, output);                                                                        \
  }
EVALUATE(sigmoid, exact_sigmoid)
EVALUATE(tanh, tanh)
EVALUATE(swish, exact_swish)
EVALUATE(hard_sigmoid, exact_hard_sigmoid)
EVALUATE(hard_swish, exact_hard_swish)
#undef EVALUATE

static void leaky_relu_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights,
                                float *output) {
  (void)weights;
  double slope = rational_to_double(call->attrs[0].number);
  int64_t n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++) {
    double x = (double)inputs[0].data[i];
    output[i] = (float)(x < 0 ? slope * x : x);
  }
}

static int64_t channels(const OpCall *call) { return call->inputs[0].dims[call->inputs[0].rank - 1]; }

static void prelu_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  int64_t n = shape_elems(&call->output), c = channels(call);
  for (int64_t i = 0; i < n; i++) {
    double x = (double)inputs[0].data[i];
    output[i] = (float)(x < 0 ? weights[0][i % c] * x : x);
  }
}

static int prelu_weights(const OpCall *call, OpWeight *weights) {
  weights[0] = (OpWeight){"weight", ROLE_SCALE, true, 1, {channels(call)}, 0};
  return 1;
}

/* ---- PyTorch ---- */

#define TORCH(name, function)                                                                                          \
  static void name##_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {            \
    (void)call;                                                                                                        \
    (void)self;                                                                                                        \
    write_f(w, function "(%s)", x[0]);                                                                                 \
  }
TORCH(sigmoid, "torch.sigmoid")
TORCH(tanh, "torch.tanh")
TORCH(swish, "F.silu")
TORCH(hard_sigmoid, "F.hardsigmoid")
TORCH(hard_swish, "F.hardswish")
#undef TORCH

static void leaky_relu_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_f(w, "F.leaky_relu(%s, %.17g)", x[0], rational_to_double(call->attrs[0].number));
}

static void prelu_torch_module(Writer *w, const OpCall *call) {
  write_f(w, "nn.PReLU(%lld)", (long long)channels(call));
}

/* The module's slopes belong to dimension 1. */
static void prelu_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  bool last = torch_channel_dim(&call->output) != 1;
  write_f(w, last ? "%s(%s.transpose(1, 2)).transpose(1, 2)" : "%s(%s)", self, x[0]);
}

/* ---- the definitions ---- */

const OpDef op_leaky_relu = {
    .name = "leaky_relu",
    .doc = "x < 0 ? slope * x : x",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 1,
    .attrs = {{.name = "slope", .type = ATTR_NUMBER, .value = {.number = {1, 100}}, .doc = "factor of negative elements"}},
    .infer = infer_same,
    .compute = leaky_relu_compute,
    .elementwise = true,
    .evaluate = leaky_relu_evaluate,
    .torch_forward = leaky_relu_torch_forward,
};

const OpDef op_prelu = {
    .name = "prelu",
    .doc = "x < 0 ? slope * x : x, with a learned slope per channel",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer_same,
    .weights = prelu_weights,
    .compute = prelu_compute,
    .elementwise = true,
    .evaluate = prelu_evaluate,
    .torch_module = prelu_torch_module,
    .torch_forward = prelu_torch_forward,
};

#define ACTIVATION(identifier, text)                                                                                   \
  const OpDef op_##identifier = {                                                                                      \
      .name = #identifier,                                                                                             \
      .doc = text,                                                                                                     \
      .min_inputs = 1,                                                                                                 \
      .max_inputs = 1,                                                                                                 \
      .infer = infer_same,                                                                                             \
      .compute = identifier##_compute,                                                                                 \
      .elementwise = true,                                                                                             \
      .evaluate = identifier##_evaluate,                                                                               \
      .torch_forward = identifier##_torch_forward,                                                                     \
  }

ACTIVATION(sigmoid, "1 / (1 + exp(-x))");
ACTIVATION(hard_sigmoid, "min(max(x + 3, 0), 6) / 6");
ACTIVATION(swish, "x / (1 + exp(-x))");
ACTIVATION(hard_swish, "x * min(max(x + 3, 0), 6) / 6");
ACTIVATION(tanh, "hyperbolic tangent");
