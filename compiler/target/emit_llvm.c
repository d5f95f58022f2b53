/* A planned program -> an LLVM module, through LLVM's C API.
 *
 * One internal function a kernel, and PREFIX_run for the entry. It spells and
 * decides nothing: vectors of the loops are LLVM's vectors, lets are SSA values,
 * vars are allocas of the entry block (mem2reg promotes them), loops are rotated
 * with their guard in front. No fast-math flag is ever set, so LLVM may not change
 * a bit; nsw and nuw stand where loop.h promises that nothing overflows.
 *
 * An access becomes one canonical affine offset in elements, outer variables
 * first and the constant last: what does not change in an inner loop is then a
 * common prefix that LICM hoists, and unrolled copies differ in the constant only.
 * Addresses but for the constant are computed once in a block. Of the instructions
 * that a network's thousands of accesses would be otherwise, LLVM would have to
 * find the same.
 *
 * The builder's calls stand in statements of their own, never two among the arguments of one call:
 * C leaves the order of arguments open, and the output must not depend on who compiled mncc.
 *
 * Objects must link without a library. So rounding is spelled in operations that
 * need none (llvm.floor and llvm.roundeven are calls on x86-64 before SSE4.1), and
 * functions carry "no-builtins", which keeps memset and memcpy from being invented.
 * Only an fma on a target that has none remains a call. */
#include <llvm-c/Analysis.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>
#include <string.h>

#include "target/llvm_emitter.h"

/* ---- the map ---- */

static size_t hash_pointer(const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15);
  return (size_t)(h >> 32);
}

static Slot *map_probe(Map *map, const void *key) {
  for (size_t i = hash_pointer(key);; i++) {
    Slot *slot = &map->slots[i & (map->cap - 1)];
    if (slot->generation != map->generation || slot->key == key)
      return slot;
  }
}

void llvm_map_init(Map *map, Arena *arena) {
  *map = (Map){.arena = arena, .cap = 64, .generation = 1};
  map->slots = ARENA_ARRAY(arena, Slot, map->cap);
}

void llvm_map_clear(Map *map) {
  map->generation++;
  map->used = 0;
}

Slot *llvm_map_find(Map *map, const void *key) {
  Slot *slot = map_probe(map, key);
  return slot->generation == map->generation ? slot : NULL;
}

Slot *llvm_map_put(Map *map, const void *key, LLVMValueRef value) {
  if ((map->used + 1) * 2 > map->cap) {
    Map bigger = {.arena = map->arena, .cap = map->cap * 2, .generation = 1, .used = map->used};
    bigger.slots = ARENA_ARRAY(map->arena, Slot, bigger.cap);
    for (size_t i = 0; i < map->cap; i++) {
      if (map->slots[i].generation != map->generation)
        continue;
      Slot *to = map_probe(&bigger, map->slots[i].key);
      *to = map->slots[i];
      to->generation = 1;
    }
    *map = bigger;
  }
  Slot *slot = map_probe(map, key);
  if (slot->generation != map->generation)
    map->used++;
  *slot = (Slot){.key = key, .generation = map->generation, .value = value, .multiple = 1};
  return slot;
}

LLVMValueRef llvm_map_get(Map *map, const void *key, const char *what, const char *name) {
  Slot *slot = llvm_map_find(map, key);
  if (!slot)
    BUG("the LLVM back end has not seen %s '%s'", what, name ? name : "?");
  return slot->value;
}

enum { STACK_ALIGN = 16 }; /* bytes, that the ABIs of all targets with wider vectors promise */

/* ---- types and attributes ---- */

LLVMTypeRef llvm_elem_type(Gen *g, Elem elem) {
  switch (elem) {
  case ELEM_F32:
    return LLVMFloatTypeInContext(g->context);
  case ELEM_I8:
  case ELEM_U8:
    return LLVMInt8TypeInContext(g->context);
  case ELEM_I16:
    return LLVMInt16TypeInContext(g->context);
  case ELEM_I32:
    return LLVMInt32TypeInContext(g->context);
  case ELEM_I64:
    return LLVMInt64TypeInContext(g->context);
  case ELEM_MASK:
    return LLVMInt1TypeInContext(g->context);
  }
  BUG("element type %d", (int)elem);
}

