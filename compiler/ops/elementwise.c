/* Operators that act on each element alone: relu, relu6, and the sum, difference
 * and product of two tensors. */
#include "ops/family.h"

void elementwise_compute(const OpCall *call, Compute *compute, const Scalar *finish) {
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

static void sub_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute,
                      scalar_op(arena, OP_SUB, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL));
}

static void sub_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = inputs[0].data[i] - inputs[1].data[i];
}

static void sub_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  (void)self;
  write_f(w, "%s - %s", x[0], x[1]);
}

const OpDef op_sub = {
    .name = "sub",
    .doc = "the first tensor less the second, of one shape",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = add_infer,
    .compute = sub_compute,
    .elementwise = true,
    .evaluate = sub_evaluate,
    .torch_forward = sub_torch_forward,
};

/* [1, 1, C] for an [H, W, C]. */
static bool broadcasts_to(const Shape *a, const Shape *b) {
  return a->elem == b->elem && a->rank == 3 && b->rank == 3 && a->dims[0] == 1 && a->dims[1] == 1 &&
         a->dims[2] == b->dims[2];
}

static const char *mul_infer(Arena *arena, OpCall *call) {
  const Shape *a = &call->inputs[0], *b = &call->inputs[1];
  if (!shape_equal(a, b) && !broadcasts_to(a, b) && !broadcasts_to(b, a))
    return arena_printf(arena,
                        "both operands must have one shape, or one of them be [1, 1, channels], but they are %s and %s",
                        shape_text(arena, a), shape_text(arena, b));
  call->output = broadcasts_to(a, b) ? *b : *a;
  return NULL;
}

static void mul_compute(Arena *arena, const OpCall *call, Compute *compute) {
  elementwise_compute(call, compute,
                      scalar_op(arena, OP_MUL, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL));
}

static void mul_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t n = shape_elems(&call->output), n0 = shape_elems(&call->inputs[0]), n1 = shape_elems(&call->inputs[1]);
  for (int64_t i = 0; i < n; i++)
    output[i] = inputs[0].data[i % n0] * inputs[1].data[i % n1];
}

static void mul_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  (void)self;
  write_f(w, "%s * %s", x[0], x[1]);
}

const OpDef op_mul = {
    .name = "mul",
    .doc = "the product of two tensors of one shape, or of one and a factor per channel [1, 1, channels] (squeeze and "
           "excite)",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = mul_infer,
    .compute = mul_compute,
    .elementwise = true,
    .evaluate = mul_evaluate,
    .torch_forward = mul_torch_forward,
};
