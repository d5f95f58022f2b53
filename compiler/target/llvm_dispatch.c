/* The choice among the variants of a file for several targets, in LLVM: PREFIX_run calls the run function of the first
 * whose instructions the processor has, PREFIX_target names it.
 *
 * What the processor has stands in two objects of the library that gcc and clang link to everything, libgcc or
 * compiler-rt, as bits whose numbers are the same in both: those below 32 in the last word of __cpu_model, the others in
 * the words of __cpu_features2. __cpu_indicator_init fills them; it runs before main and does
 * nothing when it is called again, so any number of threads may begin at the same time. */
#include "target/llvm_emitter.h"

enum { MODEL_WORDS = 4, WORDS = 4 }; /* of __cpu_model; of all features */

static LLVMTypeRef word_type(Gen *g) { return LLVMInt32TypeInContext(g->context); }

/* The bits of one word that the features ask for. */
static unsigned mask_of(const CpuFeatures *features, int word) {
  unsigned mask = 0;
  for (size_t i = 0; i < features->n; i++)
    if (features->at[i].bit / 32 == word)
      mask |= 1u << features->at[i].bit % 32;
  return mask;
}

static LLVMValueRef library_words(Gen *g, const char *name, unsigned words) {
  LLVMValueRef object = LLVMGetNamedGlobal(g->module, name);
  return object ? object : LLVMAddGlobal(g->module, LLVMArrayType2(word_type(g), words), name);
}

static LLVMValueRef load_word(Gen *g, int word) {
  bool first = word == 0;
  LLVMValueRef object = first ? library_words(g, "__cpu_model", MODEL_WORDS) : library_words(g, "__cpu_features2", WORDS - 1);
  LLVMValueRef at = llvm_index_const(g, first ? MODEL_WORDS - 1 : word - 1);
  LLVMValueRef address = LLVMBuildInBoundsGEP2(g->builder, word_type(g), object, &at, 1, "");
  return LLVMBuildLoad2(g->builder, word_type(g), address, "has");
}

/* All features are there. */
static LLVMValueRef emit_test(Gen *g, const CpuFeatures *features) {
  LLVMValueRef all = LLVMConstInt(LLVMInt1TypeInContext(g->context), 1, false);
  for (int word = 0; word < WORDS; word++) {
    unsigned mask = mask_of(features, word);
    if (!mask)
      continue;
    LLVMValueRef wanted = LLVMConstInt(word_type(g), mask, false), has = load_word(g, word);
    LLVMValueRef common = LLVMBuildAnd(g->builder, has, wanted, "");
    LLVMValueRef one = LLVMBuildICmp(g->builder, LLVMIntEQ, common, wanted, "");
    all = LLVMBuildAnd(g->builder, all, one, "");
  }
  return all;
}

/* Positions the builder where the i-th variant has been chosen; `user` and i say what to do there, which ends with a return. */
static void emit_choice(Gen *g, LLVMValueRef function, void emit(Gen *g, LLVMValueRef function, size_t i, const void *user),
                        const void *user) {
  g->function = function;
  LLVMPositionBuilderAtEnd(g->builder, llvm_new_block(g, "entry"));
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), NULL, 0, false);
  LLVMValueRef init = LLVMGetNamedFunction(g->module, "__cpu_indicator_init");
  init = init ? init : LLVMAddFunction(g->module, "__cpu_indicator_init", type);
  LLVMBuildCall2(g->builder, type, init, NULL, 0, "");
  for (size_t i = 0; i + 1 < g->variants->n; i++) {
    LLVMValueRef test = emit_test(g, &g->variants->at[i].target->dispatch);
    LLVMBasicBlockRef then = llvm_new_block(g, g->variants->at[i].target->name);
    LLVMBasicBlockRef otherwise = llvm_new_block(g, "otherwise");
    LLVMBuildCondBr(g->builder, test, then, otherwise);
    LLVMPositionBuilderAtEnd(g->builder, then);
    emit(g, function, i, user);
    LLVMPositionBuilderAtEnd(g->builder, otherwise);
  }
  emit(g, function, g->variants->n - 1, user);
}

static void call_run(Gen *g, LLVMValueRef function, size_t i, const void *user) {
  LLVMValueRef run = ((const LLVMValueRef *)user)[i];
  unsigned n = LLVMCountParams(function);
  LLVMValueRef *args = ARENA_ARRAY(g->arena, LLVMValueRef, n + 1);
  LLVMGetParams(function, args);
  LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(run), run, args, n, "");
  LLVMBuildRetVoid(g->builder);
}

static void return_name(Gen *g, LLVMValueRef function, size_t i, const void *user) {
  (void)function, (void)user;
  LLVMValueRef name = LLVMBuildGlobalStringPtr(g->builder, g->variants->at[i].target->name, "name");
  LLVMBuildRet(g->builder, name);
}

static const char *target_function(Gen *g) { return arena_printf(g->arena, "%s_target", g->options->prefix); }
static const char *run_function(Gen *g) { return arena_printf(g->arena, "%s_run", g->options->prefix); }

void llvm_declare_dispatch(Gen *g) {
  llvm_declare_run(g, run_function(g), LLVMExternalLinkage, variants_arena_bytes(g->variants), variants_arena_align(g->variants));
  LLVMAddFunction(g->module, target_function(g), LLVMFunctionType(g->ptr, NULL, 0, false));
}

void llvm_define_dispatch(Gen *g, const LLVMValueRef *runs) {
  emit_choice(g, LLVMGetNamedFunction(g->module, run_function(g)), call_run, runs);
  emit_choice(g, LLVMGetNamedFunction(g->module, target_function(g)), return_name, NULL);
}
