/* Operators that networks of this kind are described with elsewhere, but that
 * are not supported: their names lead to a reason instead of to a guess. */
#include "ops/family.h"

const OpDef op_transpose = {
    .name = "transpose",
    .refusal = "maps are [height, width, channels] throughout; give the input in that order",
};

const OpDef op_conv_transpose = {
    .name = "conv_transpose",
    .refusal = "which taps meet differs from pixel to pixel; resize_nearest or resize_bilinear and a conv take its place",
};
