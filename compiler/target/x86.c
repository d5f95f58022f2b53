/* The x86-64 micro-architecture levels of the psABI. Cache sizes are those of
 * the smallest common cores of the level. */
#include "target/target.h"

extern const Target target_x86_64_v2, target_x86_64_v3, target_x86_64_v4;

const Target target_x86_64_v2 = {
    .name = "x86-64-v2",
    .description = "x86-64 with SSE4.2",
    .triple = "x86_64-unknown-linux-gnu",
    .cpu = "x86-64-v2",
    .features = "",
    .vector_bytes = 16,
    .vector_registers = 16,
    .l1_bytes = 32 * 1024,
    .l2_bytes = 256 * 1024,
    .macs_per_line = 200,
    .fma = false,
    .vector_extensions = true,
    .c_condition = "defined(__SSE4_2__)",
    .c_flags = "-march=x86-64-v2",
    .buffer_align = 64,
};

const Target target_x86_64_v3 = {
    .name = "x86-64-v3",
    .description = "x86-64 with AVX2 and FMA",
    .triple = "x86_64-unknown-linux-gnu",
    .cpu = "x86-64-v3",
    .features = "",
    .vector_bytes = 32,
    .vector_registers = 16,
    .l1_bytes = 32 * 1024,
    .l2_bytes = 512 * 1024,
    .macs_per_line = 200,
    .fma = true,
    .vector_extensions = true,
    .c_condition = "defined(__AVX2__) && defined(__FMA__)",
    .c_flags = "-march=x86-64-v3 (or -mavx2 -mfma)",
    .buffer_align = 64,
};

const Target target_x86_64_v4 = {
    .name = "x86-64-v4",
    .description = "x86-64 with AVX-512",
    .triple = "x86_64-unknown-linux-gnu",
    .cpu = "x86-64-v4",
    .features = "-prefer-256-bit",
    .vector_bytes = 64,
    .vector_registers = 32,
    .l1_bytes = 32 * 1024,
    .l2_bytes = 1024 * 1024,
    .macs_per_line = 200,
    .fma = true,
    .vector_extensions = true,
    .c_condition = "defined(__AVX512F__) && defined(__AVX512VL__) && defined(__FMA__)",
    .c_flags = "-march=x86-64-v4 (or -mavx512f -mavx512vl -mfma)",
    .buffer_align = 64,
};
