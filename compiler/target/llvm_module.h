/* What emit_llvm.c, llvm_entry.c, object.c and jit.c share. LLVM's types are named by their
 * struct tags, so that including this header does not include llvm-c. */
#ifndef MNCC_TARGET_LLVM_MODULE_H
#define MNCC_TARGET_LLVM_MODULE_H

#include <stdbool.h>

#include "target/target.h"

struct LLVMOpaqueContext;
struct LLVMOpaqueMemoryBuffer;
struct LLVMOpaqueModule;
struct LLVMOpaqueTargetMachine;

/* What code is generated for: the target's fields with the options' overrides applied, "native" and
 * null resolved. The texts are in the arena. */
typedef struct LlvmSpec {
  const char *triple, *cpu, *features;
  int optimize;
  const DotProduct *dot_product; /* the target's, unless the features lack it; or null */
} LlvmSpec;

/* ---- object.c ---- */

/* False after an error: a triple or level that LLVM does not know. */
bool llvm_spec(Arena *arena, const Target *target, const EmitOptions *options, Diag *diag,
               LlvmSpec *spec);
/* Builds, verifies and optimises the module and turns it into `output`. There is a spec for each variant.
 * With `adapter`, and one variant, it also defines PREFIX_call, see llvm_build. Null after an error; the caller disposes of the buffer. */
struct LLVMOpaqueMemoryBuffer *llvm_compile(const Variants *variants, const EmitOptions *options,
                                            const LlvmSpec *specs, LlvmOutput output, bool adapter,
                                            Diag *diag);

/* ---- emit_llvm.c ---- */

/* The programs as a module for the machine, which is that of the last, not optimised. With `adapter` it also exports
 * void PREFIX_call(ptr parallel, ptr weights, ptr arena, ptr inputs, ptr outputs), which passes to PREFIX_run what
 * it takes of these, and loads the pointers from the two arrays. Null after an error; the caller disposes of the module. */
struct LLVMOpaqueModule *llvm_build(struct LLVMOpaqueContext *context,
                                    struct LLVMOpaqueTargetMachine *machine, const Variants *variants,
                                    const EmitOptions *options, const LlvmSpec *specs, bool adapter,
                                    Diag *diag);

#endif
