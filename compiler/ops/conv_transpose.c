/* Transposed convolution: every input element adds its kernel to the output,
 * `stride` apart from its neighbour's; what lies outside the output is cut off.
 *
 * Described by what an output element gathers. Output y meets the input row i
 * through tap ky where y + before = stride * i + ky. With n taps at most,
 *
 *     i = floor((y + before) / stride) - t,  ky = (y + before) mod stride + stride * t,  t = 0 .. n - 1
 *
 * and a tap that the kernel, or a row that the input, does not have contributes
 * nothing. So every product is one that counts, none is with a zero in between. */
#include "ops/family.h"

enum { KERNEL, CHANNELS, STRIDE, PADDING, OUTPUT_PADDING, GROUPS, BIAS };

/* One dimension: `before` elements are cut off at the beginning. */
typedef struct Span {
  int64_t kernel, stride, before, out;
} Span;

static const char *span_of(Arena *arena, const OpCall *call, int d, Span *span) {
  const char *const what = d ? "width" : "height";
  const AttrValue *padding = &call->attrs[PADDING];
  int64_t in = call->inputs[0].dims[d], more = call->attrs[OUTPUT_PADDING].i[d], after = 0;
  *span = (Span){.kernel = call->attrs[KERNEL].i[d], .stride = call->attrs[STRIDE].i[d]};
  if (padding->padding == PADDING_SAME) {
    if (more)
      return "with padding = same the output is input times stride: there is no output_padding";
    span->before = span->kernel > span->stride ? (span->kernel - span->stride) / 2 : 0;
    span->out = in * span->stride;
    return NULL;
  }
  if (padding->padding == PADDING_EXPLICIT) {
    span->before = padding->i[d];
    after = padding->i[d + 2];
  }
  if (span->before >= span->kernel || after >= span->kernel)
    return arena_printf(arena, "padding of the %s must be smaller than the kernel (%lld)", what, (long long)span->kernel);
  if (more >= span->stride && more > 0)
    return arena_printf(arena, "output_padding of the %s must be smaller than the stride (%lld)", what,
                        (long long)span->stride);
  span->out = (in - 1) * span->stride + span->kernel + more - span->before - after;
  if (span->out < 1)
    return arena_printf(arena, "nothing is left of the %s: %lld elements, of which the padding cuts off %lld", what,
                        (long long)(span->out + span->before + after), (long long)(span->before + after));
  return NULL;
}

static const char *conv_transpose_infer(Arena *arena, OpCall *call) {
  const Shape *in = &call->inputs[0];
  if (in->rank != 3)
    return arena_printf(arena, "the input must be a feature map [height, width, channels], not %s", shape_text(arena, in));
  call->output = (Shape){ELEM_F32, 3, {0, 0, call->attrs[CHANNELS].i[0]}};
  for (int d = 0; d < 2; d++) {
    Span span;
    const char *problem = span_of(arena, call, d, &span);
    if (problem)
      return problem;
    call->output.dims[d] = span.out;
  }
  int64_t channels = in->dims[2], out = call->output.dims[2], groups = call->attrs[GROUPS].i[0];
  if (channels % groups || out % groups)
    return arena_printf(arena, "%lld groups must divide both the %lld input and the %lld output channels",
                        (long long)groups, (long long)channels, (long long)out);
  return NULL;
}

/* After infer has accepted the call. */
static Span known_span(const OpCall *call, int d) {
  Span span;
  if (span_of(NULL, call, d, &span))
    BUG("%s: what was accepted is refused", call->def->name);
  return span;
}

static int64_t taps_of(const Span *span) { return (span->kernel + span->stride - 1) / span->stride; }

/* Input and output channels of a group. */
static int64_t depth_of(const OpCall *call) { return call->inputs[0].dims[2] / call->attrs[GROUPS].i[0]; }
static int64_t width_of(const OpCall *call) { return call->output.dims[2] / call->attrs[GROUPS].i[0]; }

static int conv_transpose_weights(const OpCall *call, OpWeight *weights) {
  const int64_t *k = call->attrs[KERNEL].i;
  weights[0] = (OpWeight){"weight", ROLE_KERNEL, true, 4, {call->inputs[0].dims[2], width_of(call), k[0], k[1]},
                          depth_of(call) * k[0] * k[1]};
  if (!call->attrs[BIAS].i[0])
    return 1;
  weights[1] = (OpWeight){"bias", ROLE_BIAS, true, 1, {call->output.dims[2]}, 0};
  return 2;
}

