/* Operators that networks are described with elsewhere, but that are not
 * supported: their names lead to a reason instead of to a guess. */
#include "ops/family.h"

const OpDef op_layernorm = {
    .name = "layernorm",
    .refusal = "its statistics are those of each input; batchnorm's are constants, which go into the weights in front of it",
};

const OpDef op_matmul = {
    .name = "matmul",
    .refusal = "it multiplies activations with each other; with weights it is dense, or a conv of 1x1 for each pixel",
};

const OpDef op_gru = {
    .name = "gru",
    .refusal = "nothing is kept from one inference to the next; hand the state over as an input and take it as an output",
};
