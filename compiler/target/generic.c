/* The default target: strict C99 with no extensions, or LLVM for the host's
 * baseline. It has no fma, also where the machine has one, so that its bits
 * are the same everywhere; eight f32 lanes are two SSE or NEON registers and
 * one of AVX. */
#include "target/target.h"

extern const Target target_generic;
const Target target_generic = {
    .name = "generic",
    .description = "strict C99 without extensions; LLVM for the host's baseline",
    .triple = NULL,
    .cpu = "",
    .features = "",
    .vector_bytes = 32,
    .vector_registers = 16,
    .fma = false,
    .buffer_align = 16,
};
