/* Resizing a feature map, as PyTorch's interpolate: by the nearest element, or
 * bilinearly between two rows and two columns.
 *
 * Along each dimension output element y lies at source position num(y) / den of
 * the input, num linear in y:
 *
 *     corners aligned   y (in - 1) / (out - 1)
 *     else              (y + 1/2) in / out - 1/2, no further out than the border
 *
 * The nearest element is read through a quotient. Between two, a walk over two
 * taps weighs each by a table; a tap outside is absent and its weight on the
 * other one. */
#include <math.h>

#include "ops/family.h"

enum { HEIGHT, WIDTH, SCALE, CONVENTION }; /* of both operators */

/* Position of output y in the input: (coef * y + offset) / divide. */
typedef struct Line {
  int64_t in, out;
  int64_t coef, offset, divide;
} Line;

static Line nearest_line(const OpCall *call, int d) {
  int64_t in = call->inputs[0].dims[d], out = call->output.dims[d];
  bool half = call->attrs[CONVENTION].i[0];
  return half ? (Line){in, out, 2 * in, in, 2 * out} : (Line){in, out, in, 0, out};
}

static Line bilinear_line(const OpCall *call, int d) {
  int64_t in = call->inputs[0].dims[d], out = call->output.dims[d];
  bool align = call->attrs[CONVENTION].i[0];
  return align ? (Line){in, out, in - 1, 0, out > 1 ? out - 1 : 1} : (Line){in, out, 2 * in, in - out, 2 * out};
}

/* The element at or before the position: -1 where that is before the first. */
static int64_t line_floor(const Line *line, int64_t y) {
  int64_t num = line->coef * y + line->offset;
  return num < 0 ? -((-num + line->divide - 1) / line->divide) : num / line->divide;
}

/* Adds the position's floor to the access: by a coefficient where that does, else by a quotient. */
static void add_floor(AccessDim *access, const Line *line, int d) {
  /* An offset of a whole element keeps the numerator from being negative. */
  int64_t shift = line->offset < 0 ? 1 : 0, offset = line->offset + shift * line->divide;
  int64_t a = line->coef, b = line->divide;
  while (a != 0) {
    int64_t rest = b % a;
    b = a;
    a = rest;
  }
  int64_t coef = line->coef / b, divide = line->divide / b;
  offset /= b;
  access->offset -= shift;
  if (divide == 1) {
    access->coef[d] += coef;
    access->offset += offset;
  } else {
    access->quotient = (AccessQuotient){.times = 1, .dim = d, .coef = coef, .offset = offset, .divide = divide};
  }
}

/* ---- shapes ---- */

/* Input extent times scale. */
static const char *scaled(Arena *arena, const char *what, int64_t in, Rational scale, int64_t *out) {
  bool ok = true;
  Rational product = rational_mul(rational_int(in), scale, &ok);
  if (!ok || product.num < 1 || product.num / product.den > INT32_MAX)
    return arena_printf(arena, "a %s of %lld times %s is out of range", what, (long long)in, rational_text(arena, scale));
  if (product.den != 1)
    return arena_printf(arena, "a %s of %lld times %s is %s, no whole number", what, (long long)in,
                        rational_text(arena, scale), rational_text(arena, product));
  *out = product.num;
  return NULL;
}

static const char *resize_infer(Arena *arena, OpCall *call) {
  const Shape *in = &call->inputs[0];
  if (in->rank != 3)
    return arena_printf(arena, "the input must be a feature map [height, width, channels], not %s", shape_text(arena, in));
  int64_t height = call->attrs[HEIGHT].i[0], width = call->attrs[WIDTH].i[0];
  Rational scale = call->attrs[SCALE].number;
  bool by_scale = scale.num != 0;
  if (by_scale ? height || width : !height || !width)
    return "give either height and width, or a scale";
  if (by_scale) {
    const char *problem = scaled(arena, "height", in->dims[0], scale, &height);
    if (!problem)
      problem = scaled(arena, "width", in->dims[1], scale, &width);
    if (problem)
      return problem;
  }
  call->output = (Shape){ELEM_F32, 3, {height, width, in->dims[2]}};
  return NULL;
}