static LLVMTypeRef lanes_type(LLVMTypeRef elem, int lanes) {
  return lanes == 1 ? elem : LLVMVectorType(elem, (unsigned)lanes);
}

LLVMTypeRef llvm_value_type(Gen *g, Type type) {
  return lanes_type(llvm_elem_type(g, type.elem), type.lanes);
}

LLVMTypeRef llvm_i32_lanes(Gen *g, int lanes) {
  return lanes_type(LLVMInt32TypeInContext(g->context), lanes);
}

bool llvm_is_signed(Elem elem) { return elem != ELEM_U8 && elem != ELEM_MASK; }

void llvm_add_attribute(Gen *g, LLVMValueRef function, LLVMAttributeIndex index, const char *name,
                          uint64_t value) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  if (!kind)
    BUG("this LLVM has no attribute '%s'", name);
  LLVMAddAttributeAtIndex(function, index, LLVMCreateEnumAttribute(g->context, kind, value));
}

static void add_text_attribute(Gen *g, LLVMValueRef function, const char *name, const char *value) {
  LLVMAddAttributeAtIndex(function, FUNCTION_ITSELF,
                          LLVMCreateStringAttribute(g->context, name, (unsigned)strlen(name), value,
                                                    (unsigned)strlen(value)));
}

int llvm_buffer_align(const Buffer *buffer) {
  int bytes = elem_bytes(buffer->elem);
  return buffer->align > bytes ? buffer->align : bytes;
}

/* lo <= value < hi, which is how LLVM learns that an index is not negative. */
static void add_range(Gen *g, LLVMValueRef function, LLVMAttributeIndex index, const Var *var) {
  if (var->lo >= var->hi)
    return;
  unsigned kind = LLVMGetEnumAttributeKindForName("range", 5);
  uint64_t mask = g->index_bits == 64 ? UINT64_MAX : (UINT64_C(1) << g->index_bits) - 1;
  uint64_t lo = (uint64_t)var->lo & mask, hi = (uint64_t)var->hi & mask;
  if (kind && lo != hi)
    LLVMAddAttributeAtIndex(
        function, index,
        LLVMCreateConstantRangeAttribute(g->context, kind, g->index_bits, &lo, &hi));
}

/* ---- statements ---- */

LLVMBasicBlockRef llvm_new_block(Gen *g, const char *name) {
  return LLVMAppendBasicBlockInContext(g->context, g->function, name);
}

static LLVMValueRef emit_bound(Gen *g, int n, const Affine **bounds, bool greatest) {
  LLVMValueRef value = llvm_emit_affine(g, bounds[0]);
  for (int i = 1; i < n; i++)
    value = llvm_select_greater(g, value, llvm_emit_affine(g, bounds[i]), greatest);
  return value;
}

/* Keeps LLVM from unrolling the loop that ends with `branch`: copies of calls are flash for
 * nothing. */
static void forbid_unrolling(Gen *g, LLVMValueRef branch) {
  static const char disable[] = "llvm.loop.unroll.disable", loop[] = "llvm.loop";
  LLVMMetadataRef word = LLVMMDStringInContext2(g->context, disable, sizeof disable - 1);
  LLVMMetadataRef self = LLVMTemporaryMDNode(g->context, NULL, 0);
  LLVMMetadataRef parts[2] = {self, LLVMMDNodeInContext2(g->context, &word, 1)};
  LLVMMetadataRef node = LLVMMDNodeInContext2(g->context, parts, 2);
  LLVMMetadataReplaceAllUsesWith(self, node); /* a loop's node names itself first */
  LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(g->context, loop, sizeof loop - 1),
                  LLVMMetadataAsValue(g->context, node));
}

