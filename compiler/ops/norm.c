/* Operators that scale and shift each channel: batch normalisation (Ioffe and
 * Szegedy 2015, inference form) and bias. They have no loops of their own: as
 * channel-affine operators they fold into the linear operator before them, or
 * become one multiplication and one addition per element. */
#include <math.h>

#include "ops/family.h"

enum { EPSILON };
enum { GAMMA, BETA, MEAN, VARIANCE };

static int64_t channels(const OpCall *call) { return call->inputs[0].dims[call->inputs[0].rank - 1]; }

static int batchnorm_weights(const OpCall *call, OpWeight *weights) {
  static const char *const suffixes[4] = {"weight", "bias", "running_mean", "running_var"};
  static const WeightRole roles[4] = {ROLE_SCALE, ROLE_BIAS, ROLE_MEAN, ROLE_VARIANCE};
  for (int i = 0; i < 4; i++)
    weights[i] = (OpWeight){suffixes[i], roles[i], i < 2, 1, {channels(call)}, 0};
  return 4;
}

static void batchnorm_affine(Arena *arena, const OpCall *call, const Recipe *const *weights, const Recipe **scale,
                             const Recipe **shift) {
  const Recipe *epsilon = recipe_const(arena, call->attrs[EPSILON].number);
  const Recipe *deviation = recipe_sqrt(arena, recipe_binary(arena, RECIPE_ADD, weights[VARIANCE], epsilon));
  *scale = recipe_binary(arena, RECIPE_DIV, weights[GAMMA], deviation);
  *shift = recipe_binary(arena, RECIPE_SUB, weights[BETA], recipe_binary(arena, RECIPE_MUL, weights[MEAN], *scale));
}

static void batchnorm_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  int64_t c = channels(call), n = shape_elems(&call->output);
  double epsilon = rational_to_double(call->attrs[EPSILON].number);
  for (int64_t i = 0; i < n; i++) {
    int64_t k = i % c;
    double normal = ((double)inputs[0].data[i] - weights[MEAN][k]) / sqrt(weights[VARIANCE][k] + epsilon);
    output[i] = (float)(normal * weights[GAMMA][k] + weights[BETA][k]);
  }
}

static void batchnorm_torch_module(Writer *w, const OpCall *call) {
  Arena *scratch = arena_new();
  write_f(w, "nn.BatchNorm%dd(%lld, eps=%s)", call->inputs[0].rank == 3 ? 2 : 1, (long long)channels(call),
          rational_text(scratch, call->attrs[EPSILON].number));
  arena_free(scratch);
}

static void module_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  write_f(w, "%s(%s)", self, x[0]);
}

static const char *batchnorm_infer(Arena *arena, OpCall *call) {
  if (call->inputs[0].rank == 2)
    return arena_printf(arena, "the input must be [height, width, channels] or [n], not %s",
                        shape_text(arena, &call->inputs[0]));
  if (call->attrs[EPSILON].number.num < 0)
    return "epsilon must not be negative";
  return infer_same(arena, call);
}

const OpDef op_batchnorm = {
    .name = "batchnorm",
    .doc = "batch normalisation with the running mean and variance",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 1,
    .attrs = {{.name = "epsilon", .type = ATTR_NUMBER, .value = {.number = {1, 1000}}, .doc = "added to the variance"}},
    .infer = batchnorm_infer,
    .weights = batchnorm_weights,
    .channel_affine = batchnorm_affine,
    .elementwise = true,
    .evaluate = batchnorm_evaluate,
    .torch_module = batchnorm_torch_module,
    .torch_forward = module_torch_forward,
};

static int bias_weights(const OpCall *call, OpWeight *weights) {
  weights[0] = (OpWeight){"bias", ROLE_BIAS, true, 1, {channels(call)}, 0};
  return 1;
}

static void bias_affine(Arena *arena, const OpCall *call, const Recipe *const *weights, const Recipe **scale,
                        const Recipe **shift) {
  (void)arena;
  (void)call;
  *scale = NULL;
  *shift = weights[0];
}

static void bias_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  int64_t c = channels(call), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++)
    output[i] = (float)((double)inputs[0].data[i] + weights[0][i % c]);
}

static void bias_torch_module(Writer *w, const OpCall *call) {
  write_f(w, "nn.ParameterDict({'bias': nn.Parameter(torch.zeros(%lld))})", (long long)channels(call));
}

static void bias_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  write_f(w, "%s + %s['bias'].view(1, -1%s)", x[0], self, call->inputs[0].rank == 3 ? ", 1, 1" : "");
}

const OpDef op_bias = {
    .name = "bias",
    .doc = "a learned constant added to every channel",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer_same,
    .weights = bias_weights,
    .channel_affine = bias_affine,
    .elementwise = true,
    .evaluate = bias_evaluate,
    .torch_module = bias_torch_module,
    .torch_forward = bias_torch_forward,
};
