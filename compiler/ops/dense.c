/* The fully connected layer. Weights [units, n] are packed as [n, units]. */
#include "ops/family.h"

enum { UNITS, BIAS };

static const char *dense_infer(Arena *arena, OpCall *call) {
  (void)arena;
  call->output = (Shape){ELEM_F32, 1, {call->attrs[UNITS].i[0]}};
  return NULL;
}

static int dense_weights(const OpCall *call, OpWeight *weights) {
  int64_t n = shape_elems(&call->inputs[0]), units = call->output.dims[0];
  weights[0] = (OpWeight){"weight", ROLE_KERNEL, true, 2, {units, n}, n};
  if (!call->attrs[BIAS].i[0])
    return 1;
  weights[1] = (OpWeight){"bias", ROLE_BIAS, true, 1, {units}, 0};
  return 2;
}

static int64_t dense_macs(const OpCall *call) { return shape_elems(&call->inputs[0]) * call->output.dims[0]; }

static CostKind dense_cost_kind(const OpCall *call) {
  (void)call;
  return COST_DENSE;
}

static void dense_compute(Arena *arena, const OpCall *call, Compute *compute) {
  int64_t n = shape_elems(&call->inputs[0]), units = call->output.dims[0];
  bool bias = call->attrs[BIAS].i[0];
  shape_hwc(&call->output, compute->out);
  compute->n_reduce = 1;
  compute->reduce[0] = n;
  compute->reduce_label[0] = "k";
  Operand *x = &compute->operands[0], *w = &compute->operands[1];
  *x = (Operand){.source = 0, .rank = 3, .dims = {1, 1, n}};
  x->access[2].coef[DIM_R] = 1;
  *w = (Operand){.is_weight = true, .source = 0, .rank = 2, .dims = {n, units}};
  w->access[0].coef[DIM_R] = 1;
  w->access[1].coef[DIM_C] = 1;
  compute->n_operands = bias ? 3 : 2;
  if (bias)
    operand_channel(&compute->operands[2], 1, units);
  compute->init = bias ? scalar_operand(arena, 2) : scalar_const(arena, 0);
  compute->combine = scalar_op(arena, OP_ADD, scalar_acc(arena),
                               scalar_op(arena, OP_MUL, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL), NULL);
  compute->multiply_add = true;
  compute->finish = scalar_acc(arena);
}

static const Recipe *dense_pack(Arena *arena, const OpCall *call, int i, const Recipe *recipe) {
  (void)call;
  static const int axes[2] = {1, 0};
  return i == 0 ? recipe_permute(arena, recipe, axes) : recipe;
}

static void dense_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  int64_t n = shape_elems(&call->inputs[0]);
  for (int64_t u = 0; u < call->output.dims[0]; u++) {
    double sum = call->attrs[BIAS].i[0] ? weights[1][u] : 0;
    for (int64_t i = 0; i < n; i++)
      sum += (double)inputs[0].data[i] * weights[0][u * n + i];
    output[u] = (float)sum;
  }
}

static void dense_torch_module(Writer *w, const OpCall *call) {
  write_f(w, "nn.Linear(%lld, %lld, bias=%s)", (long long)shape_elems(&call->inputs[0]), (long long)call->output.dims[0],
          call->attrs[BIAS].i[0] ? "True" : "False");
}

static void dense_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  write_f(w, call->inputs[0].rank == 3 ? "%s(%s.permute(0, 2, 3, 1).flatten(1))" : "%s(%s.flatten(1))", self, x[0]);
}

const OpDef op_dense = {
    .name = "dense",
    .doc = "fully connected layer; a feature map is flattened in [height, width, channel] order",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 2,
    .attrs = {{.name = "units", .type = ATTR_INT, .required = true, .min = 1, .doc = "length of the output"},
              {.name = "bias", .type = ATTR_BOOL, .value = {.i = {1}}, .doc = "add a learned constant per unit"}},
    .infer = dense_infer,
    .weights = dense_weights,
    .macs = dense_macs,
    .cost_kind = dense_cost_kind,
    .compute = dense_compute,
    .pack = dense_pack,
    .evaluate = dense_evaluate,
    .linear = true,
    .bias_attr = BIAS,
    .flattens_input = true,
    .torch_module = dense_torch_module,
    .torch_forward = dense_torch_forward,
};