static void emit_for(Gen *g, const Stmt *s) {
  LLVMValueRef start = emit_bound(g, s->n_lower, s->lower, true);
  LLVMValueRef end = emit_bound(g, s->n_upper, s->upper, false);
  LLVMValueRef any = LLVMBuildICmp(g->builder, LLVMIntSLT, start, end, "");
  bool known = LLVMIsAConstantInt(any) != NULL;
  if (known && LLVMConstIntGetZExtValue(any) == 0)
    return;

  LLVMBasicBlockRef body = llvm_new_block(g, s->var->name);
  LLVMBasicBlockRef after = LLVMCreateBasicBlockInContext(g->context, "");
  LLVMBasicBlockRef before = LLVMGetInsertBlock(g->builder);
  if (known)
    LLVMBuildBr(g->builder, body);
  else
    LLVMBuildCondBr(g->builder, any, body, after);
  LLVMPositionBuilderAtEnd(g->builder, body);
  LLVMValueRef phi = LLVMBuildPhi(g->builder, g->index, s->var->name);

  int64_t multiple = llvm_power_of_two_in(s->step);
  for (int i = 0; i < s->n_lower; i++) {
    int64_t m = llvm_affine_multiple(g, s->lower[i]);
    multiple = m < multiple ? m : multiple;
  }
  Slot *slot = llvm_map_put(&g->names, s->var, phi);
  slot->depth = ++g->depth;
  slot->multiple = multiple;
  bool vectors_around = g->vectors;
  g->vectors = false;
  llvm_emit_block(g, &s->body);
  g->depth--;

  LLVMValueRef next = llvm_exact_op(g, LLVMAdd, phi, llvm_index_const(g, s->step), true);
  LLVMValueRef more = LLVMBuildICmp(g->builder, LLVMIntSLT, next, end, "");
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(g->builder);
  LLVMValueRef branch = LLVMBuildCondBr(g->builder, more, body, after);
  /* The schedule has shaped a loop over vectors to the registers: unrolled further, LLVM hoists
   * more than they hold. Copies of calls are flash for nothing. Scalar loops are LLVM's. */
  if (g->vectors || g->function == g->run)
    forbid_unrolling(g, branch);
  g->vectors |= vectors_around;
  LLVMValueRef values[2] = {start, next};
  LLVMBasicBlockRef blocks[2] = {before, latch};
  LLVMAddIncoming(phi, values, blocks, 2);
  LLVMAppendExistingBasicBlock(g->function, after);
  LLVMPositionBuilderAtEnd(g->builder, after);
}

static void emit_if(Gen *g, const Stmt *s) {
  LLVMValueRef all = LLVMConstInt(LLVMInt1TypeInContext(g->context), 1, false);
  for (int i = 0; i < s->n_conditions; i++) {
    LLVMValueRef one = LLVMBuildICmp(g->builder, LLVMIntSGE, llvm_emit_affine(g, s->conditions[i]),
                                     llvm_index_const(g, 0), "");
    all = i ? LLVMBuildAnd(g->builder, all, one, "") : one;
  }
  LLVMBasicBlockRef then = llvm_new_block(g, "then");
  LLVMBasicBlockRef after = LLVMCreateBasicBlockInContext(g->context, "");
  LLVMBasicBlockRef otherwise =
      s->otherwise.stmts.len ? LLVMCreateBasicBlockInContext(g->context, "else") : after;
  LLVMBuildCondBr(g->builder, all, then, otherwise);
  LLVMPositionBuilderAtEnd(g->builder, then);
  llvm_emit_block(g, &s->body);
  LLVMBuildBr(g->builder, after);
  if (otherwise != after) {
    LLVMAppendExistingBasicBlock(g->function, otherwise);
    LLVMPositionBuilderAtEnd(g->builder, otherwise);
    llvm_emit_block(g, &s->otherwise);
    LLVMBuildBr(g->builder, after);
  }
  LLVMAppendExistingBasicBlock(g->function, after);
  LLVMPositionBuilderAtEnd(g->builder, after);
}

