/* From a module to text, bitcode, assembly or an object.
 *
 * The target machine is made from triple, CPU and features. Nothing given means the
 * host's triple with that triple's baseline, not the host's CPU: `generic` output must
 * not depend on the machine that mncc runs on. The machine's own say is "native".
 *
 * LLVM reports some of a user's mistakes in ways of its own: an unknown CPU as a
 * warning on standard error, others by ending the process. Both are turned into
 * errors here. */
#include "target/llvm_module.h"

#include <llvm-c/BitWriter.h>
#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A copy of one of LLVM's own texts, which it wants back. */
static const char *take_text(Arena *arena, char *text) {
  const char *copy = arena_printf(arena, "%s", text ? text : "");
  LLVMDisposeMessage(text);
  return copy;
}

/* Tiles leave two to four vector registers to operands. LLVM gives registers to what lives long first, and the operands of a
 * loop's body then push a sum out of it at every step; the other way round they do not. There is no function for it in
 * the C interface, and LLVM takes its options once. */
static void prefer_short_lives(void) {
#if MNCC_LLVM_LOCAL_ORDER
  static bool done;
  static const char *const options[] = {"mncc", "-greedy-reverse-local-assignment"};
  if (!done)
    LLVMParseCommandLineOptions(2, options, "");
  done = true;
#endif
}

static void initialize_targets(void) {
  prefer_short_lives();
  LLVMInitializeAllTargetInfos();
  LLVMInitializeAllTargets();
  LLVMInitializeAllTargetMCs();
  LLVMInitializeAllAsmPrinters();
}

static LLVMTargetRef find_target(const char *triple, Diag *diag) {
  LLVMTargetRef found = NULL;
  char *message = NULL;
  if (!LLVMGetTargetFromTriple(triple, &found, &message)) {
    if (LLVMTargetHasTargetMachine(found))
      return found;
    diag_error(diag, (Loc){0}, "LLVM generates no code for target triple '%s'", triple);
    return NULL;
  }
  LLVMDisposeMessage(message);
  Arena *arena = arena_new();
  const char *list = "";
  for (LLVMTargetRef t = LLVMGetFirstTarget(); t; t = LLVMGetNextTarget(t))
    list = arena_printf(arena, "%s%s%s", list, *list ? ", " : "", LLVMGetTargetName(t));
  diag_error(diag, (Loc){0}, "unknown target triple '%s'", triple);
  diag_note(diag, (Loc){0}, "this LLVM generates code for %s", list);
  arena_free(arena);
  return NULL;
}

/* Does LLVM's list of features ask for this one? What comes later counts. */
static bool lists_feature(const char *features, const char *name) {
  bool found = false;
  for (const char *at = features; *at;) {
    size_t len = strcspn(at, ",");
    if (len == strlen(name) + 1 && strncmp(at + 1, name, len - 1) == 0)
      found = *at == '+';
    at += at[len] ? len + 1 : len;
  }
  return found;
}

bool llvm_spec(Arena *arena, const Target *target, const EmitOptions *options, Diag *diag,
               LlvmSpec *spec) {
  initialize_targets();
  const char *triple = options->triple ? options->triple : target->triple;
  const char *cpu = options->cpu ? options->cpu : target->cpu;
  const char *features = options->features ? options->features : target->features;
  spec->triple = take_text(arena, triple && *triple ? LLVMNormalizeTargetTriple(triple)
                                                    : LLVMGetDefaultTargetTriple());
  spec->cpu = cpu ? cpu : "";
  spec->features = features ? features : "";
  if (strcmp(spec->cpu, "native") == 0) {
    spec->cpu = take_text(arena, LLVMGetHostCPUName());
    const char *host = take_text(arena, LLVMGetHostCPUFeatures());
    spec->features =
        arena_printf(arena, "%s%s%s", host, *spec->features ? "," : "", spec->features);
  }
  spec->dot_product = target->dot_product && lists_feature(spec->features, target->dot_product->feature) ? target->dot_product : NULL;
  spec->optimize = options->optimize;
  if (spec->optimize < 0 || spec->optimize > 3) {
    diag_error(diag, (Loc){0}, "optimization level %d is not one of 0, 1, 2, 3", spec->optimize);
    return false;
  }
  return find_target(spec->triple, diag) != NULL;
}

