/* In-process execution for `mncc run`.
 *
 * The program is compiled by the path that writes objects, and the object is handed to
 * LLJIT, which only links it into this process: what runs here is by construction what
 * the object would do. PREFIX_call takes the inputs and outputs as arrays.
 *
 * Weights are always a blob beside the object, in large pages where the system has them, as a host
 * program loads them by mnrt_load_file. They and the arena belong to the Jit, and so do the threads
 * of a program that is divided for several. In front of the arena, where no program looks, lies a
 * pointer to the hooks of a profile: the functions that the object calls get the arena and find
 * them there. */
#include "target/llvm_module.h"

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/TargetMachine.h>
#include <stdlib.h>
#include <string.h>

#include "mnrt.h"

typedef void CallFunction(const mncc_parallel *parallel, const void *weights, void *arena,
                          const void *const *inputs, void *const *outputs);

struct Jit {
  LLVMOrcLLJITRef lljit;
  CallFunction *call;
  void *weights;
  unsigned char *memory; /* the arena's alignment in bytes, then the arena */
  void *arena;
  MnrtPool *pool; /* null for one thread */
};

/* True if there was an error, which is reported. */
static bool failed(LLVMErrorRef error, Diag *diag) {
  if (!error)
    return false;
  char *message = LLVMGetErrorMessage(error);
  diag_error(diag, (Loc){0}, "LLVM: %s", message);
  LLVMDisposeErrorMessage(message);
  return true;
}

/* Is "+name" among the comma-separated features? */
static bool has_feature(const char *features, const char *name, size_t len) {
  for (const char *at = features; (at = strstr(at, "+")) != NULL; at++)
    if (strncmp(at + 1, name, len) == 0 && (at[len + 1] == ',' || at[len + 1] == '\0'))
      return true;
  return false;
}

/* Running another machine's code, or instructions that this one lacks, would end in a signal. */
static bool runs_here(const LlvmSpec *spec, Diag *diag) {
  char *host = LLVMGetDefaultTargetTriple();
  char *features = LLVMGetHostCPUFeatures();
  bool ok = true;
  size_t arch = strcspn(host, "-");
  if (strcspn(spec->triple, "-") != arch || strncmp(spec->triple, host, arch) != 0) {
    diag_error(diag, (Loc){0}, "code for '%s' cannot run on this machine, which is '%s'",
               spec->triple, host);
    ok = false;
  }
  for (const char *at = spec->features; ok && *features && *at;) {
    size_t len = strcspn(at, ",");
    if (*at == '+' && !has_feature(features, at + 1, len - 1)) {
      diag_error(diag, (Loc){0},
                 "this machine lacks the feature '%.*s', so that it cannot run the code",
                 (int)(len - 1), at + 1);
      ok = false;
    }
    at += len + (at[len] == ',');
  }
  LLVMDisposeMessage(features);
  LLVMDisposeMessage(host);
  return ok;
}

static bool new_arena(Jit *jit, const Program *program, const Target *target) {
  size_t align = sizeof(void *);
  if (program->arena_align > 0 && (size_t)program->arena_align > align)
    align = (size_t)program->arena_align;
  if ((size_t)target->buffer_align > align)
    align = (size_t)target->buffer_align;
  size_t bytes = program->arena_bytes > 0 ? (size_t)program->arena_bytes : 1;
  jit->memory = mnrt_arena_new(align + bytes, align);
  if (!jit->memory)
    return false;
  jit->arena = jit->memory + align;
  jit_set_hooks(jit, NULL);
  return true;
}

/* The blob as the object expects it; false after an error. */
static bool read_weights(Jit *jit, const Program *program, const Target *target,
                         const EmitOptions *options, Diag *diag) {
  Arena *arena = arena_new();
  WeightLayout layout = weight_layout(arena, &(Variants){&(Variant){program, target}, 1});
  jit->weights = mnrt_arena_new((size_t)layout.total_bytes, (size_t)layout.align);
  bool ok = jit->weights != NULL;
  if (!ok)
    diag_error(diag, (Loc){0}, "no memory for the weights");
  for (size_t i = 0; i < layout.n && ok; i++) {
    const WeightPlace *place = &layout.places[i];
    if (place->first == i)
      ok = weight_bytes(place->buffer, options->weights, diag, false,
                        (unsigned char *)jit->weights + place->offset);
  }
  arena_free(arena);
  return ok;
}

/* ---- profiles ---- */

void jit_set_hooks(Jit *jit, const JitHooks *hooks) { ((const JitHooks **)jit->arena)[-1] = hooks; }