static void emit_store(Gen *g, const Stmt *s) {
  LLVMValueRef value = llvm_emit_statement_expr(g, s->expr);
  int align;
  LLVMValueRef address = llvm_emit_address(g, s->buffer, s->index, &align);
  llvm_map_find(&g->names, s->buffer)->written = true;
  LLVMSetAlignment(LLVMBuildStore(g->builder, value, address), (unsigned)align);
}

/* A call of one of the two functions that the user defines for --profile. */
static void emit_profile(Gen *g, const ProgramStage *stage, const char *which) {
  const char *name = arena_printf(g->scratch, "%s_profile_%s", g->options->prefix, which);
  LLVMTypeRef i32 = LLVMInt32TypeInContext(g->context), params[2] = {g->ptr, i32};
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), params, 2, false);
  LLVMValueRef hook = LLVMGetNamedFunction(g->module, name), args[2] = {g->arena_pointer};
  hook = hook ? hook : LLVMAddFunction(g->module, name, type);
  args[1] = LLVMConstInt(i32, (unsigned long long)stage->index, false);
  LLVMBuildCall2(g->builder, type, hook, args, 2, "");
}

static void emit_call(Gen *g, const Stmt *s) {
  size_t n_buffers = s->callee->buffers.len, n_ints = s->callee->ints.len;
  LLVMValueRef *args = ARENA_ARRAY(g->scratch, LLVMValueRef, n_buffers + n_ints + 1);
  for (size_t i = 0; i < n_buffers; i++)
    args[i] = llvm_buffer_pointer(g, s->buffers[i]);
  for (size_t i = 0; i < n_ints; i++)
    args[n_buffers + i] = llvm_emit_affine(g, s->ints[i]);
  LLVMValueRef callee = llvm_map_get(&g->kernels, s->callee, "kernel", s->callee->name);
  if (s->stage && g->options->profile)
    emit_profile(g, s->stage, "begin");
  LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(callee), callee, args,
                 (unsigned)(n_buffers + n_ints), "");
  if (s->stage && g->options->profile)
    emit_profile(g, s->stage, "end");
}

static void emit_prefetch(Gen *g, const Stmt *s) {
  LLVMValueRef elems = llvm_emit_affine(g, llvm_flat_index(g, s->buffer, s->index));
  LLVMValueRef address =
      LLVMBuildGEP2(g->builder, llvm_elem_type(g, s->buffer->elem), llvm_buffer_pointer(g, s->buffer), &elems, 1, "");
  LLVMValueRef args[4] = {address, llvm_lane_const(g, 0), llvm_lane_const(g, 3),
                          llvm_lane_const(g, 1)}; /* a read, kept, of data */
  llvm_map_find(&g->names, s->buffer)->read = true;
  llvm_intrinsic(g, "llvm.prefetch", &g->ptr, 1, args, 4);
}

static void emit_stmt(Gen *g, const Stmt *s) {
  switch (s->kind) {
  case STMT_FOR:
    emit_for(g, s);
    return;
  case STMT_IF:
    emit_if(g, s);
    return;
  case STMT_LET: {
    LLVMValueRef value = llvm_emit_statement_expr(g, s->expr);
    if (LLVMIsAInstruction(value) && LLVMGetTypeKind(LLVMTypeOf(value)) != LLVMVoidTypeKind) {
      size_t len;
      LLVMGetValueName2(value, &len);
      if (len == 0) /* a let of another let keeps the first name */
        LLVMSetValueName2(value, s->value->name, strlen(s->value->name));
    }
    llvm_map_put(&g->names, s->value, value);
    return;
  }
  case STMT_VAR: {
    LLVMValueRef slot =
        LLVMBuildAlloca(g->entry_builder, llvm_value_type(g, s->value->type), s->value->name);
    llvm_map_put(&g->names, s->value, slot);
    LLVMBuildStore(g->builder, llvm_emit_statement_expr(g, s->expr), slot);
    return;
  }
  case STMT_SET:
    LLVMBuildStore(g->builder, llvm_emit_statement_expr(g, s->expr),
                   llvm_map_get(&g->names, s->value, "var", s->value->name));
    return;
  case STMT_STORE:
    emit_store(g, s);
    return;
  case STMT_CALL:
    emit_call(g, s);
    return;
  case STMT_PREFETCH:
    emit_prefetch(g, s);
    return;
  case STMT_PARALLEL:
    llvm_emit_parallel(g, s);
    return;
  case STMT_BRANCH:
    break;
  }
  BUG("loop statement %d", (int)s->kind);
}

