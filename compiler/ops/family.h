/* What the operator families share: windows over rows and columns, padding
 * arithmetic, and the pieces of text that several torch hooks print. */
#ifndef MNCC_OPS_FAMILY_H
#define MNCC_OPS_FAMILY_H

#include "ops/op.h"

/* A window of kh x kw taps walking over an input. */
typedef struct Window {
  int64_t kernel[2], stride[2], dilation[2];
  int64_t pads[4]; /* top, left, bottom, right */
  int64_t out[2];
} Window;

/* Resolves padding (TensorFlow's `same`: total = max((out - 1) s + (k - 1) d + 1 - in, 0), the smaller half before)
 * and computes the output's height and width. Null, or what is wrong. */
const char *window_resolve(Arena *arena, Window *window, const AttrValue *padding, int64_t height, int64_t width);
/* Access of input rows, columns: stride * y + dilation * ky - pad; ky, kx are reduction dimensions 0 and 1. */
void window_access(const Window *window, AccessDim access[2]);
bool window_is_padded(const Window *window);
/* The dimension of the channels in PyTorch's tensors, which are [N, C, H, W], [N, rows, C] or [N, n]. */
int torch_channel_dim(const Shape *shape);
/* F.pad(x, (left, right, top, bottom)[, value=…]), or just x. */
void write_torch_pad(Writer *w, const int64_t pads[4], const char *x, const char *value);

/* Fills an operand that reads input `source` [H, W, C] at (y, x, c). */
void operand_pointwise(Operand *operand, const OpCall *call, int source);
/* Output = finish over the inputs, each read at the output's own position; dimensions of one are broadcast. */
void elementwise_compute(const OpCall *call, Compute *compute, const Scalar *finish);
/* A weight operand of rank 1 read at [c]. */
void operand_channel(Operand *operand, int source, int64_t channels);

/* Shapes a single output element per input element. */
const char *infer_same(Arena *arena, OpCall *call);

#endif
