/* Convolutions: standard and pointwise (`conv`), and depthwise with a channel
 * multiplier. Weights come in PyTorch's layout [out, in, kh, kw] and are packed
 * as [kh, kw, in, out], the order in which the loops read them. */
#include "ops/family.h"

enum { KERNEL, CHANNELS, STRIDE, PADDING, DILATION, GROUPS, BIAS }; /* conv */
enum { DW_KERNEL, DW_STRIDE, DW_PADDING, DW_DILATION, DW_MULTIPLIER, DW_BIAS };

#define ONE_BY_ONE {.i = {1, 1}}

static const char *conv_window(Arena *arena, const OpCall *call, int kernel, int stride, int padding, int dilation,
                               Window *window) {
  int64_t in[3];
  shape_hwc(&call->inputs[0], in);
  for (int i = 0; i < 2; i++) {
    window->kernel[i] = call->attrs[kernel].i[i];
    window->stride[i] = call->attrs[stride].i[i];
    window->dilation[i] = call->attrs[dilation].i[i];
  }
  return window_resolve(arena, window, &call->attrs[padding], in[0], in[1]);
}

/* After infer has accepted the call. */
static Window known_window(const OpCall *call, int kernel, int stride, int padding, int dilation) {
  Arena *arena = arena_new();
  Window window;
  const char *problem = conv_window(arena, call, kernel, stride, padding, dilation, &window);
  if (problem)
    BUG("%s: %s", call->def->name, problem);
  arena_free(arena);
  return window;
}

static Window conv_known_window(const OpCall *call) { return known_window(call, KERNEL, STRIDE, PADDING, DILATION); }

static Window depthwise_known_window(const OpCall *call) {
  return known_window(call, DW_KERNEL, DW_STRIDE, DW_PADDING, DW_DILATION);
}

static void copy_pads(const Window *window, int64_t pads[4]) {
  for (int i = 0; i < 4; i++)
    pads[i] = window->pads[i];
}

static void conv_zero_padding(const OpCall *call, int64_t pads[4]) {
  Window window = conv_known_window(call);
  copy_pads(&window, pads);
}

static void depthwise_zero_padding(const OpCall *call, int64_t pads[4]) {
  Window window = depthwise_known_window(call);
  copy_pads(&window, pads);
}

static const char *need_map(Arena *arena, const OpCall *call) {
  if (call->inputs[0].rank == 3)
    return NULL;
  return arena_printf(arena, "the input must be a feature map [height, width, channels], not %s",
                      shape_text(arena, &call->inputs[0]));
}

static const char *conv_infer(Arena *arena, OpCall *call) {
  const char *problem = need_map(arena, call);
  Window window;
  if (!problem)
    problem = conv_window(arena, call, KERNEL, STRIDE, PADDING, DILATION, &window);
  if (problem)
    return problem;
  int64_t in = call->inputs[0].dims[2], out = call->attrs[CHANNELS].i[0], groups = call->attrs[GROUPS].i[0];
  if (in % groups || out % groups)
    return arena_printf(arena, "%lld groups must divide both the %lld input and the %lld output channels",
                        (long long)groups, (long long)in, (long long)out);
  call->output = (Shape){ELEM_F32, 3, {window.out[0], window.out[1], out}};
  return NULL;
}

/* Input channels that one output channel reads. */
static int64_t conv_depth(const OpCall *call) { return call->inputs[0].dims[2] / call->attrs[GROUPS].i[0]; }

static const char *depthwise_infer(Arena *arena, OpCall *call) {
  const char *problem = need_map(arena, call);
  Window window;
  if (!problem)
    problem = conv_window(arena, call, DW_KERNEL, DW_STRIDE, DW_PADDING, DW_DILATION, &window);
  if (problem)
    return problem;
  int64_t channels;
  if (__builtin_mul_overflow(call->inputs[0].dims[2], call->attrs[DW_MULTIPLIER].i[0], &channels))
    return "too many channels";
  call->output = (Shape){ELEM_F32, 3, {window.out[0], window.out[1], channels}};
  return NULL;
}