void llvm_emit_block(Gen *g, const Block *block) {
  size_t places_around = g->places.len;
  for (size_t i = 0; i < block->stmts.len; i++)
    emit_stmt(g, block->stmts.at[i]);
  g->places.len = places_around; /* what a block computes is not there behind it */
}

/* ---- functions ---- */

LLVMValueRef llvm_new_function(Gen *g, const char *name, LLVMTypeRef *params, size_t n,
                                 LLVMLinkage linkage) {
  LLVMTypeRef type =
      LLVMFunctionType(LLVMVoidTypeInContext(g->context), params, (unsigned)n, false);
  LLVMValueRef function = LLVMAddFunction(g->module, name, type);
  LLVMSetLinkage(function, linkage);
  llvm_add_attribute(g, function, FUNCTION_ITSELF, "nounwind", 0);
  add_text_attribute(g, function, "no-builtins", "");
  /* For those who take the module to another LLVM tool. */
  if (g->spec->cpu[0])
    add_text_attribute(g, function, "target-cpu", g->spec->cpu);
  if (g->spec->features[0])
    add_text_attribute(g, function, "target-features", g->spec->features);
  return function;
}

LLVMValueRef llvm_name_param(LLVMValueRef function, size_t i, const char *name) {
  LLVMValueRef param = LLVMGetParam(function, (unsigned)i);
  LLVMSetValueName2(param, name, strlen(name));
  return param;
}

LLVMBasicBlockRef llvm_begin_function(Gen *g, LLVMValueRef function) {
  g->scratch = arena_new();
  g->function = function;
  g->depth = 0;
  g->widest = 0;
  llvm_map_init(&g->names, g->scratch);
  llvm_map_init(&g->memo, g->scratch);
  g->places.at = NULL;
  g->places.len = g->places.cap = 0;
  LLVMPositionBuilderAtEnd(g->entry_builder, llvm_new_block(g, "entry"));
  LLVMBasicBlockRef body = llvm_new_block(g, "body");
  LLVMPositionBuilderAtEnd(g->builder, body);
  return body;
}

void llvm_end_function(Gen *g, LLVMBasicBlockRef body) {
  /* A vector that finds no register is put on the stack, and there shall not lie across two lines. */
  if (g->widest > STACK_ALIGN)
    add_text_attribute(g, g->function, "stackrealign", "");
  LLVMBuildRetVoid(g->builder);
  LLVMBuildBr(g->entry_builder, body);
  arena_free(g->scratch);
  g->scratch = NULL;
}

void llvm_pointer_attributes(Gen *g, LLVMValueRef function, size_t param, uint64_t bytes,
                               int align) {
  LLVMAttributeIndex at = (LLVMAttributeIndex)param + 1;
  llvm_add_attribute(g, function, at, "noundef", 0);
  llvm_add_attribute(g, function, at, "dereferenceable", bytes);
  llvm_add_attribute(g, function, at, "align", (uint64_t)align);
}

