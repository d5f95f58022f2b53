/* Microcontrollers: Arm's Cortex-M with an FPU. The M4 and M7 have 32 registers of
 * one f32 and no vectors: their tiles are of scalars. The M55 has 8 of four (Helium,
 * which flushes subnormal numbers to zero: there results may differ in these). Its C
 * is for clang: gcc 12 makes wrong code of shifts and comparisons of such vectors.
 * The objects that mncc makes itself link with either.
 *
 * A Cortex-M4 takes one cycle for a product and one for a sum, but three for the
 * two in one instruction, so its loops keep them apart; they give the bits of
 * `generic`. */
#include "target/target.h"

extern const Target target_cortex_m4, target_cortex_m7, target_cortex_m55;

const Target target_cortex_m4 = {
    .name = "cortex-m4",
    .description = "Cortex-M4 with FPU",
    .triple = "thumbv7em-none-eabihf",
    .cpu = "cortex-m4",
    .features = "",
    .vector_bytes = 4,
    .vector_registers = 32,
    .fma = false,
    .buffer_align = 8,
};

const Target target_cortex_m7 = {
    .name = "cortex-m7",
    .description = "Cortex-M7 with FPU",
    .triple = "thumbv7em-none-eabihf",
    .cpu = "cortex-m7",
    .features = "",
    .vector_bytes = 4,
    .vector_registers = 32,
    .fma = true,
    .c_condition = "defined(__ARM_FEATURE_FMA)",
    .c_flags = "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-sp-d16",
    .buffer_align = 8,
};

const Target target_cortex_m55 = {
    .name = "cortex-m55",
    .description = "Cortex-M55 with Helium for f32",
    .triple = "thumbv8.1m.main-none-eabihf",
    .cpu = "cortex-m55",
    .features = "",
    .vector_bytes = 16,
    .vector_registers = 8,
    .fma = true,
    .vector_extensions = true,
    .c_condition = "defined(__clang__) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2)",
    .c_flags = "clang's --target=thumbv8.1m.main-none-eabihf -mcpu=cortex-m55 -fno-math-errno",
    .buffer_align = 16,
};
