/* Softmax and argmax over the channels, and the small operators they expand to:
 *
 *     m = channel_max(x);  e = exp_difference(x, m);  s = channel_sum(e);  e / s
 *     m = channel_max(x);  channel_of(x, m)
 */
#include <math.h>

#include "ops/family.h"

static int64_t channels(const Shape *shape) { return shape->dims[shape->rank - 1]; }

static const char *one_channel_infer(Arena *arena, OpCall *call) {
  (void)arena;
  call->output = call->inputs[0];
  call->output.dims[call->output.rank - 1] = 1;
  return NULL;
}

static void over_channels(const OpCall *call, Compute *compute) {
  shape_hwc(&call->output, compute->out);
  compute->n_reduce = 1;
  compute->reduce[0] = channels(&call->inputs[0]);
  compute->reduce_label[0] = "k";
  compute->n_operands = 1;
  Operand *x = &compute->operands[0];
  *x = (Operand){.source = 0, .rank = 3};
  shape_hwc(&call->inputs[0], x->dims);
  for (int i = 0; i < 3; i++)
    x->access[i].coef[i < 2 ? i : DIM_R] = 1;
}

static void channel_max_compute(Arena *arena, const OpCall *call, Compute *compute) {
  over_channels(call, compute);
  compute->init = scalar_const(arena, -INFINITY);
  compute->combine = scalar_op(arena, OP_MAX, scalar_acc(arena), scalar_operand(arena, 0), NULL);
  compute->finish = scalar_acc(arena);
}

static void channel_sum_compute(Arena *arena, const OpCall *call, Compute *compute) {
  over_channels(call, compute);
  compute->init = scalar_const(arena, 0);
  compute->combine = scalar_op(arena, OP_ADD, scalar_acc(arena), scalar_operand(arena, 0), NULL);
  compute->finish = scalar_acc(arena);
}

static void channel_max_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t c = channels(&call->inputs[0]), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++) {
    float most = inputs[0].data[i * c];
    for (int64_t k = 1; k < c; k++)
      most = inputs[0].data[i * c + k] > most ? inputs[0].data[i * c + k] : most;
    output[i] = most;
  }
}

static void channel_sum_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t c = channels(&call->inputs[0]), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    for (int64_t k = 0; k < c; k++)
      sum += (double)inputs[0].data[i * c + k];
    output[i] = (float)sum;
  }
}

/* x and one value per pixel, broadcast over the channels. */
static void with_pixel_value(const OpCall *call, Compute *compute) {
  shape_hwc(&call->output, compute->out);
  compute->n_operands = 2;
  operand_pointwise(&compute->operands[0], call, 0);
  operand_pointwise(&compute->operands[1], call, 1);
}

static void exp_difference_compute(Arena *arena, const OpCall *call, Compute *compute) {
  with_pixel_value(call, compute);
  compute->finish =
      scalar_fn(arena, SCALAR_FN_EXP, scalar_op(arena, OP_SUB, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL));
}

static void quotient_compute(Arena *arena, const OpCall *call, Compute *compute) {
  with_pixel_value(call, compute);
  compute->finish = scalar_op(arena, OP_DIV, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL);
}

static void exp_difference_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights,
                                    float *output) {
  (void)weights;
  int64_t c = channels(&call->output), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = (float)exp((double)inputs[0].data[i] - (double)inputs[1].data[i / c]);
}

static void quotient_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t c = channels(&call->output), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = inputs[0].data[i] / inputs[1].data[i / c];
}

/* The least k with x[k] = m. Without one (NaN) the last channel, so that the result is always an index. */
static const char *channel_of_infer(Arena *arena, OpCall *call) {
  const char *problem = one_channel_infer(arena, call);
  call->output.elem = ELEM_I32;
  return problem;
}

static void channel_of_compute(Arena *arena, const OpCall *call, Compute *compute) {
  over_channels(call, compute);
  compute->elem = ELEM_I32;
  compute->n_operands = 2;
  Operand *m = &compute->operands[1];
  *m = (Operand){.source = 1, .rank = 3};
  shape_hwc(&call->inputs[1], m->dims);
  m->access[0].coef[DIM_Y] = m->access[1].coef[DIM_X] = 1;
  const Scalar *last = scalar_whole(arena, (int32_t)(channels(&call->inputs[0]) - 1));
  const Scalar *found = scalar_op(arena, OP_EQ, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL);
  compute->init = last;
  compute->combine = scalar_op(arena, OP_MIN, scalar_acc(arena),
                               scalar_op(arena, OP_SELECT, found, scalar_index(arena, DIM_R), last), NULL);
  compute->finish = scalar_acc(arena);
}

static void channel_of_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t c = channels(&call->inputs[0]), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++) {
    int64_t k = 0;
    while (k < c - 1 && inputs[0].data[i * c + k] != inputs[1].data[i])
      k++;
    output[i] = (float)k;
  }
}