static void declare_kernel(Gen *g, const Kernel *kernel) {
  size_t n_buffers = kernel->buffers.len, n_ints = kernel->ints.len;
  LLVMTypeRef *params = ARENA_ARRAY(g->arena, LLVMTypeRef, n_buffers + n_ints + 1);
  for (size_t i = 0; i < n_buffers; i++)
    params[i] = g->ptr;
  for (size_t i = 0; i < n_ints; i++)
    params[n_buffers + i] = g->index;
  /* The prefix keeps a kernel called fmaf from answering the compiler's own calls. */
  const char *name = arena_printf(g->arena, "%s_%s", g->prefix, kernel->name);
  LLVMValueRef function = llvm_new_function(g, name, params, n_buffers + n_ints, LLVMInternalLinkage);
  /* Inlined, all kernels would share one register allocation, and noalias of parameters would
   * shrink to metadata that passes lose. */
  llvm_add_attribute(g, function, FUNCTION_ITSELF, "noinline", 0);
  llvm_map_put(&g->kernels, kernel, function);
}

static void define_kernel(Gen *g, const Kernel *kernel) {
  LLVMValueRef function = llvm_map_get(&g->kernels, kernel, "kernel", kernel->name);
  LLVMBasicBlockRef body = llvm_begin_function(g, function);
  size_t n_buffers = kernel->buffers.len;
  for (size_t i = 0; i < n_buffers; i++)
    llvm_map_put(&g->names, kernel->buffers.at[i], llvm_name_param(function, i, kernel->buffers.at[i]->name));
  for (size_t i = 0; i < kernel->ints.len; i++) {
    const Var *var = kernel->ints.at[i];
    llvm_map_put(&g->names, var, llvm_name_param(function, n_buffers + i, var->name));
    LLVMAttributeIndex at = (LLVMAttributeIndex)(n_buffers + i + 1);
    llvm_add_attribute(g, function, at, "noundef", 0);
    add_range(g, function, at, var);
  }
  llvm_emit_block(g, &kernel->body);

  for (size_t i = 0; i < n_buffers; i++) {
    const Buffer *buffer = kernel->buffers.at[i];
    const Slot *slot = llvm_map_find(&g->names, buffer);
    LLVMAttributeIndex at = (LLVMAttributeIndex)i + 1;
    if (buffer->noalias)
      llvm_add_attribute(g, function, at, "noalias", 0);
    if (!slot->written)
      llvm_add_attribute(g, function, at, "readonly", 0);
    else if (!slot->read)
      llvm_add_attribute(g, function, at, "writeonly", 0);
    llvm_pointer_attributes(g, function, i, (uint64_t)buffer_bytes(buffer), llvm_buffer_align(buffer));
  }
  llvm_end_function(g, body);
}

/* The buffer's start: a parameter, or a place in the arena or among the weights, which is computed
 * in the entry block at the first use. */
LLVMValueRef llvm_buffer_pointer(Gen *g, Buffer *buffer) {
  Slot *slot = llvm_map_find(&g->names, buffer);
  if (slot)
    return slot->value;
  LLVMValueRef value = NULL;
  LLVMTypeRef byte = LLVMInt8TypeInContext(g->context);
  if (buffer->kind == BUFFER_ARENA) {
    if (!g->arena_pointer)
      BUG("a kernel uses arena buffer '%s', which is no parameter", buffer->name);
    if (buffer->offset < 0)
      BUG("arena buffer '%s' has no place: the plan pass has not run", buffer->name);
    LLVMValueRef offset = llvm_index_const(g, buffer->offset);
    value =
        LLVMBuildInBoundsGEP2(g->entry_builder, byte, g->arena_pointer, &offset, 1, buffer->name);
  } else if (buffer->kind == BUFFER_WEIGHT) {
    const WeightPlace *place = weight_place(&g->layout, buffer);
    if (!place)
      BUG("weight buffer '%s' has no place", buffer->name);
    if (g->options->weights_as_blob) {
      if (!g->weights_pointer)
        BUG("a kernel uses weight buffer '%s', which is no parameter", buffer->name);
      LLVMValueRef offset = llvm_index_const(g, place->offset);
      value = LLVMBuildInBoundsGEP2(g->entry_builder, byte, g->weights_pointer, &offset, 1,
                                    buffer->name);
    } else {
      value = g->weight_globals[place - g->layout.places];
    }
  } else {
    BUG("buffer '%s' is not a parameter", buffer->name);
  }
  llvm_map_put(&g->names, buffer, value);
  return value;
}

