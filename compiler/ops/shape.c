/* Operators that move elements or leave them: pad, transpose, reshape, flatten, dropout. */
#include <string.h>

#include "ops/family.h"

/* ---- pad ---- */

enum { AMOUNTS };

static const char *pad_infer(Arena *arena, OpCall *call) {
  const Shape *in = &call->inputs[0];
  if (in->rank != 3)
    return arena_printf(arena, "the input must be a feature map [height, width, channels], not %s", shape_text(arena, in));
  if (call->attrs[AMOUNTS].padding != PADDING_EXPLICIT)
    return "amounts must be explicit: p, [ph, pw] or [top, left, bottom, right]";
  const int64_t *p = call->attrs[AMOUNTS].i;
  call->output = (Shape){in->elem, 3, {in->dims[0] + p[0] + p[2], in->dims[1] + p[1] + p[3], in->dims[2]}};
  return NULL;
}

/* A reduction over a single tap: an absent tap leaves the initial zero. */
static void pad_compute(Arena *arena, const OpCall *call, Compute *compute) {
  shape_hwc(&call->output, compute->out);
  compute->n_reduce = 1;
  compute->reduce[0] = 1;
  compute->reduce_label[0] = "tap";
  compute->n_operands = 1;
  operand_pointwise(&compute->operands[0], call, 0);
  for (int i = 0; i < 3; i++) {
    compute->operands[0].access[i] = (AccessDim){0};
    compute->operands[0].access[i].coef[i] = 1;
  }
  compute->operands[0].access[0].offset = -call->attrs[AMOUNTS].i[0];
  compute->operands[0].access[1].offset = -call->attrs[AMOUNTS].i[1];
  compute->init = scalar_const(arena, 0);
  compute->combine = scalar_operand(arena, 0);
  compute->finish = scalar_acc(arena);
}

static void pad_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  const int64_t *in = call->inputs[0].dims, *out = call->output.dims, *p = call->attrs[AMOUNTS].i;
  for (int64_t y = 0; y < out[0]; y++)
    for (int64_t x = 0; x < out[1]; x++) {
      int64_t row = y - p[0], column = x - p[1];
      bool inside = row >= 0 && row < in[0] && column >= 0 && column < in[1];
      for (int64_t c = 0; c < out[2]; c++)
        output[(y * out[1] + x) * out[2] + c] = inside ? inputs[0].data[(row * in[1] + column) * in[2] + c] : 0;
    }
}

static bool pad_pads_zero(const OpCall *call, int64_t pads[4]) {
  for (int i = 0; i < 4; i++)
    pads[i] = call->attrs[AMOUNTS].i[i];
  return true;
}

static void pad_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_torch_pad(w, call->attrs[AMOUNTS].i, x[0], NULL);
}

const OpDef op_pad = {
    .name = "pad",
    .doc = "zeros around a feature map",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 1,
    .attrs = {{.name = "amounts", .type = ATTR_PADDING, .required = true, .doc = "p, [ph, pw] or [top, left, bottom, right]"}},
    .infer = pad_infer,
    .compute = pad_compute,
    .evaluate = pad_evaluate,
    .pads_zero = pad_pads_zero,
    .torch_forward = pad_torch_forward,
};

/* ---- transpose ---- */

enum { ORDER };

static bool transpose_permutes(const OpCall *call, int order[SHAPE_MAX_RANK]) {
  int missing = SHAPE_MAX_RANK - call->inputs[0].rank;
  for (int i = 0; i < SHAPE_MAX_RANK; i++)
    order[i] = i < missing ? i : (int)call->attrs[ORDER].i[i - missing] + missing;
  return true;
}

static const char *transpose_infer(Arena *arena, OpCall *call) {
  const Shape *in = &call->inputs[0];
  const AttrValue *order = &call->attrs[ORDER];
  unsigned seen = 0;
  call->output = *in;
  for (int i = 0; i < order->n && i < in->rank; i++)
    if (order->i[i] < in->rank) {
      seen |= 1u << order->i[i];
      call->output.dims[i] = in->dims[order->i[i]];
    }
  if (order->n != in->rank || seen != (1u << in->rank) - 1)
    return arena_printf(arena, "the order must name each of the dimensions of %s once, counted from 0", shape_text(arena, in));
  return NULL;
}

static void transpose_compute(Arena *arena, const OpCall *call, Compute *compute) {
  int order[SHAPE_MAX_RANK];
  transpose_permutes(call, order);
  shape_hwc(&call->output, compute->out);
  compute->elem = call->output.elem;
  compute->n_operands = 1;
  Operand *x = &compute->operands[0];
  *x = (Operand){.source = 0, .rank = 3};
  shape_hwc(&call->inputs[0], x->dims);
  for (int i = 0; i < 3; i++)
    x->access[order[i]].coef[i] = 1;
  compute->finish = scalar_operand(arena, 0);
}

static void transpose_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t in[3], out[3], at[3];
  int order[SHAPE_MAX_RANK];
  transpose_permutes(call, order);
  shape_hwc(&call->inputs[0], in);
  shape_hwc(&call->output, out);
  for (int64_t y = 0; y < out[0]; y++)
    for (int64_t x = 0; x < out[1]; x++)
      for (int64_t c = 0; c < out[2]; c++) {
        at[order[0]] = y;
        at[order[1]] = x;
        at[order[2]] = c;
        *output++ = inputs[0].data[(at[0] * in[1] + at[1]) * in[2] + at[2]];
      }
}