const OpDef op_channel_max = {
    .name = "channel_max",
    .doc = "maximum over the channels",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = one_channel_infer,
    .compute = channel_max_compute,
    .evaluate = channel_max_evaluate,
    .internal = true,
};

const OpDef op_channel_sum = {
    .name = "channel_sum",
    .doc = "sum over the channels",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = one_channel_infer,
    .compute = channel_sum_compute,
    .evaluate = channel_sum_evaluate,
    .internal = true,
};

const OpDef op_exp_difference = {
    .name = "exp_difference",
    .doc = "exp(x - m), m one value per pixel",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_same,
    .compute = exp_difference_compute,
    .evaluate = exp_difference_evaluate,
    .internal = true,
};

const OpDef op_quotient = {
    .name = "quotient",
    .doc = "x / s, s one value per pixel",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_same,
    .compute = quotient_compute,
    .evaluate = quotient_evaluate,
    .internal = true,
};

const OpDef op_channel_of = {
    .name = "channel_of",
    .doc = "the first channel whose value is m, one value per pixel",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = channel_of_infer,
    .compute = channel_of_compute,
    .evaluate = channel_of_evaluate,
    .internal = true,
};

static void step_init(Arena *arena, OpStep *step, const OpDef *def, const Shape *a, int operand_a, const Shape *b,
                      int operand_b) {
  op_call_init(&step->call, def);
  step->call.inputs[0] = *a;
  step->operands[0] = operand_a;
  step->call.n_inputs = 1;
  if (b) {
    step->call.inputs[1] = *b;
    step->operands[1] = operand_b;
    step->call.n_inputs = 2;
  }
  const char *problem = def->infer(arena, &step->call);
  if (problem)
    BUG("'%s' does not expand: %s", def->name, problem);
}

static int softmax_expand(Arena *arena, const OpCall *call, OpStep *steps) {
  const Shape *x = &call->inputs[0];
  step_init(arena, &steps[0], &op_channel_max, x, 0, NULL, 0);
  step_init(arena, &steps[1], &op_exp_difference, x, 0, &steps[0].call.output, 1);
  step_init(arena, &steps[2], &op_channel_sum, &steps[1].call.output, 2, NULL, 0);
  step_init(arena, &steps[3], &op_quotient, &steps[1].call.output, 2, &steps[2].call.output, 3);
  return 4;
}

static void softmax_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t c = channels(&call->output), n = shape_elems(&call->output) / c;
  for (int64_t i = 0; i < n; i++) {
    const float *x = inputs[0].data + i * c;
    double most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < c; k++)
      most = (double)x[k] > most ? (double)x[k] : most;
    for (int64_t k = 0; k < c; k++)
      sum += exp((double)x[k] - most);
    for (int64_t k = 0; k < c; k++)
      output[i * c + k] = (float)(exp((double)x[k] - most) / sum);
  }
}

static void softmax_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_f(w, "F.softmax(%s, %d)", x[0], torch_channel_dim(&call->output));
}

const OpDef op_softmax = {
    .name = "softmax",
    .doc = "exp(x) / sum of exp(x) over the last dimension",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer_same,
    .expand = softmax_expand,
    .evaluate = softmax_evaluate,
    .torch_forward = softmax_torch_forward,
};

/* Indices are numbers of the evaluator too, whose floats hold whole numbers to 2^24. */
enum { MAX_INDEXED = 1 << 24 };

static const char *argmax_infer(Arena *arena, OpCall *call) {
  if (channels(&call->inputs[0]) > MAX_INDEXED)
    return arena_printf(arena, "there are more than %d channels", MAX_INDEXED);
  return channel_of_infer(arena, call);
}

static int argmax_expand(Arena *arena, const OpCall *call, OpStep *steps) {
  const Shape *x = &call->inputs[0];
  step_init(arena, &steps[0], &op_channel_max, x, 0, NULL, 0);
  step_init(arena, &steps[1], &op_channel_of, x, 0, &steps[0].call.output, 1);
  return 2;
}

static void argmax_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t c = channels(&call->inputs[0]), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++) {
    const float *x = inputs[0].data + i * c;
    int64_t best = 0;
    for (int64_t k = 1; k < c; k++)
      best = x[k] > x[best] ? k : best;
    output[i] = (float)best;
  }
}

static void argmax_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_f(w, "%s.argmax(%d, keepdim=True).int()", x[0], torch_channel_dim(&call->output));
}

const OpDef op_argmax = {
    .name = "argmax",
    .doc = "the number of the channel with the greatest value, the first of equal ones, as i32",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = argmax_infer,
    .expand = argmax_expand,
    .evaluate = argmax_evaluate,
    .torch_forward = argmax_torch_forward,
};