/* ---- weights ---- */

/* Each place as one constant of raw bytes: element by element a large network costs LLVM seconds
 * and most of a gigabyte. */
static bool define_weights(Gen *g) {
  g->layout = weight_layout(g->arena, g->variants);
  if (g->options->weights_as_blob)
    return true;
  bool big_endian = LLVMByteOrder(g->data) == LLVMBigEndian;
  bool ok = true;
  g->weight_globals = ARENA_ARRAY(g->arena, LLVMValueRef, g->layout.n + 1);
  for (size_t i = 0; i < g->layout.n; i++) {
    const WeightPlace *place = &g->layout.places[i];
    if (place->first != i) {
      g->weight_globals[i] = g->weight_globals[place->first];
      continue;
    }
    Arena *bytes_arena = arena_new(); /* LLVM keeps a copy of its own */
    int64_t size = buffer_bytes(place->buffer);
    char *bytes = arena_alloc(bytes_arena, (size_t)size);
    if (weight_bytes(place->buffer, g->options->weights, g->diag, big_endian, bytes)) {
      LLVMValueRef data = LLVMConstStringInContext2(g->context, bytes, (size_t)size, true);
      const char *prefix = variant_prefix(g->arena, g->variants, place->variant, g->options->prefix);
      const char *name = arena_printf(g->arena, "%s_%s", prefix, place->buffer->name);
      LLVMValueRef global = LLVMAddGlobal(g->module, LLVMTypeOf(data), name);
      LLVMSetInitializer(global, data);
      LLVMSetGlobalConstant(global, true);
      LLVMSetLinkage(global, LLVMPrivateLinkage);
      LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
      g->weight_globals[i] = global;
    } else {
      ok = false;
    }
    arena_free(bytes_arena);
  }
  /* A shared place serves all its buffers, so it has the strictest of their alignments. */
  for (size_t i = 0; ok && i < g->layout.n; i++) {
    const Buffer *buffer = g->layout.places[i].buffer;
    LLVMValueRef global = g->weight_globals[i];
    unsigned align = (unsigned)variants_buffer_align(g->variants);
    if ((unsigned)llvm_buffer_align(buffer) > align)
      align = (unsigned)llvm_buffer_align(buffer);
    if (align > LLVMGetAlignment(global))
      LLVMSetAlignment(global, align);
  }
  return ok;
}

/* ---- the module ---- */

static bool fits_32_bits(Gen *g, const Program *program) {
  bool ok = true;
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *buffer = program->buffers.at[i];
    if (buffer_bytes(buffer) > INT32_MAX ||
        (buffer->kind == BUFFER_ARENA && buffer->offset > INT32_MAX - buffer_bytes(buffer))) {
      diag_error(g->diag, (Loc){0}, "buffer '%s' does not fit the 32-bit addresses of '%s'",
                 buffer->name, g->spec->triple);
      ok = false;
    }
  }
  return ok;
}

/* Offsets are computed in pointer width and must not overflow there. */
static bool fits_address_space(Gen *g) {
  g->index_bits = LLVMPointerSize(g->data) * 8;
  if (g->index_bits != 32 && g->index_bits != 64) {
    diag_error(g->diag, (Loc){0},
               "target triple '%s' has %u-bit pointers; only 32-bit and 64-bit ones are supported",
               g->spec->triple, g->index_bits);
    return false;
  }
  char *layout = LLVMCopyStringRepOfTargetData(g->data);
  bool flat = !strstr(layout, "-G") && !strstr(layout, "-A");
  LLVMDisposeMessage(layout);
  if (!flat) {
    diag_error(g->diag, (Loc){0},
               "target triple '%s' has several address spaces, which is not supported",
               g->spec->triple);
    return false;
  }
  bool ok = true;
  for (size_t v = 0; g->index_bits == 32 && v < g->variants->n; v++)
    ok &= fits_32_bits(g, g->variants->at[v].program);
  return ok;
}