static int64_t conv_transpose_macs(const OpCall *call) {
  const int64_t *k = call->attrs[KERNEL].i;
  return shape_elems(&call->inputs[0]) * k[0] * k[1] * width_of(call);
}

static CostKind conv_transpose_cost_kind(const OpCall *call) {
  return depth_of(call) == 1 && call->attrs[GROUPS].i[0] > 1 ? COST_DEPTHWISE : COST_STANDARD;
}

static void conv_transpose_compute(Arena *arena, const OpCall *call, Compute *compute) {
  static const char *const labels[3] = {"ky", "kx", "k"};
  shape_hwc(&call->output, compute->out);
  compute->n_reduce = 3;
  Operand *x = &compute->operands[0], *w = &compute->operands[1];
  *x = (Operand){.source = 0, .rank = 3};
  shape_hwc(&call->inputs[0], x->dims);
  *w = (Operand){.is_weight = true, .source = 0, .rank = 4};
  for (int d = 0; d < 2; d++) {
    Span span = known_span(call, d);
    compute->reduce[d] = taps_of(&span);
    w->dims[d] = span.kernel;
    x->access[d].coef[DIM_R + d] = -1;
    w->access[d].coef[DIM_R + d] = span.stride;
    if (span.stride == 1) {
      x->access[d].coef[d] = 1;
      x->access[d].offset = span.before;
      continue;
    }
    AccessQuotient row = {.times = 1, .dim = d, .coef = 1, .offset = span.before, .divide = span.stride};
    x->access[d].quotient = w->access[d].quotient = row;
    w->access[d].quotient.remainder = true;
  }
  for (int i = 0; i < 3; i++)
    compute->reduce_label[i] = labels[i];
  compute->reduce[2] = w->dims[2] = depth_of(call);
  w->dims[3] = compute->out[2];
  x->access[2].coef[DIM_R + 2] = w->access[2].coef[DIM_R + 2] = w->access[3].coef[DIM_C] = 1;
  if (call->attrs[GROUPS].i[0] > 1)
    x->access[2].quotient =
        (AccessQuotient){.times = depth_of(call), .dim = DIM_C, .coef = 1, .divide = width_of(call)};
  bool bias = call->attrs[BIAS].i[0];
  compute->n_operands = bias ? 3 : 2;
  if (bias)
    operand_channel(&compute->operands[2], 1, compute->out[2]);
  compute->init = bias ? scalar_operand(arena, 2) : scalar_const(arena, 0);
  compute->combine = scalar_op(arena, OP_ADD, scalar_acc(arena),
                               scalar_op(arena, OP_MUL, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL), NULL);
  compute->multiply_add = true;
  compute->finish = scalar_acc(arena);
}

/* [groups * depth, width, kh, kw] as [kh, kw, depth, groups * width]. */
static const Recipe *conv_transpose_pack(Arena *arena, const OpCall *call, int i, const Recipe *recipe) {
  if (i != 0)
    return recipe;
  static const int axes[5] = {3, 4, 1, 0, 2};
  const int64_t *k = call->attrs[KERNEL].i, depth = depth_of(call), width = width_of(call);
  const int64_t apart[5] = {call->attrs[GROUPS].i[0], depth, width, k[0], k[1]};
  const int64_t packed[4] = {k[0], k[1], depth, call->output.dims[2]};
  return recipe_reshape(arena, recipe_permute(arena, recipe_reshape(arena, recipe, 5, apart), axes), 4, packed);
}

