/* Operators that act on each element alone: activations and the residual add. */
#include "ops/family.h"

/* A finish over operands read at the output's own position. */
static void elementwise_compute(const OpCall *call, Compute *compute, const Scalar *finish) {
  shape_hwc(&call->output, compute->out);
  compute->n_operands = call->n_inputs;
  for (int i = 0; i < call->n_inputs; i++)
    operand_pointwise(&compute->operands[i], call, i);
  compute->finish = finish;
}

static const Scalar *clamped_below(Arena *arena) {
  return scalar_op(arena, OP_MAX, scalar_operand(arena, 0), scalar_const(arena, 0), NULL);
}

static void relu_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute, clamped_below(arena));
}

static void relu6_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute, scalar_op(arena, OP_MIN, clamped_below(arena), scalar_const(arena, 6), NULL));
}

static void relu_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = inputs[0].data[i] > 0 ? inputs[0].data[i] : 0;
}

static void relu6_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  relu_evaluate(call, inputs, weights, output);
  int64_t n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = output[i] < 6 ? output[i] : 6;
}

static void relu_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  (void)self;
  write_f(w, "F.relu(%s)", x[0]);
}

static void relu6_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  (void)self;
  write_f(w, "F.relu6(%s)", x[0]);
}

const OpDef op_relu = {
    .name = "relu",
    .doc = "max(x, 0)",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer_same,
    .compute = relu_compute,
    .elementwise = true,
    .evaluate = relu_evaluate,
    .torch_forward = relu_torch_forward,
};

const OpDef op_relu6 = {
    .name = "relu6",
    .doc = "min(max(x, 0), 6)",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer_same,
    .compute = relu6_compute,
    .elementwise = true,
    .evaluate = relu6_evaluate,
    .torch_forward = relu6_torch_forward,
};

static const char *add_infer(Arena *arena, OpCall *call) {
  if (!shape_equal(&call->inputs[0], &call->inputs[1]))
    return arena_printf(arena, "both operands must have one shape, but they are %s and %s",
                        shape_text(arena, &call->inputs[0]), shape_text(arena, &call->inputs[1]));
  return infer_same(arena, call);
}

static void add_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute,
                      scalar_op(arena, OP_ADD, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL));
}

static void add_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = inputs[0].data[i] + inputs[1].data[i];
}

static void add_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  (void)self;
  write_f(w, "%s + %s", x[0], x[1]);
}

const OpDef op_add = {
    .name = "add",
    .doc = "the sum of two tensors of one shape (residual connection)",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = add_infer,
    .compute = add_compute,
    .elementwise = true,
    .evaluate = add_evaluate,
    .torch_forward = add_torch_forward,
};