/* ---- nearest ---- */

static void input_channels(const OpCall *call, Compute *compute) {
  shape_hwc(&call->output, compute->out);
  Operand *x = &compute->operands[0];
  *x = (Operand){.source = 0, .rank = 3};
  shape_hwc(&call->inputs[0], x->dims);
  x->access[2].coef[DIM_C] = 1;
  compute->n_operands = 1;
}

static void nearest_compute(Arena *arena, const OpCall *call, Compute *compute) {
  input_channels(call, compute);
  for (int d = 0; d < 2; d++) {
    Line line = nearest_line(call, d);
    add_floor(&compute->operands[0].access[d], &line, d);
  }
  compute->finish = scalar_operand(arena, 0);
}

static void nearest_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  const int64_t *in = inputs[0].shape.dims, *out = call->output.dims;
  bool half = call->attrs[CONVENTION].i[0];
  for (int64_t y = 0; y < out[0]; y++)
    for (int64_t x = 0; x < out[1]; x++) {
      int64_t row = half ? (2 * y + 1) * in[0] / (2 * out[0]) : y * in[0] / out[0];
      int64_t column = half ? (2 * x + 1) * in[1] / (2 * out[1]) : x * in[1] / out[1];
      for (int64_t c = 0; c < out[2]; c++)
        output[(y * out[1] + x) * out[2] + c] = inputs[0].data[(row * in[1] + column) * in[2] + c];
    }
}

static void nearest_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_f(w, "F.interpolate(%s, (%lld, %lld), mode='nearest%s')", x[0], (long long)call->output.dims[0],
          (long long)call->output.dims[1], call->attrs[CONVENTION].i[0] ? "-exact" : "");
}

/* ---- bilinear ---- */

/* A dimension that keeps its size has one tap: nothing lies between. */
static int64_t line_taps(const Line *line) { return line->in == line->out ? 1 : 2; }

static void bilinear_compute(Arena *arena, const OpCall *call, Compute *compute) {
  static const char *const labels[2] = {"ky", "kx"};
  input_channels(call, compute);
  compute->n_reduce = 2;
  for (int d = 0; d < 2; d++) {
    Line line = bilinear_line(call, d);
    compute->reduce[d] = line_taps(&line);
    compute->reduce_label[d] = labels[d];
    AccessDim *access = &compute->operands[0].access[d];
    access->coef[DIM_R + d] = 1;
    add_floor(access, &line, d);
    Operand *table = &compute->operands[compute->n_operands++];
    *table = (Operand){.is_weight = true, .source = OP_MAX_WEIGHTS + d, .rank = 2, .dims = {line.out, compute->reduce[d]}};
    table->access[0].coef[d] = 1;
    table->access[1].coef[DIM_R + d] = 1;
  }
  const Scalar *rows = scalar_op(arena, OP_MUL, scalar_operand(arena, 0), scalar_operand(arena, 1), NULL);
  compute->init = scalar_const(arena, 0);
  compute->combine = scalar_op(arena, OP_ADD, scalar_acc(arena),
                               scalar_op(arena, OP_MUL, rows, scalar_operand(arena, 2), NULL), NULL);
  compute->finish = scalar_acc(arena);
}

