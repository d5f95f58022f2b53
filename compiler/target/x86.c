/* The x86-64 micro-architecture levels of the psABI, and the upper two with the dot products of VNNI: of AVX-VNNI, which
 * processors without AVX-512 have, and of AVX-512. Cache sizes are those of the smallest common cores of the level. */
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

#define AVX_VNNI {"avxvnni", "__AVXVNNI__", 93}
#define AVX512_VNNI {"avx512vnni", "__AVX512VNNI__", 34}

static const CpuFeature v2_features[] = {V2_FEATURES};
static const CpuFeature v3_features[] = {V2_FEATURES, V3_FEATURES};
static const CpuFeature v3_vnni_features[] = {V2_FEATURES, V3_FEATURES, AVX_VNNI};
static const CpuFeature v4_features[] = {V2_FEATURES, V3_FEATURES, V4_FEATURES};
static const CpuFeature v4_vnni_features[] = {V2_FEATURES, V3_FEATURES, V4_FEATURES, AVX512_VNNI};
#define AND_COUNT(list) list, sizeof list / sizeof *list

/* vpdpbusd multiplies u8 by i8; vpdpbusds, which saturates, is another. AVX-VNNI encodes it otherwise: the same for LLVM,
 * whose intrinsics follow the features, but not in C. */
#define VPDPBUSD(lanes, bits, c_name)                                                                                          \
  {lanes, "llvm.x86.avx512.vpdpbusd." #bits, "(T)" c_name "((__m" #bits "i)c, (__m" #bits "i)a, (__m" #bits "i)b)"}
static const DotForm avx_vnni_forms[] = {VPDPBUSD(8, 256, "_mm256_dpbusd_avx_epi32"),
                                         VPDPBUSD(4, 128, "_mm_dpbusd_avx_epi32")};
static const DotForm avx512_vnni_forms[] = {VPDPBUSD(16, 512, "_mm512_dpbusd_epi32"),
                                            VPDPBUSD(8, 256, "_mm256_dpbusd_epi32"),
                                            VPDPBUSD(4, 128, "_mm_dpbusd_epi32")};
static const DotProduct avx_vnni = {"vpdpbusd", ELEM_U8, "avxvnni", AND_COUNT(avx_vnni_forms)};
static const DotProduct avx512_vnni = {"vpdpbusd", ELEM_U8, "avx512vnni", AND_COUNT(avx512_vnni_forms)};

extern const Target target_x86_64_v2, target_x86_64_v3, target_x86_64_v3_vnni, target_x86_64_v4, target_x86_64_v4_vnni;

/* What all levels have in common, and what a level has with VNNI and without. */
#define EVERY_LEVEL                                                                                                            \
  .triple = "x86_64-unknown-linux-gnu", .l1_bytes = 32 * 1024, .macs_per_line = 200, .memory_operands = true,                 \
  .vector_extensions = true, .c_architecture = "defined(__x86_64__)", .buffer_align = 64
#define LEVEL_3                                                                                                                \
  EVERY_LEVEL, .cpu = "x86-64-v3", .vector_bytes = 32, .vector_registers = 16, .l2_bytes = 512 * 1024, .fma = true
#define LEVEL_4                                                                                                                \
  EVERY_LEVEL, .cpu = "x86-64-v4", .vector_bytes = 64, .vector_registers = 32, .l2_bytes = 1024 * 1024, .fma = true

const Target target_x86_64_v2 = {
    EVERY_LEVEL,
    .name = "x86-64-v2",
    .description = "x86-64 with SSE4.2",
    .cpu = "x86-64-v2",
    .features = "",
    .vector_bytes = 16,
    .vector_registers = 16,
    .l2_bytes = 256 * 1024,
    .fma = false,
    .c_condition = "defined(__SSE4_2__)",
    .c_flags = "-march=x86-64-v2",
    .dispatch = {AND_COUNT(v2_features)},
};

const Target target_x86_64_v3 = {
    LEVEL_3,
    .name = "x86-64-v3",
    .description = "x86-64 with AVX2 and FMA",
    .features = "",
    .c_condition = "defined(__AVX2__) && defined(__FMA__)",
    .c_flags = "-march=x86-64-v3 (or -mavx2 -mfma)",
    .dispatch = {AND_COUNT(v3_features)},
};

const Target target_x86_64_v3_vnni = {
    LEVEL_3,
    .name = "x86-64-v3-vnni",
    .description = "x86-64 with AVX2, FMA and AVX-VNNI",
    .features = "+avxvnni",
    .dot_product = &avx_vnni,
    .c_condition = "defined(__AVX2__) && defined(__FMA__) && defined(__AVXVNNI__)",
    .c_flags = "-march=x86-64-v3 -mavxvnni",
    .dispatch = {AND_COUNT(v3_vnni_features)},
};

const Target target_x86_64_v4 = {
    LEVEL_4,
    .name = "x86-64-v4",
    .description = "x86-64 with AVX-512",
    .features = "-prefer-256-bit",
    .c_condition = "defined(__AVX512F__) && defined(__AVX512VL__) && defined(__FMA__)",
    .c_flags = "-march=x86-64-v4 (or -mavx512f -mavx512vl -mfma)",
    .dispatch = {AND_COUNT(v4_features)},
};

const Target target_x86_64_v4_vnni = {
    LEVEL_4,
    .name = "x86-64-v4-vnni",
    .description = "x86-64 with AVX-512 and its VNNI",
    .features = "-prefer-256-bit,+avx512vnni",
    .dot_product = &avx512_vnni,
    .c_condition = "defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512VNNI__) && defined(__FMA__)",
    .c_flags = "-march=x86-64-v4 -mavx512vnni",
    .dispatch = {AND_COUNT(v4_vnni_features)},
};