static void verify(LLVMModuleRef module) {
  char *message = NULL;
  if (LLVMVerifyModule(module, LLVMReturnStatusAction, &message))
    BUG("LLVM rejects the module: %s", message);
  LLVMDisposeMessage(message);
}

/* What is written from now on is for variant i. */
static void begin_variant(Gen *g, const LlvmSpec *specs, size_t i) {
  g->program = g->variants->at[i].program;
  g->spec = &specs[i];
  g->prefix = variant_prefix(g->arena, g->variants, i, g->options->prefix);
  llvm_map_init(&g->kernels, g->arena);
}

/* The functions of a variant; its run function. */
static LLVMValueRef define_variant(Gen *g, bool adapter) {
  const Program *program = g->program;
  const char *name = arena_printf(g->arena, "%s_run", g->prefix);
  LLVMLinkage linkage = g->variants->n > 1 ? LLVMInternalLinkage : LLVMExternalLinkage;
  /* first, so that no kernel can take its name */
  g->run = llvm_declare_run(g, name, linkage, program->arena_bytes, program->arena_align);
  if (adapter)
    llvm_define_adapter(g);
  for (size_t i = 0; i < program->kernels.len; i++)
    declare_kernel(g, program->kernels.at[i]);
  for (size_t i = 0; i < program->kernels.len; i++)
    define_kernel(g, program->kernels.at[i]);
  llvm_define_run(g);
  return g->run;
}

static bool fill_module(Gen *g, const LlvmSpec *specs, bool adapter) {
  size_t n = g->variants->n;
  begin_variant(g, specs, n - 1);
  if (!fits_address_space(g) || !define_weights(g))
    return false;
  g->ptr = LLVMPointerTypeInContext(g->context, 0);
  g->index = LLVMIntTypeInContext(g->context, g->index_bits);
  if (n > 1)
    llvm_declare_dispatch(g);
  LLVMValueRef *runs = ARENA_ARRAY(g->arena, LLVMValueRef, n);
  for (size_t i = 0; i < n; i++) {
    begin_variant(g, specs, i);
    runs[i] = define_variant(g, adapter);
  }
  if (n > 1)
    llvm_define_dispatch(g, runs);
  verify(g->module);
  return true;
}

LLVMModuleRef llvm_build(LLVMContextRef context, LLVMTargetMachineRef machine,
                         const Variants *variants, const EmitOptions *options,
                         const LlvmSpec *specs, bool adapter, Diag *diag) {
  Gen g = {.variants = variants, .options = options, .diag = diag, .context = context};
  const char *name = options->file_name ? options->file_name : variants->at[0].program->name;
  const char *slash = strrchr(name, '/'); /* outputs do not depend on where they are made */
  name = slash ? slash + 1 : name;
  g.arena = arena_new();
  g.module = LLVMModuleCreateWithNameInContext(name, context);
  LLVMSetSourceFileName(g.module, name, strlen(name));
  LLVMSetTarget(g.module, specs[0].triple);
  g.data = LLVMCreateTargetDataLayout(machine);
  LLVMSetModuleDataLayout(g.module, g.data);
  g.builder = LLVMCreateBuilderInContext(context);
  g.entry_builder = LLVMCreateBuilderInContext(context);

  bool ok = fill_module(&g, specs, adapter);

  LLVMDisposeBuilder(g.entry_builder);
  LLVMDisposeBuilder(g.builder);
  LLVMDisposeTargetData(g.data);
  arena_free(g.arena);
  if (ok)
    return g.module;
  LLVMDisposeModule(g.module);
  return NULL;
}
