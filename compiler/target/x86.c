/* The x86-64 micro-architecture levels of the psABI. Cache sizes are those of
 * the smallest common cores of the level. */
#include "target/target.h"

/* What each level adds to the one before, as the psABI lists it, as far as compilers can be told and processors asked:
 * each says what it needs of those below too. */
#define V2_FEATURES {"popcnt", "__POPCNT__", 2}, {"sse3", "__SSE3__", 5}, {"ssse3", "__SSSE3__", 6}, \
                    {"sse4.1", "__SSE4_1__", 7}, {"sse4.2", "__SSE4_2__", 8}
#define V3_FEATURES {"avx", "__AVX__", 9}, {"avx2", "__AVX2__", 10}, {"fma", "__FMA__", 14}, {"bmi", "__BMI__", 16}, \
                    {"bmi2", "__BMI2__", 17}, {"f16c", "__F16C__", 49}, {"lzcnt", "__LZCNT__", 57}, \
                    {"movbe", "__MOVBE__", 58}
#define V4_FEATURES {"avx512f", "__AVX512F__", 15}, {"avx512vl", "__AVX512VL__", 20}, {"avx512bw", "__AVX512BW__", 21}, \
                    {"avx512dq", "__AVX512DQ__", 22}, {"avx512cd", "__AVX512CD__", 23}

static const CpuFeature v2_features[] = {V2_FEATURES};
static const CpuFeature v3_features[] = {V2_FEATURES, V3_FEATURES};
static const CpuFeature v4_features[] = {V2_FEATURES, V3_FEATURES, V4_FEATURES};

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
    .c_architecture = "defined(__x86_64__)",
    .dispatch = {v2_features, sizeof v2_features / sizeof *v2_features},
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
    .c_architecture = "defined(__x86_64__)",
    .dispatch = {v3_features, sizeof v3_features / sizeof *v3_features},
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
    .c_architecture = "defined(__x86_64__)",
    .dispatch = {v4_features, sizeof v4_features / sizeof *v4_features},
    .buffer_align = 64,
};
