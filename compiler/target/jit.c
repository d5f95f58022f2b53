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

/* Code and data at their addresses. */
typedef struct Place {
  LLVMOrcLLJITRef lljit;
  CallFunction *call;
  void *weights;
  unsigned char *memory; /* the arena's alignment in bytes, then the arena */
  void *arena;
} Place;

struct Jit {
  Place place;
  LLVMMemoryBufferRef object; /* not linked */
  char *prefix;
  bool profile;
  size_t weights_bytes, weights_align, arena_bytes, arena_align;
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

/* How much memory the program wants. */
static void measure(Jit *jit, const Program *program, const Target *target, const WeightLayout *layout) {
  jit->arena_align = sizeof(void *);
  if (program->arena_align > 0 && (size_t)program->arena_align > jit->arena_align)
    jit->arena_align = (size_t)program->arena_align;
  if ((size_t)target->buffer_align > jit->arena_align)
    jit->arena_align = (size_t)target->buffer_align;
  jit->arena_bytes = program->arena_bytes > 0 ? (size_t)program->arena_bytes : 1;
  jit->weights_bytes = (size_t)layout->total_bytes;
  jit->weights_align = (size_t)layout->align;
}

static bool new_memory(const Jit *jit, Place *place, Diag *diag) {
  place->memory = mnrt_arena_new(jit->arena_align + jit->arena_bytes, jit->arena_align);
  place->weights = mnrt_arena_new(jit->weights_bytes, jit->weights_align);
  if (!place->memory || !place->weights) {
    diag_error(diag, (Loc){0}, "no memory to run the network");
    return false;
  }
  place->arena = place->memory + jit->arena_align;
  ((const JitHooks **)place->arena)[-1] = NULL;
  return true;
}

/* The blob as the object expects it; false after an error. */
static bool read_weights(const Place *place, const WeightLayout *layout, const EmitOptions *options, Diag *diag) {
  bool ok = true;
  for (size_t i = 0; i < layout->n && ok; i++) {
    const WeightPlace *at = &layout->places[i];
    if (at->first == i)
      ok = weight_bytes(at->buffer, options->weights, diag, false, (unsigned char *)place->weights + at->offset);
  }
  return ok;
}

static void place_free(Place *place) {
  if (place->lljit)
    LLVMConsumeError(LLVMOrcDisposeLLJIT(place->lljit));
  mnrt_arena_free(place->memory);
  mnrt_arena_free(place->weights);
}

/* ---- profiles ---- */

void jit_set_hooks(Jit *jit, const JitHooks *hooks) { ((const JitHooks **)jit->place.arena)[-1] = hooks; }

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

static bool link_object(const Jit *jit, Place *place, Diag *diag) {
  if (failed(LLVMOrcCreateLLJIT(&place->lljit, NULL), diag)) {
    place->lljit = NULL;
    return false;
  }
  LLVMMemoryBufferRef copy =
      LLVMCreateMemoryBufferWithMemoryRangeCopy(LLVMGetBufferStart(jit->object), LLVMGetBufferSize(jit->object), "network");
  LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(place->lljit);
  if (failed(LLVMOrcLLJITAddObjectFile(place->lljit, library, copy), diag)) /* takes the copy */
    return false;
  if (jit->profile && !define_hooks(place->lljit, library, jit->prefix, diag))
    return false;
  Arena *arena = arena_new();
  LLVMOrcExecutorAddress address = 0;
  bool found = !failed(LLVMOrcLLJITLookup(place->lljit, &address, arena_printf(arena, "%s_call", jit->prefix)), diag);
  arena_free(arena);
  place->call = (CallFunction *)(uintptr_t)address;
  return found;
}

bool jit_move(Jit *jit, Diag *diag) {
  Place place = {0}; /* while the old one is held, so that it is another */
  if (!new_memory(jit, &place, diag) || !link_object(jit, &place, diag)) {
    place_free(&place);
    return false;
  }
  memcpy(place.weights, jit->place.weights, jit->weights_bytes);
  const JitHooks *hooks = ((const JitHooks **)jit->place.arena)[-1];
  place_free(&jit->place);
  jit->place = place;
  jit_set_hooks(jit, hooks);
  return true;
}

/* Memory, threads and linked code for the object, which the Jit takes. Null after an error. */
static Jit *new_jit(LLVMMemoryBufferRef object, const Program *program, const Target *target, const EmitOptions *options, Diag *diag) {
  Jit *jit = calloc(1, sizeof *jit);
  char *prefix = strdup(options->prefix);
  if (!jit || !prefix) {
    LLVMDisposeMemoryBuffer(object);
    free(prefix);
    free(jit);
    diag_error(diag, (Loc){0}, "no memory to run the network");
    return NULL;
  }
  *jit = (Jit){.object = object, .prefix = prefix, .profile = options->profile};
  Arena *arena = arena_new();
  WeightLayout layout = weight_layout(arena, &(Variants){&(Variant){program, target}, 1});
  measure(jit, program, target, &layout);
  jit->pool = program->threads > 1 ? mnrt_pool_new(program->threads, 0) : NULL;
  bool threads = program->threads <= 1 || jit->pool;
  if (!threads)
    diag_error(diag, (Loc){0}, "the system gives no threads to run the network");
  bool ok = threads && new_memory(jit, &jit->place, diag) && read_weights(&jit->place, &layout, options, diag) &&
            link_object(jit, &jit->place, diag);
  arena_free(arena);
  if (ok)
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
  return object ? new_jit(object, program, target, &beside, diag) : NULL;
}

void jit_run(Jit *jit, const void *const *inputs, void *const *outputs) {
  mncc_parallel parallel = mnrt_pool_parallel(jit->pool);
  const Place *place = &jit->place;
  place->call(jit->pool ? &parallel : NULL, place->weights, place->arena, inputs, outputs);
}

void jit_free(Jit *jit) {
  if (!jit)
    return;
  place_free(&jit->place);
  mnrt_pool_free(jit->pool);
  LLVMDisposeMemoryBuffer(jit->object);
  free(jit->prefix);
  free(jit);
}
