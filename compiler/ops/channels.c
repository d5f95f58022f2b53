/* Operators that put channels together: concatenation and channel padding.
 * Each is one update per tensor, made where the channel lies in that tensor. */
#include <string.h>

#include "ops/family.h"

/* A walk over one point, so that updates may be left out. */
static void single_tap(Compute *compute) {
  compute->n_reduce = 1;
  compute->reduce[0] = 1;
  compute->reduce_label[0] = "tap";
}

/* Tensor `i` read at channel c - first. */
static void operand_from_channel(Operand *operand, const OpCall *call, int i, int64_t first) {
  *operand = (Operand){.source = i, .rank = 3};
  shape_hwc(&call->inputs[i], operand->dims);
  for (int d = 0; d < 3; d++)
    operand->access[d].coef[d] = 1;
  operand->access[2].offset = -first;
}

static int64_t channels(const Shape *shape) { return shape->dims[shape->rank - 1]; }

/* ---- concat ---- */

static const char *concat_infer(Arena *arena, OpCall *call) {
  Shape out = call->inputs[0];
  for (int i = 1; i < call->n_inputs; i++) {
    Shape other = call->inputs[i];
    int64_t own = other.dims[other.rank - 1];
    other.dims[other.rank - 1] = call->inputs[0].dims[call->inputs[0].rank - 1];
    if (!shape_equal(&other, &call->inputs[0]))
      return arena_printf(arena, "the tensors must differ in channels only, but they are %s and %s",
                          shape_text(arena, &call->inputs[0]), shape_text(arena, &call->inputs[i]));
    out.dims[out.rank - 1] += own;
  }
  call->output = out;
  return NULL;
}

static void concat_compute(Arena *arena, const OpCall *call, Compute *compute) {
  shape_hwc(&call->output, compute->out);
  single_tap(compute);
  compute->init = scalar_const(arena, 0);
  compute->finish = scalar_acc(arena);
  compute->n_operands = call->n_inputs;
  int64_t first = 0;
  for (int i = 0; i < call->n_inputs; i++) {
    operand_from_channel(&compute->operands[i], call, i, first);
    first += channels(&call->inputs[i]);
    if (i == 0)
      compute->combine = scalar_operand(arena, 0);
    else
      compute->more[compute->n_more++] = scalar_operand(arena, i);
  }
}

static void concat_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights, float *output) {
  (void)weights;
  int64_t out = channels(&call->output), pixels = shape_elems(&call->output) / out, first = 0;
  for (int i = 0; i < call->n_inputs; i++) {
    int64_t own = channels(&call->inputs[i]);
    for (int64_t p = 0; p < pixels; p++)
      memcpy(output + p * out + first, inputs[i].data + p * own, (size_t)own * sizeof *output);
    first += own;
  }
}

static void concat_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_text(w, "torch.cat([");
  for (int i = 0; i < call->n_inputs; i++)
    write_f(w, "%s%s", i ? ", " : "", x[i]);
  write_f(w, "], %d)", torch_channel_dim(&call->output));
}

const OpDef op_concat = {
    .name = "concat",
    .doc = "tensors of one height and width, one behind the other along the channels",
    .min_inputs = 2,
    .max_inputs = OP_MAX_INPUTS,
    .infer = concat_infer,
    .compute = concat_compute,
    .evaluate = concat_evaluate,
    .torch_forward = concat_torch_forward,
};

/* ---- channel_pad ---- */

enum { AFTER, BEFORE };

static const char *channel_pad_infer(Arena *arena, OpCall *call) {
  (void)arena;
  call->output = call->inputs[0];
  int64_t *c = &call->output.dims[call->output.rank - 1];
  if (__builtin_add_overflow(*c, call->attrs[AFTER].i[0], c) || __builtin_add_overflow(*c, call->attrs[BEFORE].i[0], c))
    return "too many channels";
  return NULL;
}

static void channel_pad_compute(Arena *arena, const OpCall *call, Compute *compute) {
  shape_hwc(&call->output, compute->out);
  single_tap(compute);
  compute->init = scalar_const(arena, 0);
  compute->combine = scalar_operand(arena, 0);
  compute->finish = scalar_acc(arena);
  compute->n_operands = 1;
  operand_from_channel(&compute->operands[0], call, 0, call->attrs[BEFORE].i[0]);
}

static void channel_pad_evaluate(const OpCall *call, const EvalTensor *inputs, const double *const *weights,
                                 float *output) {
  (void)weights;
  int64_t in = channels(&call->inputs[0]), out = channels(&call->output), pixels = shape_elems(&call->output) / out;
  memset(output, 0, (size_t)shape_elems(&call->output) * sizeof *output);
  for (int64_t p = 0; p < pixels; p++)
    memcpy(output + p * out + call->attrs[BEFORE].i[0], inputs[0].data + p * in, (size_t)in * sizeof *output);
}

static void channel_pad_torch_forward(Writer *w, const OpCall *call, const char *self, const char *const *x) {
  (void)self;
  write_f(w, "F.pad(%s, (%s%lld, %lld))", x[0], call->inputs[0].rank == 3 ? "0, 0, 0, 0, " : "",
          (long long)call->attrs[BEFORE].i[0], (long long)call->attrs[AFTER].i[0]);
}

const OpDef op_channel_pad = {
    .name = "channel_pad",
    .doc = "channels of zeros behind (and before) those of the input",
    .min_inputs = 1,
    .max_inputs = 1,
    .n_attrs = 2,
    .attrs = {{.name = "after", .type = ATTR_INT, .required = true, .min = 0, .doc = "channels added behind"},
              {.name = "before", .type = ATTR_INT, .min = 0, .doc = "channels added before"}},
    .infer = channel_pad_infer,
    .compute = channel_pad_compute,
    .evaluate = channel_pad_evaluate,
    .torch_forward = channel_pad_torch_forward,
};