static int with_bias(OpWeight *weights, bool bias, int64_t channels) {
  if (!bias)
    return 1;
  weights[1] = (OpWeight){"bias", ROLE_BIAS, true, 1, {channels}, 0};
  return 2;
}

static int conv_weights(const OpCall *call, OpWeight *weights) {
  const int64_t *k = call->attrs[KERNEL].i;
  int64_t in = conv_depth(call), out = call->output.dims[2];
  weights[0] = (OpWeight){"weight", ROLE_KERNEL, true, 4, {out, in, k[0], k[1]}, in * k[0] * k[1]};
  return with_bias(weights, call->attrs[BIAS].i[0], out);
}

static int depthwise_weights(const OpCall *call, OpWeight *weights) {
  const int64_t *k = call->attrs[DW_KERNEL].i;
  int64_t out = call->output.dims[2];
  weights[0] = (OpWeight){"weight", ROLE_KERNEL, true, 4, {out, 1, k[0], k[1]}, k[0] * k[1]};
  return with_bias(weights, call->attrs[DW_BIAS].i[0], out);
}

static int64_t conv_macs(const OpCall *call) {
  const int64_t *k = call->attrs[KERNEL].i;
  return shape_elems(&call->output) * k[0] * k[1] * conv_depth(call);
}

static int64_t depthwise_macs(const OpCall *call) {
  const int64_t *k = call->attrs[DW_KERNEL].i;
  return shape_elems(&call->output) * k[0] * k[1];
}

static CostKind conv_cost_kind(const OpCall *call) {
  const int64_t *k = call->attrs[KERNEL].i;
  return k[0] == 1 && k[1] == 1 ? COST_POINTWISE : COST_STANDARD;
}

static CostKind depthwise_cost_kind(const OpCall *call) {
  (void)call;
  return COST_DEPTHWISE;
}

/* acc = bias or 0; acc + input * weight over the reduction. */
static void sum_of_products(Arena *arena, Compute *compute, bool bias) {
  compute->init = bias ? scalar_operand(arena, 2) : scalar_const(arena, 0);
  compute->combine = scalar_op(arena, OP_ADD, scalar_acc(arena),
                               scalar_op(arena, OP_MUL, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL), NULL);
  compute->multiply_add = true;
  compute->finish = scalar_acc(arena);
  compute->n_operands = bias ? 3 : 2;
  if (bias)
    operand_channel(&compute->operands[2], 1, compute->out[2]);
}

static void conv_compute(Arena *arena, const OpCall *call, Compute *compute) {
  Window window = conv_known_window(call);
  int64_t in[3];
  shape_hwc(&call->inputs[0], in);
  shape_hwc(&call->output, compute->out);
  compute->n_reduce = 3;
  const int64_t reduce[3] = {window.kernel[0], window.kernel[1], conv_depth(call)};
  const char *const labels[3] = {"ky", "kx", "k"};
  for (int i = 0; i < 3; i++) {
    compute->reduce[i] = reduce[i];
    compute->reduce_label[i] = labels[i];
  }
  Operand *x = &compute->operands[0], *w = &compute->operands[1];
  *x = (Operand){.source = 0, .rank = 3, .dims = {in[0], in[1], in[2]}};
  window_access(&window, x->access);
  x->access[2] = (AccessDim){0};
  x->access[2].coef[DIM_R + 2] = 1;
  int64_t groups = call->attrs[GROUPS].i[0];
  if (groups > 1) /* the first channel of the output channel's group */
    x->access[2].quotient =
        (AccessQuotient){.times = reduce[2], .dim = DIM_C, .coef = 1, .divide = compute->out[2] / groups};
  *w = (Operand){.is_weight = true, .source = 0, .rank = 4, .dims = {reduce[0], reduce[1], reduce[2], compute->out[2]}};
  for (int i = 0; i < 4; i++)
    w->access[i].coef[i < 3 ? DIM_R + i : DIM_C] = 1;
  sum_of_products(arena, compute, call->attrs[BIAS].i[0]);
}