static void profile_begin(void *arena, int32_t stage) {
  const JitHooks *hooks = ((const JitHooks **)arena)[-1];
  if (hooks)
    hooks->begin(hooks->user, stage);
}

static void profile_end(void *arena, int32_t stage) {
  const JitHooks *hooks = ((const JitHooks **)arena)[-1];
  if (hooks)
    hooks->end(hooks->user, stage);
}

/* Makes the two functions known to the object under the names that it calls. */
static bool define_hooks(LLVMOrcLLJITRef lljit, LLVMOrcJITDylibRef library, const char *prefix, Diag *diag) {
  void (*const hooks[2])(void *, int32_t) = {profile_begin, profile_end};
  static const char *const names[2] = {"begin", "end"};
  LLVMOrcCSymbolMapPair pairs[2];
  Arena *arena = arena_new();
  for (int i = 0; i < 2; i++) {
    const char *name = arena_printf(arena, "%s_profile_%s", prefix, names[i]);
    pairs[i].Name = LLVMOrcLLJITMangleAndIntern(lljit, name);
    pairs[i].Sym.Address = (LLVMOrcExecutorAddress)(uintptr_t)hooks[i];
    pairs[i].Sym.Flags = (LLVMJITSymbolFlags){LLVMJITSymbolGenericFlagsExported, 0};
  }
  arena_free(arena);
  return !failed(LLVMOrcJITDylibDefine(library, LLVMOrcAbsoluteSymbols(pairs, 2)), diag);
}

/* ---- linking ---- */

static CallFunction *link_object(LLVMOrcLLJITRef lljit, LLVMMemoryBufferRef object,
                                 const EmitOptions *options, Diag *diag) {
  const char *prefix = options->prefix;
  LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(lljit);
  if (failed(LLVMOrcLLJITAddObjectFile(lljit, library, object), diag)) /* takes the object */
    return NULL;
  if (options->profile && !define_hooks(lljit, library, prefix, diag))
    return NULL;
  Arena *arena = arena_new();
  LLVMOrcExecutorAddress address = 0;
  bool found =
      !failed(LLVMOrcLLJITLookup(lljit, &address, arena_printf(arena, "%s_call", prefix)), diag);
  arena_free(arena);
  return found ? (CallFunction *)(uintptr_t)address : NULL;
}

/* All of a Jit but its code; null after an error. */
static Jit *new_memory(const Program *program, const Target *target, const EmitOptions *options,
                       Diag *diag) {
  Jit *jit = calloc(1, sizeof *jit);
  if (jit && program->threads > 1)
    jit->pool = mnrt_pool_new(program->threads, 0);
  bool ok = jit && new_arena(jit, program, target) && (program->threads <= 1 || jit->pool);
  if (!ok)
    diag_error(diag, (Loc){0}, "no memory or threads to run the network");
  if (ok && read_weights(jit, program, target, options, diag))
    return jit;
  jit_free(jit);
  return NULL;
}

Jit *jit_new(const Program *program, const Target *target, const EmitOptions *options, Diag *diag) {
  EmitOptions beside = *options;
  beside.weights_as_blob = true;
  Arena *arena = arena_new();
  LlvmSpec spec;
  LLVMMemoryBufferRef object = NULL;
  if (llvm_spec(arena, target, &beside, diag, &spec) && runs_here(&spec, diag))
    object = llvm_compile(&(Variants){&(Variant){program, target}, 1}, &beside, &spec, LLVM_OBJECT, true, diag);
  arena_free(arena);
  if (!object)
    return NULL;

  Jit *jit = new_memory(program, target, &beside, diag);
  if (!jit) {
    LLVMDisposeMemoryBuffer(object);
    return NULL;
  }
  if (failed(LLVMOrcCreateLLJIT(&jit->lljit, NULL), diag)) {
    jit->lljit = NULL;
    LLVMDisposeMemoryBuffer(object);
    jit_free(jit);
    return NULL;
  }
  jit->call = link_object(jit->lljit, object, &beside, diag);
  if (!jit->call) {
    jit_free(jit);
    return NULL;
  }
  return jit;
}

void jit_run(Jit *jit, const void *const *inputs, void *const *outputs) {
  mncc_parallel parallel = mnrt_pool_parallel(jit->pool);
  jit->call(jit->pool ? &parallel : NULL, jit->weights, jit->arena, inputs, outputs);
}

void jit_free(Jit *jit) {
  if (!jit)
    return;
  if (jit->lljit)
    LLVMConsumeError(LLVMOrcDisposeLLJIT(jit->lljit));
  mnrt_pool_free(jit->pool);
  mnrt_arena_free(jit->memory);
  mnrt_arena_free(jit->weights);
  free(jit);
}
