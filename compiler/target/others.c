/* RISC-V with vectors of 128 bits or more, and WebAssembly. */
#include "target/target.h"

extern const Target target_riscv64, target_wasm32;

const Target target_riscv64 = {
    .name = "riscv64",
    .description = "64-bit RISC-V with the vector extension, 128 bits at least",
    .triple = "riscv64-unknown-linux-gnu",
    .cpu = "generic-rv64",
    .features = "+m,+a,+f,+d,+c,+v",
    .vector_bytes = 16,
    .vector_registers = 32,
    .l1_bytes = 32 * 1024,
    .l2_bytes = 256 * 1024,
    .fma = true,
    .vector_extensions = true,
    .c_condition = "defined(__riscv_vector)",
    .c_flags = "-march=rv64gcv",
    .buffer_align = 64,
};

const Target target_wasm32 = {
    .name = "wasm32",
    .description = "WebAssembly with simd128",
    .triple = "wasm32-unknown-unknown",
    .cpu = "generic",
    .features = "+simd128",
    .vector_bytes = 16,
    .vector_registers = 16,
    .l1_bytes = 32 * 1024,
    .l2_bytes = 256 * 1024,
    .fma = false,
    .vector_extensions = true,
    .c_condition = "defined(__wasm_simd128__)",
    .c_flags = "-msimd128",
    .buffer_align = 16,
};