static void depthwise_compute(Arena *arena, const OpCall *call, Compute *compute) {
  Window window = depthwise_known_window(call);
  int64_t in[3];
  shape_hwc(&call->inputs[0], in);
  shape_hwc(&call->output, compute->out);
  compute->n_reduce = 2;
  const char *const labels[2] = {"ky", "kx"};
  for (int i = 0; i < 2; i++) {
    compute->reduce[i] = window.kernel[i];
    compute->reduce_label[i] = labels[i];
  }
  Operand *x = &compute->operands[0], *w = &compute->operands[1];
  *x = (Operand){.source = 0, .rank = 3, .dims = {in[0], in[1], in[2]}};
  window_access(&window, x->access);
  int64_t multiplier = call->attrs[DW_MULTIPLIER].i[0];
  x->access[2] = (AccessDim){0};
  if (multiplier == 1)
    x->access[2].coef[DIM_C] = 1;
  else
    x->access[2].quotient = (AccessQuotient){.times = 1, .dim = DIM_C, .coef = 1, .divide = multiplier};
  *w = (Operand){.is_weight = true, .source = 0, .rank = 3, .dims = {window.kernel[0], window.kernel[1], compute->out[2]}};
  for (int i = 0; i < 3; i++)
    w->access[i].coef[i < 2 ? DIM_R + i : DIM_C] = 1;
  sum_of_products(arena, compute, call->attrs[DW_BIAS].i[0]);
}

static const Recipe *conv_pack(Arena *arena, const OpCall *call, int i, const Recipe *recipe) {
  (void)call;
  static const int axes[4] = {2, 3, 1, 0};
  return i == 0 ? recipe_permute(arena, recipe, axes) : recipe;
}

static const Recipe *depthwise_pack(Arena *arena, const OpCall *call, int i, const Recipe *recipe) {
  static const int axes[4] = {2, 3, 1, 0};
  if (i != 0)
    return recipe;
  const int64_t *k = call->attrs[DW_KERNEL].i;
  return recipe_reshape(arena, recipe_permute(arena, recipe, axes), 3, (int64_t[]){k[0], k[1], call->output.dims[2]});
}

/* Both kinds: an output channel sums `depth` input channels, those of its group; a group has `group` outputs. */
static void evaluate_window(const OpCall *call, const Window *window, const EvalTensor *input, const double *const *weights,
                            bool bias, int64_t depth, int64_t group, float *output) {
  const int64_t *in = input->shape.dims, *out = call->output.dims;
  for (int64_t y = 0; y < out[0]; y++)
    for (int64_t x = 0; x < out[1]; x++)
      for (int64_t o = 0; o < out[2]; o++) {
        double sum = bias ? weights[1][o] : 0;
        for (int64_t ky = 0; ky < window->kernel[0]; ky++)
          for (int64_t kx = 0; kx < window->kernel[1]; kx++) {
            int64_t row = y * window->stride[0] + ky * window->dilation[0] - window->pads[0];
            int64_t column = x * window->stride[1] + kx * window->dilation[1] - window->pads[1];
            if (row < 0 || row >= in[0] || column < 0 || column >= in[1])
              continue;
            for (int64_t i = 0; i < depth; i++) {
              int64_t channel = o / group * depth + i;
              sum += (double)input->data[(row * in[1] + column) * in[2] + channel] *
                     weights[0][((o * depth + i) * window->kernel[0] + ky) * window->kernel[1] + kx];
            }
          }
        output[(y * out[1] + x) * out[2] + o] = (float)sum;
      }
}

static void conv_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  Window window = conv_known_window(call);
  evaluate_window(call, &window, &inputs[0], weights, call->attrs[BIAS].i[0], conv_depth(call),
                  call->output.dims[2] / call->attrs[GROUPS].i[0], output);
}

static void depthwise_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  Window window = depthwise_known_window(call);
  evaluate_window(call, &window, &inputs[0], weights, call->attrs[DW_BIAS].i[0], 1, call->attrs[DW_MULTIPLIER].i[0], output);
}

static void write_torch_conv(Writer *w, const Window *window, int64_t in, int64_t out, int64_t groups, bool bias) {
  write_f(w, "nn.Conv2d(%lld, %lld, (%lld, %lld), stride=(%lld, %lld), dilation=(%lld, %lld), groups=%lld, bias=%s)",
          (long long)in, (long long)out, (long long)window->kernel[0], (long long)window->kernel[1],
          (long long)window->stride[0], (long long)window->stride[1], (long long)window->dilation[0],
          (long long)window->dilation[1], (long long)groups, bias ? "True" : "False");
}

