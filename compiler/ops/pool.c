/* Average and maximum pooling, over a window or the whole map. Elements outside
 * the input take no part: the average divides by the number inside. */
#include <math.h>

#include "ops/family.h"

enum { KERNEL, STRIDE, PADDING };

static const char *pool_window(Arena *arena, const OpCall *call, Window *window) {
  const Shape *in = &call->inputs[0];
  if (in->rank != 3)
    return arena_printf(arena, "the input must be a feature map [height, width, channels], not %s", shape_text(arena, in));
  const int64_t *kernel = call->attrs[KERNEL].i, *stride = call->attrs[STRIDE].i;
  if ((kernel[0] == 0) != (kernel[1] == 0) || (stride[0] == 0) != (stride[1] == 0))
    return "kernel and stride must be at least 1x1 (0x0: the whole map; for the stride: as the kernel)";
  AttrValue padding = call->attrs[PADDING];
  bool whole = kernel[0] == 0;
  if (whole)
    padding = (AttrValue){.padding = PADDING_VALID};
  for (int i = 0; i < 2; i++) {
    window->kernel[i] = whole ? in->dims[i] : kernel[i];
    window->stride[i] = stride[0] == 0 ? window->kernel[i] : stride[i];
    window->dilation[i] = 1;
  }
  return window_resolve(arena, window, &padding, in->dims[0], in->dims[1]);
}

static Window pool_known_window(const OpCall *call) {
  Arena *arena = arena_new();
  Window window;
  pool_window(arena, call, &window);
  arena_free(arena);
  return window;
}

static const char *pool_infer(Arena *arena, OpCall *call) {
  Window window;
  const char *problem = pool_window(arena, call, &window);
  if (problem)
    return problem;
  call->output = (Shape){call->inputs[0].elem, 3, {window.out[0], window.out[1], call->inputs[0].dims[2]}};
  return NULL;
}

static void pool_compute(const OpCall *call, Compute *compute) {
  Window window = pool_known_window(call);
  shape_hwc(&call->output, compute->out);
  compute->n_reduce = 2;
  static const char *const labels[2] = {"ky", "kx"};
  for (int i = 0; i < 2; i++) {
    compute->reduce[i] = window.kernel[i];
    compute->reduce_label[i] = labels[i];
  }
  compute->n_operands = 1;
  operand_pointwise(&compute->operands[0], call, 0);
  compute->operands[0].access[2] = (AccessDim){0};
  compute->operands[0].access[2].coef[DIM_C] = 1;
  window_access(&window, compute->operands[0].access);
}

static void avgpool_compute(Arena *arena, const OpCall *call, Compute *compute) {
  pool_compute(call, compute);
  compute->init = scalar_const(arena, 0);
  compute->combine = scalar_op(arena, OP_ADD, scalar_acc(arena), scalar_operand(arena, 0), NULL);
  compute->finish = scalar_op(arena, OP_DIV, scalar_acc(arena), scalar_count(arena), NULL);
}

static void maxpool_compute(Arena *arena, const OpCall *call, Compute *compute) {
  pool_compute(call, compute);
  compute->init = scalar_const(arena, -INFINITY);
  compute->combine = scalar_op(arena, OP_MAX, scalar_acc(arena), scalar_operand(arena, 0), NULL);
  compute->finish = scalar_acc(arena);
}

static void evaluate_pool(const OpCall *call, const EvalTensor *input, bool average, float *output) {
  Window window = pool_known_window(call);
  const int64_t *in = input->shape.dims, *out = call->output.dims;
  for (int64_t y = 0; y < out[0]; y++)
    for (int64_t x = 0; x < out[1]; x++)
      for (int64_t c = 0; c < out[2]; c++) {
        double sum = 0, most = -INFINITY;
        int64_t count = 0;
        for (int64_t ky = 0; ky < window.kernel[0]; ky++)
          for (int64_t kx = 0; kx < window.kernel[1]; kx++) {
            int64_t row = y * window.stride[0] + ky - window.pads[0];
            int64_t column = x * window.stride[1] + kx - window.pads[1];
            if (row < 0 || row >= in[0] || column < 0 || column >= in[1])
              continue;
            double value = (double)input->data[(row * in[1] + column) * in[2] + c];
            sum += value;
            most = value > most ? value : most;
            count++;
          }
        output[(y * out[1] + x) * out[2] + c] = (float)(average ? sum / (double)count : most);
      }
}

static void avgpool_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  evaluate_pool(call, &inputs[0], true, output);
}

static void maxpool_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  evaluate_pool(call, &inputs[0], false, output);
}

static void write_torch_pool(Writer *w, const Window *window, const char *function, const char *x, const char *value) {
  write_f(w, "%s(", function);
  write_torch_pad(w, window->pads, x, value);
  write_f(w, ", (%lld, %lld), (%lld, %lld))", (long long)window->kernel[0], (long long)window->kernel[1],
          (long long)window->stride[0], (long long)window->stride[1]);
}

static void avgpool_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  Window window = pool_known_window(call);
  write_torch_pool(w, &window, "F.avg_pool2d", x[0], NULL);
  if (!window_is_padded(&window))
    return;
  /* The share of each window that lies inside. */
  Arena *scratch = arena_new();
  write_text(w, " / ");
  write_torch_pool(w, &window, "F.avg_pool2d", arena_printf(scratch, "torch.ones_like(%s)", x[0]), NULL);
  arena_free(scratch);
}

static void maxpool_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  Window window = pool_known_window(call);
  write_torch_pool(w, &window, "F.max_pool2d", x[0], "-float('inf')");
}

#define POOL_ATTRS                                                                                                     \
  {{.name = "kernel", .type = ATTR_KERNEL, .min = 0, .doc = "height x width of the window; 0x0: the whole map"},       \
   {.name = "stride", .type = ATTR_KERNEL, .min = 0, .doc = "step of the window; 0x0: the kernel"},                    \
   {.name = "padding", .type = ATTR_PADDING, .value = {.padding = PADDING_SAME}, .doc = "elements outside take no part"}}

const OpDef op_avgpool = {
    .name = "avgpool",
    .doc = "average over a window; without arguments over the whole map",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 3,
    .attrs = POOL_ATTRS,
    .infer = pool_infer,
    .compute = avgpool_compute,
    .evaluate = avgpool_evaluate,
    .torch_forward = avgpool_torch_forward,
};

const OpDef op_maxpool = {
    .name = "maxpool",
    .doc = "maximum over a window; without arguments over the whole map",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 3,
    .attrs = POOL_ATTRS,
    .infer = pool_infer,
    .compute = maxpool_compute,
    .evaluate = maxpool_evaluate,
    .torch_forward = maxpool_torch_forward,
};

/* The average without its attributes: all zero, they ask for the whole map. */
static void mean_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  (void)self;
  write_f(w, "%s.mean((2, 3), keepdim=True)", x[0]);
}

const OpDef op_mean = {
    .name = "mean",
    .doc = "mean over height and width, which become 1",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = pool_infer,
    .compute = avgpool_compute,
    .evaluate = avgpool_evaluate,
    .torch_forward = mean_torch_forward,
};
