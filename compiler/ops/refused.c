/* Operators that networks of this kind are described with elsewhere, but that
 * are not supported: their names lead to a reason instead of to a guess. */
#include "ops/family.h"

const OpDef op_transpose = {
    .name = "transpose",
    .refusal = "maps are [height, width, channels] throughout; give the input in that order",
};
