/* Arm application cores: 64-bit, with the dot products of Armv8.2 and without, and 32-bit with NEON. (NEON on 32-bit Arm
 * flushes subnormal numbers to zero: there results may differ in these.) */
#include "target/target.h"

extern const Target target_aarch64, target_aarch64_dotprod, target_armv7;

/* sdot multiplies i8 by i8. Of u8 by i8, usdot, is an extension of its own, i8mm, which these rows do not ask for. */
static const DotForm sdot_forms[] = {{4, "llvm.aarch64.neon.sdot", "vdotq_s32(c, a, b)"}};
static const DotProduct sdot = {"sdot", ELEM_I8, "dotprod", sdot_forms, 1};

#define EVERY_AARCH64                                                                                                          \
  .triple = "aarch64-unknown-linux-gnu", .cpu = "generic", .vector_bytes = 16, .vector_registers = 32, .l1_bytes = 32 * 1024,  \
  .l2_bytes = 512 * 1024, .fma = true, .vector_extensions = true, .buffer_align = 64

const Target target_aarch64 = {
    EVERY_AARCH64,
    .name = "aarch64",
    .description = "64-bit Arm with NEON",
    .features = "",
    .c_condition = "defined(__aarch64__) && defined(__ARM_NEON)",
    .c_flags = "-march=armv8-a",
};

const Target target_aarch64_dotprod = {
    EVERY_AARCH64,
    .name = "aarch64-dotprod",
    .description = "64-bit Arm with NEON and its dot products",
    .features = "+dotprod",
    .dot_product = &sdot,
    .c_condition = "defined(__aarch64__) && defined(__ARM_NEON) && defined(__ARM_FEATURE_DOTPROD)",
    .c_flags = "-march=armv8.2-a+dotprod",
};

const Target target_armv7 = {
    .name = "armv7",
    .description = "32-bit Arm with NEON and VFPv4, hard float",
    .triple = "armv7-unknown-linux-gnueabihf",
    .cpu = "cortex-a7",
    .features = "+neon,+vfp4",
    .vector_bytes = 16,
    .vector_registers = 16,
    .l1_bytes = 32 * 1024,
    .l2_bytes = 256 * 1024,
    .fma = true,
    .vector_extensions = true,
    .c_condition = "defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)",
    .c_flags = "-march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard",
    .buffer_align = 64,
};
