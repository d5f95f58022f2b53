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

/* ---- normalize: constants of the network, where batchnorm's are learned ---- */

enum { NORMAL_MEAN, NORMAL_SCALE };

/* The number for channel `c`. */
static Rational of_channel(const AttrValue *value, int64_t c) { return value->numbers[value->n > 1 ? c : 0]; }

static const char *normalize_infer(Arena *arena, OpCall *call) {
  int64_t c = channels(call);
  for (int i = 0; i < 2; i++) {
    const AttrValue *value = &call->attrs[i];
    if (value->n != 1 && value->n != c)
      return arena_printf(arena, "'%s' has %d numbers, but there %s %lld channel%s", call->def->attrs[i].name, value->n,
                          c == 1 ? "is" : "are", (long long)c, c == 1 ? "" : "s");
  }
  for (int64_t k = 0; k < c; k++) {
    bool ok = true;
    rational_neg(rational_mul(of_channel(&call->attrs[NORMAL_MEAN], k), of_channel(&call->attrs[NORMAL_SCALE], k), &ok), &ok);
    if (!ok)
      return "the product of mean and scale is out of range";
  }
  call->output = call->inputs[0];
  call->output.elem = ELEM_F32;
  return NULL;
}

/* (x - mean) * scale = x * scale + (-mean * scale). */
static void normalize_affine(Arena *arena, const OpCall *call, const Recipe *const *weights, const Recipe **scale,
                             const Recipe **shift) {
  (void)weights;
  int64_t c = channels(call);
  Rational *scales = ARENA_ARRAY(arena, Rational, c), *shifts = ARENA_ARRAY(arena, Rational, c);
  bool any_scale = false, any_shift = false, ok = true;
  for (int64_t k = 0; k < c; k++) {
    scales[k] = of_channel(&call->attrs[NORMAL_SCALE], k);
    shifts[k] = rational_neg(rational_mul(of_channel(&call->attrs[NORMAL_MEAN], k), scales[k], &ok), &ok);
    any_scale = any_scale || scales[k].num != 1 || scales[k].den != 1;
    any_shift = any_shift || shifts[k].num != 0;
  }
  *scale = any_scale ? recipe_list(arena, scales, c) : NULL;
  *shift = any_shift ? recipe_list(arena, shifts, c) : NULL;
}

static void normalize_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t c = channels(call), n = shape_elems(&call->output);
  for (int64_t i = 0; i < n; i++) {
    double mean = rational_to_double(of_channel(&call->attrs[NORMAL_MEAN], i % c));
    double scale = rational_to_double(of_channel(&call->attrs[NORMAL_SCALE], i % c));
    output[i] = (float)(((double)inputs[0].data[i] - mean) * scale);
  }
}

/* A number, or a tensor that broadcasts along the channels. */
static void write_torch_numbers(Writer *w, const OpCall *call, int attr) {
  const AttrValue *value = &call->attrs[attr];
  Arena *scratch = arena_new();
  write_text(w, value->n > 1 ? "torch.tensor([" : "(");
  for (int i = 0; i < value->n; i++)
    write_f(w, "%s%s", i ? ", " : "", rational_text(scratch, value->numbers[i]));
  write_text(w, value->n == 1 ? ")" : call->inputs[0].rank == 3 ? "]).view(1, -1, 1, 1)" : "])");
  arena_free(scratch);
}

static void normalize_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_f(w, "(%s.float() - ", x[0]);
  write_torch_numbers(w, call, NORMAL_MEAN);
  write_text(w, ") * ");
  write_torch_numbers(w, call, NORMAL_SCALE);
}

static const Rational zero = {0, 1}, one = {1, 1};

const OpDef op_normalize = {
    .name = "normalize",
    .doc = "(x - mean) * scale, as f32; x may be u8",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 2,
    .attrs = {{.name = "mean", .type = ATTR_NUMBERS, .value = {.n = 1, .numbers = &zero}, .doc = "taken from x"},
              {.name = "scale", .type = ATTR_NUMBERS, .value = {.n = 1, .numbers = &one}, .doc = "by which the difference is multiplied"}},
    .infer = normalize_infer,
    .channel_affine = normalize_affine,
    .takes_u8 = true,
    .elementwise = true,
    .evaluate = normalize_evaluate,
    .torch_forward = normalize_torch_forward,
};