/* The other way round than compute: each input element is added to all outputs that it meets. */
static void scatter(const OpCall *call, const EvalTensor *input, const double *weight, double *sums) {
  const int64_t *in = input->shape.dims, *out = call->output.dims;
  int64_t depth = depth_of(call), width = width_of(call);
  Span rows = known_span(call, 0), columns = known_span(call, 1);
  for (int64_t i = 0; i < in[0]; i++)
    for (int64_t j = 0; j < in[1]; j++)
      for (int64_t ky = 0; ky < rows.kernel; ky++)
        for (int64_t kx = 0; kx < columns.kernel; kx++) {
          int64_t y = i * rows.stride + ky - rows.before, x = j * columns.stride + kx - columns.before;
          if (y < 0 || y >= out[0] || x < 0 || x >= out[1])
            continue;
          for (int64_t c = 0; c < in[2]; c++)
            for (int64_t o = 0; o < width; o++)
              sums[(y * out[1] + x) * out[2] + c / depth * width + o] +=
                  (double)input->data[(i * in[1] + j) * in[2] + c] *
                  weight[((c * width + o) * rows.kernel + ky) * columns.kernel + kx];
        }
}

static void conv_transpose_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights,
                                    float *output) {
  int64_t n = shape_elems(&call->output), channels = call->output.dims[2];
  Arena *arena = arena_new();
  double *sums = ARENA_ARRAY(arena, double, n);
  for (int64_t i = 0; i < n; i++)
    sums[i] = call->attrs[BIAS].i[0] ? weights[1][i % channels] : 0;
  scatter(call, &inputs[0], weights[0], sums);
  for (int64_t i = 0; i < n; i++)
    output[i] = (float)sums[i];
  arena_free(arena);
}

/* Elements of the output that lie behind all that the input makes. */
static int64_t torch_more(const OpCall *call, int d) {
  Span span = known_span(call, d);
  int64_t whole = (call->inputs[0].dims[d] - 1) * span.stride + span.kernel, end = span.before + span.out;
  return end > whole ? end - whole : 0;
}

static void conv_transpose_torch_module(Writer *w, const OpCall *call) {
  Span rows = known_span(call, 0), columns = known_span(call, 1);
  write_f(w, "nn.ConvTranspose2d(%lld, %lld, (%lld, %lld), stride=(%lld, %lld), output_padding=(%lld, %lld), groups=%lld, bias=%s)",
          (long long)call->inputs[0].dims[2], (long long)call->output.dims[2], (long long)rows.kernel,
          (long long)columns.kernel, (long long)rows.stride, (long long)columns.stride, (long long)torch_more(call, 0),
          (long long)torch_more(call, 1), (long long)call->attrs[GROUPS].i[0], call->attrs[BIAS].i[0] ? "True" : "False");
}

static void conv_transpose_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  Span rows = known_span(call, 0), columns = known_span(call, 1);
  write_f(w, "%s(%s)[:, :, %lld:%lld, %lld:%lld]", self, x[0], (long long)rows.before, (long long)(rows.before + rows.out),
          (long long)columns.before, (long long)(columns.before + columns.out));
}

const OpDef op_conv_transpose = {
    .name = "conv_transpose",
    .doc = "transposed convolution: the map enlarged by the stride",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 7,
    .attrs = {{.name = "kernel", .type = ATTR_KERNEL, .required = true, .min = 1, .doc = "height x width of what an element adds"},
              {.name = "channels", .type = ATTR_INT, .required = true, .min = 1, .doc = "output channels"},
              {.name = "stride", .type = ATTR_KERNEL, .value = {.i = {1, 1}}, .min = 1, .doc = "rows and columns of the output for one of the input"},
              {.name = "padding", .type = ATTR_PADDING, .value = {.padding = PADDING_SAME},
               .doc = "same: the output is input times stride; else what is cut off (input - 1) * stride + kernel"},
              {.name = "output_padding", .type = ATTR_KERNEL, .min = 0, .doc = "rows and columns more below and to the right"},
              {.name = "groups", .type = ATTR_INT, .value = {.i = {1}}, .min = 1,
               .doc = "input and output channels fall into so many groups, each reading its own"},
              {.name = "bias", .type = ATTR_BOOL, .doc = "add a learned constant per channel"}},
    .infer = conv_transpose_infer,
    .weights = conv_transpose_weights,
    .macs = conv_transpose_macs,
    .cost_kind = conv_transpose_cost_kind,
    .compute = conv_transpose_compute,
    .pack = conv_transpose_pack,
    .evaluate = conv_transpose_evaluate,
    .linear = true,
    .output_axis = 1,
    .bias_attr = BIAS,
    .torch_module = conv_transpose_torch_module,
    .torch_forward = conv_transpose_torch_forward,
};