/* The weights of the taps of rows (0) or columns (1). */
static const Recipe *bilinear_table(Arena *arena, const OpCall *call, int d) {
  Line line = bilinear_line(call, d);
  int64_t taps = line_taps(&line), n = line.out * taps;
  Rational *values = ARENA_ARRAY(arena, Rational, n);
  for (int64_t y = 0; y < line.out; y++) {
    int64_t first = line_floor(&line, y);
    bool ok = true;
    Rational after = rational_make(line.coef * y + line.offset - first * line.divide, line.divide, &ok);
    if (taps == 1 || first + 1 >= line.in)
      after = rational_int(0);
    else if (first < 0)
      after = rational_int(1);
    values[y * taps] = rational_sub(rational_int(1), after, &ok);
    if (!ok)
      BUG("a weight of '%s' is out of range", call->def->name);
    if (taps == 2)
      values[y * taps + 1] = after;
  }
  return recipe_reshape(arena, recipe_list(arena, values, n), 2, (int64_t[]){line.out, taps});
}

/* Where output element y lies, and its two neighbours. */
static double source(int64_t y, int64_t in, int64_t out, bool align, int64_t *low, int64_t *high) {
  double at = align ? (out > 1 ? (double)y * (double)(in - 1) / (double)(out - 1) : 0)
                    : ((double)y + 0.5) * (double)in / (double)out - 0.5;
  at = at < 0 ? 0 : at;
  *low = (int64_t)floor(at);
  *low = *low < in ? *low : in - 1;
  *high = *low + 1 < in ? *low + 1 : *low;
  return at - (double)*low;
}

static void bilinear_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  const int64_t *in = inputs[0].shape.dims, *out = call->output.dims;
  const float *data = inputs[0].data;
  bool align = call->attrs[CONVENTION].i[0];
  for (int64_t y = 0; y < out[0]; y++)
    for (int64_t x = 0; x < out[1]; x++) {
      int64_t top, bottom, left, right;
      double down = source(y, in[0], out[0], align, &top, &bottom), across = source(x, in[1], out[1], align, &left, &right);
      for (int64_t c = 0; c < out[2]; c++) {
        double upper = (1 - across) * (double)data[(top * in[1] + left) * in[2] + c] +
                       across * (double)data[(top * in[1] + right) * in[2] + c];
        double lower = (1 - across) * (double)data[(bottom * in[1] + left) * in[2] + c] +
                       across * (double)data[(bottom * in[1] + right) * in[2] + c];
        output[(y * out[1] + x) * out[2] + c] = (float)((1 - down) * upper + down * lower);
      }
    }
}

static void bilinear_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_f(w, "F.interpolate(%s, (%lld, %lld), mode='bilinear', align_corners=%s)", x[0], (long long)call->output.dims[0],
          (long long)call->output.dims[1], call->attrs[CONVENTION].i[0] ? "True" : "False");
}

#define SIZE_ATTRS                                                                                                     \
  {.name = "height", .type = ATTR_INT, .doc = "rows of the output; 0: by the scale"},                                  \
      {.name = "width", .type = ATTR_INT, .doc = "columns of the output; 0: by the scale"}, {                          \
    .name = "scale", .type = ATTR_NUMBER, .value = {.number = {0, 1}}, .doc = "output by input, instead of a size"     \
  }

const OpDef op_resize_nearest = {
    .name = "resize_nearest",
    .doc = "another height and width, each element that of the input at or before its place",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 4,
    .attrs = {SIZE_ATTRS,
              {.name = "half_pixel", .type = ATTR_BOOL, .doc = "places are those of elements' centers, not of their corners"}},
    .infer = resize_infer,
    .compute = nearest_compute,
    .evaluate = nearest_evaluate,
    .torch_forward = nearest_torch_forward,
};

const OpDef op_resize_bilinear = {
    .name = "resize_bilinear",
    .doc = "another height and width, each element between the four of the input around its place",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 4,
    .attrs = {SIZE_ATTRS,
              {.name = "align_corners", .type = ATTR_BOOL,
               .doc = "the centers of the corner elements keep their places, instead of the map's corners"}},
    .infer = resize_infer,
    .compute = bilinear_compute,
    .table = bilinear_table,
    .evaluate = bilinear_evaluate,
    .torch_forward = bilinear_torch_forward,
};