/* PyTorch's maps are NCHW: through HWC order and back. */
static void transpose_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  int rank = call->inputs[0].rank;
  write_f(w, "%s%s.permute(0", x[0], rank == 3 ? ".permute(0, 2, 3, 1)" : "");
  for (int i = 0; i < rank; i++)
    write_f(w, ", %lld", (long long)call->attrs[ORDER].i[i] + 1);
  write_f(w, ")%s", rank == 3 ? ".permute(0, 3, 1, 2)" : "");
}

const OpDef op_transpose = {
    .name = "transpose",
    .doc = "the dimensions in another order: [1, 2, 0] makes [height, width, channels] of [channels, height, width]",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 1,
    .attrs = {{.name = "order", .type = ATTR_DIMS, .required = true,
               .doc = "for each dimension of the output, which one of the input it is"}},
    .infer = transpose_infer,
    .compute = transpose_compute,
    .evaluate = transpose_evaluate,
    .permutes = transpose_permutes,
    .takes_any = true,
    .torch_forward = transpose_torch_forward,
};

/* ---- views: the same elements in the same order ---- */

static void copy_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  memcpy(output, inputs[0].data, (size_t)shape_elems(&call->output) * sizeof *output);
}

/* A flat copy: both sides as one row. */
static void copy_compute(Arena *arena, const OpCall *call, Compute *compute) {
  int64_t n = shape_elems(&call->output);
  compute->out[0] = compute->out[1] = 1;
  compute->out[2] = n;
  compute->elem = call->output.elem;
  compute->n_operands = 1;
  Operand *x = &compute->operands[0];
  *x = (Operand){.source = 0, .rank = 3, .dims = {1, 1, n}};
  for (int i = 0; i < 3; i++)
    x->access[i].coef[i] = 1;
  compute->finish = scalar_operand(arena, 0);
}

enum { SHAPE };

static const char *reshape_infer(Arena *arena, OpCall *call) {
  const AttrValue *shape = &call->attrs[SHAPE];
  if (shape->n != 1 && shape->n != 3)
    return "the shape must be [n] or [height, width, channels]";
  Shape out = {.elem = call->inputs[0].elem, .rank = shape->n};
  for (int i = 0; i < out.rank; i++)
    out.dims[i] = shape->i[i];
  if (shape_elems(&out) != shape_elems(&call->inputs[0]))
    return arena_printf(arena, "%s has %lld elements, but the input %s has %lld", shape_text(arena, &out),
                        (long long)shape_elems(&out), shape_text(arena, &call->inputs[0]),
                        (long long)shape_elems(&call->inputs[0]));
  call->output = out;
  return NULL;
}

static const char *flatten_infer(Arena *arena, OpCall *call) {
  (void)arena;
  call->output = (Shape){call->inputs[0].elem, 1, {shape_elems(&call->inputs[0])}};
  return NULL;
}

/* PyTorch's maps are NCHW: through HWC order and back. */
static void view_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  const Shape *out = &call->output;
  write_f(w, call->inputs[0].rank == 3 ? "%s.permute(0, 2, 3, 1).flatten(1)" : "%s.flatten(1)", x[0]);
  if (out->rank == 3)
    write_f(w, ".view(-1, %lld, %lld, %lld).permute(0, 3, 1, 2)", (long long)out->dims[0], (long long)out->dims[1],
            (long long)out->dims[2]);
}

const OpDef op_reshape = {
    .name = "reshape",
    .doc = "the same elements, in [height, width, channel] order, in another shape",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 1,
    .attrs = {{.name = "shape", .type = ATTR_DIMS, .required = true, .min = 1, .doc = "[n] or [height, width, channels]"}},
    .infer = reshape_infer,
    .compute = copy_compute,
    .evaluate = copy_evaluate,
    .is_view = true,
    .takes_any = true,
    .torch_forward = view_torch_forward,
};

const OpDef op_flatten = {
    .name = "flatten",
    .doc = "all elements, in [height, width, channel] order, as a vector",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = flatten_infer,
    .compute = copy_compute,
    .evaluate = copy_evaluate,
    .is_view = true,
    .takes_any = true,
    .torch_forward = view_torch_forward,
};

static const char *dropout_infer(Arena *arena, OpCall *call) {
  Rational rate = call->attrs[0].number;
  if (rate.num < 0 || rate.num >= rate.den)
    return "the rate must be at least 0 and below 1";
  return infer_same(arena, call);
}

static void dropout_torch_module(Writer *w, const OpCall *call) {
  write_f(w, "nn.Dropout(%.9g)", rational_to_double(call->attrs[0].number));
}

static void dropout_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)call;
  write_f(w, "%s(%s)", self, x[0]);
}

const OpDef op_dropout = {
    .name = "dropout",
    .doc = "drops elements in training; the identity here",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 1,
    .attrs = {{.name = "rate", .type = ATTR_NUMBER, .value = {.number = {1, 2}}, .doc = "share that training drops"}},
    .infer = dropout_infer,
    .compute = copy_compute,
    .evaluate = copy_evaluate,
    .is_view = true,
    .torch_module = dropout_torch_module,
    .torch_forward = dropout_torch_forward,
};

const OpDef op_copy = {
    .name = "copy",
    .doc = "the input again",
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer_same,
    .compute = copy_compute,
    .evaluate = copy_evaluate,
    .internal = true,
};