static LLVMTargetMachineRef create_machine(LLVMTargetRef target, const LlvmSpec *spec) {
  static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                               LLVMCodeGenLevelDefault, LLVMCodeGenLevelAggressive};
  return LLVMCreateTargetMachine(target, spec->triple, spec->cpu, spec->features,
                                 levels[spec->optimize], LLVMRelocPIC, LLVMCodeModelDefault);
}

/* The machine, or null after an error. LLVM ignores a CPU or feature that it does not know and says
 * so on standard error only, with no other way to ask: what it says there is caught. */
static LLVMTargetMachineRef make_machine(const LlvmSpec *spec, Diag *diag) {
  LLVMTargetRef target = find_target(spec->triple, diag);
  if (!target)
    return NULL;
  FILE *heard = *spec->cpu || *spec->features ? tmpfile() : NULL;
  int saved = -1;
  if (heard) {
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    if (saved >= 0)
      dup2(fileno(heard), STDERR_FILENO);
  }
  LLVMTargetMachineRef machine = create_machine(target, spec);
  char line[256] = "";
  if (saved >= 0) {
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(heard);
    if (!fgets(line, sizeof line, heard))
      line[0] = '\0';
  }
  if (heard)
    fclose(heard);
  if (!machine) {
    diag_error(diag, (Loc){0}, "LLVM has no target machine for triple '%s'", spec->triple);
    return NULL;
  }
  if (!line[0])
    return machine;
  LLVMDisposeTargetMachine(machine);
  char *name = strchr(line, '+') ? strchr(line, '+') : strchr(line, '-');
  size_t len = name ? strcspn(name, "' \n") : 0;
  if (strstr(line, "processor") || strcmp(spec->cpu, "help") == 0)
    diag_error(diag, (Loc){0}, "unknown CPU '%s' for target triple '%s'", spec->cpu, spec->triple);
  else if (strstr(line, "feature") && len)
    diag_error(diag, (Loc){0}, "unknown feature '%.*s' for target triple '%s'", (int)len, name,
               spec->triple);
  else
    diag_error(diag, (Loc){0}, "bad CPU '%s' or features '%s' for target triple '%s'", spec->cpu,
               spec->features, spec->triple);
  return NULL;
}

/* Errors of code generation, e.g. a construct that a back end cannot select. */
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
  LLVMDiagnosticSeverity severity = LLVMGetDiagInfoSeverity(info);
  if (severity != LLVMDSError && severity != LLVMDSWarning)
    return;
  char *text = LLVMGetDiagInfoDescription(info);
  size_t len = strlen(text);
  while (len > 0 && text[len - 1] == '\n')
    text[--len] = '\0';
  if (severity == LLVMDSError)
    diag_error(user, (Loc){0}, "LLVM: %s", text);
  else
    diag_warning(user, NULL, (Loc){0}, "LLVM: %s", text);
  LLVMDisposeMessage(text);
}

/* LLVM ends the process after this whatever we do (a CPU that contradicts its triple, for one).
 * Nothing has been written yet. */
static void on_fatal(const char *reason) {
  fprintf(stderr, "mncc: error: LLVM cannot generate code for this target: %s\n", reason);
  exit(1);
}

/* Loops over vectors arrive in the shape that they shall have: unrolled, with what they keep in registers. What is left is to
 * put variables into registers, to fold and share what is computed of indices, to move it out of loops, and to unroll scalar
 * loops. LLVM's own lists (default<O2> and the like) take three times as long and give no faster code; with few registers
 * slower code, since they move out of loops more than these hold. Levels above 0 differ in the code generator. */
