/* What the files of the LLVM back end share: the state of a module being written, and what they offer each other.
 *
 *   emit_llvm.c   kernels: statements, functions; weights; the module
 *   llvm_value.c  indices and values
 *   llvm_entry.c  the entry: PREFIX_run, its parallel steps, PREFIX_call
 *   llvm_dispatch.c  PREFIX_run of a file for several targets, which chooses among theirs */
#ifndef MNCC_TARGET_LLVM_EMITTER_H
#define MNCC_TARGET_LLVM_EMITTER_H

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>

#include "support/vec.h"
#include "target/llvm_module.h"

/* What is known of a variable, value, buffer, kernel or expression. */
typedef struct Slot {
  const void *key;
  unsigned generation;
  LLVMValueRef value;
  int depth;          /* Var: loops around its definition */
  int64_t multiple;   /* Var: every value is a multiple of this power of two */
  bool read, written; /* Buffer: seen in the body */
} Slot;

typedef struct Map {
  Arena *arena;
  Slot *slots;
  size_t cap, used;
  unsigned generation; /* slots of earlier ones are empty */
} Map;

/* An address that has been computed: of buffer[offset], the constant left out. */
typedef struct Place {
  const Buffer *buffer;
  const Affine *offset;
  LLVMValueRef pointer;
} Place;

typedef struct Gen {
  const Variants *variants;
  const EmitOptions *options;
  Diag *diag;
  Arena *arena;
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMTargetDataRef data;
  LLVMBuilderRef builder;       /* where statements go */
  LLVMBuilderRef entry_builder; /* the entry block: allocas and base pointers */
  LLVMTypeRef ptr, index;       /* index: as wide as a pointer */
  unsigned index_bits;
  WeightLayout layout;
  LLVMValueRef *weight_globals; /* by place */

  /* of the variant being written */
  const Program *program;
  const LlvmSpec *spec;
  const char *prefix; /* of its functions */
  Map kernels;
  LLVMValueRef run, fork;

  /* of the function being written */
  Arena *scratch;
  LLVMValueRef function;
  Map names; /* Var, Value, Buffer */
  Map memo;  /* Expr, within one statement */
  VEC(Place) places; /* in the block being written and those around it */
  int depth;
  bool vectors;                                /* in the loop being written */
  int64_t widest;                              /* bytes of the widest vector */
  LLVMValueRef arena_pointer, weights_pointer; /* in PREFIX_run and the functions of its branches */
  LLVMValueRef frame;                          /* in PREFIX_run, if there are any */
} Gen;

static const LLVMAttributeIndex FUNCTION_ITSELF = (LLVMAttributeIndex)LLVMAttributeFunctionIndex;

/* ---- emit_llvm.c ---- */

void llvm_map_init(Map *map, Arena *arena);
Slot *llvm_map_find(Map *map, const void *key); /* null if there is none */
Slot *llvm_map_put(Map *map, const void *key, LLVMValueRef value);
/* It must be there; `what` and `name` are for the message otherwise. */
LLVMValueRef llvm_map_get(Map *map, const void *key, const char *what, const char *name);

int llvm_buffer_align(const Buffer *buffer);
void llvm_add_attribute(Gen *g, LLVMValueRef function, LLVMAttributeIndex index, const char *name, uint64_t value);
/* noundef, dereferenceable, align. */
void llvm_pointer_attributes(Gen *g, LLVMValueRef function, size_t param, uint64_t bytes, int align);

LLVMValueRef llvm_new_function(Gen *g, const char *name, LLVMTypeRef *params, size_t n, LLVMLinkage linkage);
LLVMValueRef llvm_name_param(LLVMValueRef function, size_t i, const char *name);
/* Statements go between the two; the entry block has a builder of its own. */
LLVMBasicBlockRef llvm_begin_function(Gen *g, LLVMValueRef function);
void llvm_end_function(Gen *g, LLVMBasicBlockRef body);
LLVMBasicBlockRef llvm_new_block(Gen *g, const char *name);
void llvm_emit_block(Gen *g, const Block *block);

void llvm_map_clear(Map *map); /* forgets all */
LLVMTypeRef llvm_elem_type(Gen *g, Elem elem);
LLVMTypeRef llvm_value_type(Gen *g, Type type);
LLVMTypeRef llvm_i32_lanes(Gen *g, int lanes);
bool llvm_is_signed(Elem elem);
/* The buffer's start: a parameter, or a place in the arena or among the weights. */
LLVMValueRef llvm_buffer_pointer(Gen *g, Buffer *buffer);

/* ---- llvm_value.c ---- */

LLVMValueRef llvm_index_const(Gen *g, int64_t value);
LLVMValueRef llvm_exact_op(Gen *g, LLVMOpcode op, LLVMValueRef a, LLVMValueRef b, bool sign);
LLVMValueRef llvm_select_greater(Gen *g, LLVMValueRef a, LLVMValueRef b, bool greater);
LLVMValueRef llvm_intrinsic(Gen *g, const char *name, LLVMTypeRef *types, size_t n_types, LLVMValueRef *args,
                            unsigned n_args);
LLVMValueRef llvm_lane_const(Gen *g, int lane);
int64_t llvm_power_of_two_in(int64_t value);
/* A power of two, MAX_MULTIPLE at most, that every value of the index is a multiple of. */
int64_t llvm_affine_multiple(Gen *g, const Affine *a);
LLVMValueRef llvm_emit_affine(Gen *g, const Affine *a);
/* buffer[index] as one index in elements. */
const Affine *llvm_flat_index(Gen *g, const Buffer *buffer, const Affine *const *index);
/* The address of buffer[index], and the alignment it is known to have. */
LLVMValueRef llvm_emit_address(Gen *g, Buffer *buffer, const Affine *const *index, int *align);
/* The value of a whole statement's expression; parts that occur twice in it are emitted once. */
LLVMValueRef llvm_emit_statement_expr(Gen *g, Expr *e);

/* ---- llvm_entry.c ---- */

/* A function with the parameters of PREFIX_run, for an arena of the given size. */
LLVMValueRef llvm_declare_run(Gen *g, const char *name, LLVMLinkage linkage, int64_t arena_bytes, int arena_align);
void llvm_define_run(Gen *g);
/* PREFIX_call for the JIT, which then needs no call with a variable number of arguments. */
void llvm_define_adapter(Gen *g);
void llvm_emit_parallel(Gen *g, const Stmt *parallel);

/* ---- llvm_dispatch.c ---- */

/* Declares PREFIX_run and PREFIX_target, before anything can take their names. */
void llvm_declare_dispatch(Gen *g);
/* Defines them; runs[i] is the run function of variant i. */
void llvm_define_dispatch(Gen *g, const LLVMValueRef *runs);

#endif