static void conv_torch_module(Writer *w, const OpCall *call) {
  Window window = conv_known_window(call);
  write_torch_conv(w, &window, call->inputs[0].dims[2], call->output.dims[2], call->attrs[GROUPS].i[0],
                   call->attrs[BIAS].i[0]);
}

static void depthwise_torch_module(Writer *w, const OpCall *call) {
  Window window = depthwise_known_window(call);
  int64_t in = call->inputs[0].dims[2];
  write_torch_conv(w, &window, in, call->output.dims[2], in, call->attrs[DW_BIAS].i[0]);
}

static void write_torch_window_forward(Writer *w, const Window *window, const char *self, const char *x) {
  write_f(w, "%s(", self);
  write_torch_pad(w, window->pads, x, NULL);
  write_text(w, ")");
}

static void conv_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  Window window = conv_known_window(call);
  write_torch_window_forward(w, &window, self, x[0]);
}

static void depthwise_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  Window window = depthwise_known_window(call);
  write_torch_window_forward(w, &window, self, x[0]);
}

const OpDef op_conv = {
    .name = "conv",
    .doc = "convolution; 1x1 is the pointwise convolution",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 7,
    .attrs = {{.name = "kernel", .type = ATTR_KERNEL, .required = true, .min = 1, .doc = "height x width of the window"},
              {.name = "channels", .type = ATTR_INT, .required = true, .min = 1, .doc = "output channels"},
              {.name = "stride", .type = ATTR_KERNEL, .value = ONE_BY_ONE, .min = 1, .doc = "step of the window"},
              {.name = "padding", .type = ATTR_PADDING, .value = {.padding = PADDING_SAME}, .doc = "zeros around the input"},
              {.name = "dilation", .type = ATTR_KERNEL, .value = ONE_BY_ONE, .min = 1, .doc = "distance between taps"},
              {.name = "groups", .type = ATTR_INT, .value = {.i = {1}}, .min = 1,
               .doc = "input and output channels fall into so many groups, each reading its own"},
              {.name = "bias", .type = ATTR_BOOL, .doc = "add a learned constant per channel"}},
    .infer = conv_infer,
    .weights = conv_weights,
    .macs = conv_macs,
    .cost_kind = conv_cost_kind,
    .compute = conv_compute,
    .pack = conv_pack,
    .evaluate = conv_evaluate,
    .linear = true,
    .bias_attr = BIAS,
    .zero_padding = conv_zero_padding,
    .padding_attr = PADDING,
    .torch_module = conv_torch_module,
    .torch_forward = conv_torch_forward,
};

const OpDef op_depthwise = {
    .name = "depthwise",
    .doc = "depthwise convolution: every channel has its own window",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 6,
    .attrs = {{.name = "kernel", .type = ATTR_KERNEL, .required = true, .min = 1, .doc = "height x width of the window"},
              {.name = "stride", .type = ATTR_KERNEL, .value = ONE_BY_ONE, .min = 1, .doc = "step of the window"},
              {.name = "padding", .type = ATTR_PADDING, .value = {.padding = PADDING_SAME}, .doc = "zeros around the input"},
              {.name = "dilation", .type = ATTR_KERNEL, .value = ONE_BY_ONE, .min = 1, .doc = "distance between taps"},
              {.name = "multiplier", .type = ATTR_INT, .value = {.i = {1}}, .min = 1, .doc = "output channels per input channel"},
              {.name = "bias", .type = ATTR_BOOL, .doc = "add a learned constant per channel"}},
    .infer = depthwise_infer,
    .weights = depthwise_weights,
    .macs = depthwise_macs,
    .cost_kind = depthwise_cost_kind,
    .compute = depthwise_compute,
    .pack = depthwise_pack,
    .evaluate = depthwise_evaluate,
    .linear = true,
    .bias_attr = DW_BIAS,
    .zero_padding = depthwise_zero_padding,
    .padding_attr = DW_PADDING,
    .torch_module = depthwise_torch_module,
    .torch_forward = depthwise_torch_forward,
};