static bool optimize(LLVMModuleRef module, LLVMTargetMachineRef machine, int level, Diag *diag) {
  /* As in LLVM's own lists; by itself instcombine ends the process where one round leaves something to do. */
#define COMBINE "instcombine<no-verify-fixpoint>"
  static const char passes[] = "function(sroa,early-cse," COMBINE ",simplifycfg,loop-mssa(licm),loop-unroll," COMBINE ")";
#undef COMBINE
  if (level == 0)
    return true;
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef error = LLVMRunPasses(module, passes, machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (!error)
    return true;
  char *message = LLVMGetErrorMessage(error);
  diag_error(diag, (Loc){0}, "LLVM: %s", message);
  LLVMDisposeErrorMessage(message);
  return false;
}

static LLVMMemoryBufferRef print_module(LLVMModuleRef module) {
  char *text = LLVMPrintModuleToString(module);
  LLVMMemoryBufferRef buffer =
      LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "module");
  LLVMDisposeMessage(text);
  return buffer;
}

static LLVMMemoryBufferRef generate(LLVMModuleRef module, LLVMTargetMachineRef machine,
                                    LLVMCodeGenFileType type, Diag *diag) {
  LLVMMemoryBufferRef buffer = NULL;
  char *message = NULL;
  if (type == LLVMObjectFile && !LLVMTargetHasAsmBackend(LLVMGetTargetMachineTarget(machine))) {
    diag_error(diag, (Loc){0}, "LLVM writes no objects for this target; use assembly");
    return NULL;
  }
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, type, &message, &buffer)) {
    diag_error(diag, (Loc){0}, "LLVM: %s", message);
    LLVMDisposeMessage(message);
    return NULL;
  }
  return buffer;
}

static LLVMMemoryBufferRef write_module(LLVMModuleRef module, LLVMTargetMachineRef machine,
                                        LlvmOutput output, Diag *diag) {
  switch (output) {
  case LLVM_TEXT:
    return print_module(module);
  case LLVM_BITCODE:
    return LLVMWriteBitcodeToMemoryBuffer(module);
  case LLVM_ASSEMBLY:
    return generate(module, machine, LLVMAssemblyFile, diag);
  case LLVM_OBJECT:
    return generate(module, machine, LLVMObjectFile, diag);
  }
  BUG("LLVM output %d", (int)output);
}

LLVMMemoryBufferRef llvm_compile(const Variants *variants, const EmitOptions *options,
                                 const LlvmSpec *specs, LlvmOutput output, bool adapter,
                                 Diag *diag) {
  int errors_before = diag->errors;
  const LlvmSpec *spec = &specs[variants->n - 1]; /* functions for others say so themselves */
  LLVMMemoryBufferRef buffer = NULL;
  LLVMTargetMachineRef machine = make_machine(spec, diag);
  if (!machine)
    return NULL;
  LLVMInstallFatalErrorHandler(on_fatal);
  LLVMContextRef context = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(context, on_diagnostic, diag);
  LLVMModuleRef module =
      llvm_build(context, machine, variants, options, specs, adapter, diag);
  if (module) {
    if (optimize(module, machine, spec->optimize, diag))
      buffer = write_module(module, machine, output, diag);
    LLVMDisposeModule(module);
  }
  LLVMContextDispose(context);
  LLVMResetFatalErrorHandler();
  LLVMDisposeTargetMachine(machine);
  if (buffer && diag->errors > errors_before) {
    LLVMDisposeMemoryBuffer(buffer);
    buffer = NULL;
  }
  return buffer;
}

bool emit_llvm(Writer *w, const Variants *variants, const EmitOptions *options, LlvmOutput output, Diag *diag) {
  Arena *arena = arena_new();
  LlvmSpec *specs = ARENA_ARRAY(arena, LlvmSpec, variants->n);
  LLVMMemoryBufferRef buffer = NULL;
  bool ok = true;
  for (size_t i = 0; i < variants->n && ok; i++)
    ok = llvm_spec(arena, variants->at[i].target, options, diag, &specs[i]);
  if (ok)
    buffer = llvm_compile(variants, options, specs, output, false, diag);
  if (buffer) {
    write_bytes(w, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
  }
  arena_free(arena);
  return buffer != NULL;
}
