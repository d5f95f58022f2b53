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

enum { MAX_MULTIPLE = 4096 };

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

static void map_clear(Map *map) {
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

/* ---- types and attributes ---- */

static LLVMTypeRef elem_type(Gen *g, Elem elem) {
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

static LLVMTypeRef value_type(Gen *g, Type type) {
  return lanes_type(elem_type(g, type.elem), type.lanes);
}

static LLVMTypeRef i32_lanes(Gen *g, int lanes) {
  return lanes_type(LLVMInt32TypeInContext(g->context), lanes);
}

static bool is_signed(Elem elem) { return elem != ELEM_U8 && elem != ELEM_MASK; }

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

/* ---- constants and small spellings ---- */

LLVMValueRef llvm_index_const(Gen *g, int64_t value) {
  return LLVMConstInt(g->index, (unsigned long long)value, true);
}

static LLVMValueRef splat_const(LLVMValueRef scalar, int lanes) {
  if (lanes == 1)
    return scalar;
  LLVMValueRef all[64];
  for (int i = 0; i < lanes; i++)
    all[i] = scalar;
  return LLVMConstVector(all, (unsigned)lanes);
}

static LLVMValueRef int_const(Gen *g, Type type, int64_t value) {
  LLVMTypeRef elem = elem_type(g, type.elem);
  /* The bits must fit the type as they stand: newer LLVMs do not truncate. */
  LLVMValueRef scalar = is_signed(type.elem)
                            ? LLVMConstInt(elem, (unsigned long long)value, true)
                            : LLVMConstInt(elem, (unsigned long long)value & 0xff, false);
  if (type.elem == ELEM_MASK)
    scalar = LLVMConstInt(elem, value != 0, false);
  return splat_const(scalar, type.lanes);
}

static LLVMValueRef f32_const(Gen *g, int lanes, double value) {
  return splat_const(LLVMConstReal(LLVMFloatTypeInContext(g->context), value), lanes);
}

/* An integer operation of which loop.h says that it stays in the type's range. */
static LLVMValueRef exact_op(Gen *g, LLVMOpcode op, LLVMValueRef a, LLVMValueRef b, bool sign) {
  LLVMValueRef value = LLVMBuildBinOp(g->builder, op, a, b, "");
  if (LLVMIsABinaryOperator(value)) { /* and not folded to a constant */
    if (sign)
      LLVMSetNSW(value, true);
    else
      LLVMSetNUW(value, true);
  }
  return value;
}

static LLVMValueRef select_greater(Gen *g, LLVMValueRef a, LLVMValueRef b, bool greater) {
  LLVMValueRef cond = LLVMBuildICmp(g->builder, greater ? LLVMIntSGT : LLVMIntSLT, a, b, "");
  return LLVMBuildSelect(g->builder, cond, a, b, "");
}

static LLVMValueRef intrinsic(Gen *g, const char *name, LLVMTypeRef *types, size_t n_types,
                              LLVMValueRef *args, unsigned n_args) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  if (!id)
    BUG("this LLVM has no intrinsic '%s'", name);
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(g->module, id, types, n_types);
  return LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(function), function, args, n_args, "");
}

static LLVMValueRef unary_intrinsic(Gen *g, const char *name, LLVMValueRef a) {
  LLVMTypeRef type = LLVMTypeOf(a);
  return intrinsic(g, name, &type, 1, &a, 1);
}

static LLVMValueRef lane_const(Gen *g, int lane) {
  return LLVMConstInt(LLVMInt32TypeInContext(g->context), (unsigned long long)lane, false);
}

/* A scalar as a vector of one lane, for shuffles. */
static LLVMValueRef as_vector(Gen *g, LLVMValueRef value) {
  LLVMTypeRef type = LLVMTypeOf(value);
  if (LLVMGetTypeKind(type) == LLVMVectorTypeKind)
    return value;
  return LLVMBuildInsertElement(g->builder, LLVMGetPoison(LLVMVectorType(type, 1)), value,
                                lane_const(g, 0), "");
}

/* Lane i of the result is first + i * stride of (a, b). */
static LLVMValueRef strided_lanes(Gen *g, LLVMValueRef a, LLVMValueRef b, int first, int stride,
                                  int lanes) {
  LLVMValueRef pick[128];
  for (int i = 0; i < lanes; i++)
    pick[i] = lane_const(g, first + i * stride);
  a = as_vector(g, a);
  b = as_vector(g, b);
  return LLVMBuildShuffleVector(g->builder, a, b, LLVMConstVector(pick, (unsigned)lanes), "");
}

static LLVMValueRef splat(Gen *g, LLVMValueRef scalar, int lanes, const char *name) {
  if (lanes == 1)
    return scalar;
  if (LLVMIsConstant(scalar))
    return splat_const(scalar, lanes);
  LLVMValueRef one = LLVMBuildInsertElement(
      g->builder, LLVMGetPoison(LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes)), scalar,
      lane_const(g, 0), "");
  return LLVMBuildShuffleVector(
      g->builder, one, LLVMGetPoison(LLVMTypeOf(one)),
      LLVMConstNull(LLVMVectorType(LLVMInt32TypeInContext(g->context), (unsigned)lanes)), name);
}

/* ---- indices ---- */

static int64_t power_of_two_in(int64_t value) {
  uint64_t bits = (uint64_t)value;
  uint64_t low = bits & (~bits + 1);
  return low == 0 || low > MAX_MULTIPLE ? MAX_MULTIPLE : (int64_t)low;
}

/* A power of two that divides every value of the affine. */
static int64_t affine_multiple(Gen *g, const Affine *a) {
  int64_t result = power_of_two_in(a->constant);
  for (int i = 0; i < a->n; i++) {
    const Term *term = &a->terms[i];
    int64_t atom = 1;
    if (term->kind == ATOM_VAR) {
      Slot *slot = llvm_map_find(&g->names, term->var);
      atom = slot ? slot->multiple : 1;
    } else if (term->kind == ATOM_MOD) {
      int64_t inside = affine_multiple(g, term->inside);
      int64_t divisor = power_of_two_in(term->divisor);
      atom = inside < divisor ? inside : divisor;
    }
    int64_t multiple = power_of_two_in(term->coef) * atom;
    if (multiple < result)
      result = multiple;
  }
  return result;
}

static int affine_depth(Gen *g, const Affine *a);

static int term_depth(Gen *g, const Term *term) {
  if (term->kind != ATOM_VAR)
    return affine_depth(g, term->inside);
  Slot *slot = llvm_map_find(&g->names, term->var);
  return slot ? slot->depth : 0;
}

/* Of the innermost loop variable in it. */
static int affine_depth(Gen *g, const Affine *a) {
  int depth = 0;
  for (int i = 0; i < a->n; i++) {
    int d = term_depth(g, &a->terms[i]);
    depth = d > depth ? d : depth;
  }
  return depth;
}

static LLVMValueRef emit_affine(Gen *g, const Affine *a);

static LLVMValueRef emit_term(Gen *g, const Term *term) {
  LLVMValueRef value = NULL;
  switch (term->kind) {
  case ATOM_VAR:
    value = llvm_map_get(&g->names, term->var, "variable", term->var->name);
    break;
  case ATOM_DIV: /* operands are never negative */
    value =
        LLVMBuildUDiv(g->builder, emit_affine(g, term->inside), llvm_index_const(g, term->divisor), "");
    break;
  case ATOM_MOD:
    value =
        LLVMBuildURem(g->builder, emit_affine(g, term->inside), llvm_index_const(g, term->divisor), "");
    break;
  }
  if (term->coef != 1)
    value = exact_op(g, LLVMMul, value, llvm_index_const(g, term->coef), true);
  return value;
}

static LLVMValueRef emit_affine(Gen *g, const Affine *a) {
  LLVMValueRef sum = NULL;
  int next = 0;
  for (int depth = 0; next < a->n; depth++)
    for (int i = 0; i < a->n; i++)
      if (term_depth(g, &a->terms[i]) == depth) {
        LLVMValueRef value = emit_term(g, &a->terms[i]);
        sum = sum ? exact_op(g, LLVMAdd, sum, value, true) : value;
        next++;
      }
  if (!sum)
    return llvm_index_const(g, a->constant);
  return a->constant ? exact_op(g, LLVMAdd, sum, llvm_index_const(g, a->constant), true) : sum;
}

static LLVMValueRef buffer_pointer(Gen *g, Buffer *buffer);

/* buffer[index] as one index. */
static const Affine *flat_index(Gen *g, const Buffer *buffer, const Affine *const *index) {
  const Affine *offset = affine_const(g->scratch, 0);
  int64_t stride = 1;
  const Affine *scaled[LOOP_MAX_RANK];
  for (int d = buffer->rank - 1; d >= 0; d--) {
    scaled[d] = affine_scale(g->scratch, index[d], stride);
    stride *= buffer->dims[d];
  }
  for (int d = 0; d < buffer->rank; d++)
    offset = affine_add(g->scratch, offset, scaled[d]);
  return offset;
}

/* The address of buffer[index], and the alignment it is known to have. */
static LLVMValueRef emit_address(Gen *g, Buffer *buffer, const Affine *const *index, int *align) {
  const Affine *offset = flat_index(g, buffer, index);
  int64_t known = affine_multiple(g, offset) * elem_bytes(buffer->elem);
  *align = known < llvm_buffer_align(buffer) ? (int)known : llvm_buffer_align(buffer);
  LLVMValueRef base = buffer_pointer(g, buffer);
  if (offset->n == 0 && offset->constant == 0)
    return base;
  LLVMValueRef elems = emit_affine(g, offset);
  return LLVMBuildInBoundsGEP2(g->builder, elem_type(g, buffer->elem), base, &elems, 1, "");
}

/* ---- values ---- */

static LLVMValueRef emit_expr(Gen *g, Expr *e);

/* An integer as a wider (or equally wide) one. */
static LLVMValueRef widen(Gen *g, LLVMValueRef value, Elem from, LLVMTypeRef to) {
  if (LLVMTypeOf(value) == to)
    return value;
  return is_signed(from) ? LLVMBuildSExt(g->builder, value, to, "")
                         : LLVMBuildZExt(g->builder, value, to, "");
}

static void elem_limits(Elem elem, int64_t *lo, int64_t *hi) {
  if (elem == ELEM_U8) {
    *lo = 0;
    *hi = 255;
    return;
  }
  int bits = elem_bytes(elem) * 8;
  *hi = (int64_t)(UINT64_MAX >> (65 - bits));
  *lo = -*hi - 1;
}

static LLVMValueRef saturate(Gen *g, LLVMValueRef value, Type from, Type to) {
  int64_t from_lo, from_hi, lo, hi;
  elem_limits(from.elem, &from_lo, &from_hi);
  elem_limits(to.elem, &lo, &hi);
  bool sign = is_signed(from.elem);
  if (lo > from_lo) {
    LLVMValueRef bound = int_const(g, from, lo);
    LLVMValueRef below =
        LLVMBuildICmp(g->builder, sign ? LLVMIntSLT : LLVMIntULT, value, bound, "");
    value = LLVMBuildSelect(g->builder, below, bound, value, "");
  }
  if (hi < from_hi) {
    LLVMValueRef bound = int_const(g, from, hi);
    LLVMValueRef above =
        LLVMBuildICmp(g->builder, sign ? LLVMIntSGT : LLVMIntUGT, value, bound, "");
    value = LLVMBuildSelect(g->builder, above, bound, value, "");
  }
  if (elem_bytes(to.elem) == elem_bytes(from.elem))
    return value;
  if (elem_bytes(to.elem) > elem_bytes(from.elem))
    return widen(g, value, from.elem, value_type(g, to));
  return LLVMBuildTrunc(g->builder, value, value_type(g, to), "");
}

/* Towards zero, saturating, NaN gives 0. */
static LLVMValueRef truncate_f32(Gen *g, LLVMValueRef x, int lanes) {
  LLVMTypeRef types[2] = {i32_lanes(g, lanes), LLVMTypeOf(x)};
  return intrinsic(g, "llvm.fptosi.sat", types, 2, &x, 1);
}

/* The truncated value is one too large where it lies above x. At the least i32 it
 * does so only because it saturated, and stays. */
static LLVMValueRef floor_f32(Gen *g, LLVMValueRef x, int lanes) {
  LLVMValueRef t = truncate_f32(g, x, lanes);
  LLVMValueRef back = LLVMBuildSIToFP(g->builder, t, LLVMTypeOf(x), "");
  LLVMValueRef above = LLVMBuildFCmp(g->builder, LLVMRealOGT, back, x, "");
  LLVMValueRef least = int_const(g, (Type){ELEM_I32, lanes}, INT32_MIN);
  LLVMValueRef inside = LLVMBuildICmp(g->builder, LLVMIntNE, t, least, "");
  LLVMValueRef adjust = LLVMBuildAnd(g->builder, above, inside, "");
  return LLVMBuildAdd(g->builder, t, LLVMBuildSExt(g->builder, adjust, i32_lanes(g, lanes), ""),
                      "");
}

/* Below 2^23 adding and subtracting 2^23 rounds the magnitude to an integer, halves to
 * even, in the default rounding mode; from there on every f32 is an integer. */
static LLVMValueRef nearest_f32(Gen *g, LLVMValueRef x, int lanes) {
  LLVMValueRef limit = f32_const(g, lanes, 8388608.0);
  LLVMValueRef magnitude = unary_intrinsic(g, "llvm.fabs", x);
  LLVMValueRef rounded =
      LLVMBuildFSub(g->builder, LLVMBuildFAdd(g->builder, magnitude, limit, ""), limit, "");
  LLVMTypeRef type = LLVMTypeOf(x);
  LLVMValueRef args[2] = {rounded, x};
  LLVMValueRef with_sign = intrinsic(g, "llvm.copysign", &type, 1, args, 2);
  LLVMValueRef small = LLVMBuildFCmp(g->builder, LLVMRealOLT, magnitude, limit, "");
  return truncate_f32(g, LLVMBuildSelect(g->builder, small, with_sign, x, ""), lanes);
}

static LLVMValueRef emit_arith(Gen *g, const Expr *e, LLVMOpcode float_op, LLVMOpcode int_op,
                               LLVMValueRef a, LLVMValueRef b) {
  if (e->type.elem == ELEM_F32)
    return LLVMBuildBinOp(g->builder, float_op, a, b, "");
  return exact_op(g, int_op, a, b, is_signed(e->type.elem));
}

static LLVMValueRef emit_compare(Gen *g, Elem elem, LLVMRealPredicate real, LLVMIntPredicate sign,
                                 LLVMIntPredicate no_sign, LLVMValueRef a, LLVMValueRef b) {
  if (elem == ELEM_F32)
    return LLVMBuildFCmp(g->builder, real, a, b, "");
  return LLVMBuildICmp(g->builder, is_signed(elem) ? sign : no_sign, a, b, "");
}

static LLVMValueRef emit_load(Gen *g, Expr *e) {
  int align;
  LLVMValueRef address = emit_address(g, e->buffer, e->index, &align);
  llvm_map_find(&g->names, e->buffer)->read = true;
  LLVMValueRef load = LLVMBuildLoad2(g->builder, value_type(g, e->type), address, "");
  LLVMSetAlignment(load, (unsigned)align);
  return load;
}

static LLVMValueRef emit_table(Gen *g, Expr *e, LLVMValueRef lanes) {
  LLVMValueRef base = buffer_pointer(g, e->buffer);
  llvm_map_find(&g->names, e->buffer)->read = true;
  LLVMTypeRef elem = elem_type(g, e->buffer->elem);
  LLVMValueRef result = e->type.lanes == 1 ? NULL : LLVMGetPoison(value_type(g, e->type));
  for (int i = 0; i < e->type.lanes; i++) {
    LLVMValueRef lane =
        result ? LLVMBuildExtractElement(g->builder, lanes, lane_const(g, i), "") : lanes;
    LLVMValueRef at = LLVMBuildZExt(g->builder, lane, g->index, "");
    LLVMValueRef address = LLVMBuildInBoundsGEP2(g->builder, elem, base, &at, 1, "");
    LLVMValueRef value = LLVMBuildLoad2(g->builder, elem, address, "");
    LLVMSetAlignment(value, (unsigned)elem_bytes(e->buffer->elem));
    if (!result)
      return value;
    result = LLVMBuildInsertElement(g->builder, result, value, lane_const(g, i), "");
  }
  return result;
}

static LLVMValueRef emit_shuffle(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  if (e->type.lanes == 1) {
    int n = e->args[0]->type.lanes, lane = e->lanes[0];
    LLVMValueRef from = as_vector(g, lane < n ? a : b);
    return LLVMBuildExtractElement(g->builder, from, lane_const(g, lane < n ? lane : lane - n), "");
  }
  LLVMValueRef pick[64];
  for (int i = 0; i < e->type.lanes; i++)
    pick[i] = lane_const(g, e->lanes[i]);
  a = as_vector(g, a);
  b = as_vector(g, b);
  return LLVMBuildShuffleVector(g->builder, a, b, LLVMConstVector(pick, (unsigned)e->type.lanes),
                                "");
}

static LLVMValueRef emit_mulhi(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  bool word = e->type.elem == ELEM_I32;
  Type wide = {word ? ELEM_I64 : ELEM_I32, e->type.lanes};
  LLVMTypeRef type = value_type(g, wide);
  a = LLVMBuildSExt(g->builder, a, type, "");
  b = LLVMBuildSExt(g->builder, b, type, "");
  LLVMValueRef product = exact_op(g, LLVMMul, a, b, true);
  LLVMValueRef high = LLVMBuildAShr(g->builder, product, int_const(g, wide, word ? 32 : 16), "");
  return LLVMBuildTrunc(g->builder, high, value_type(g, e->type), "");
}

static LLVMValueRef widened_product(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  LLVMTypeRef type = i32_lanes(g, e->args[0]->type.lanes);
  a = widen(g, a, e->args[0]->type.elem, type);
  b = widen(g, b, e->args[1]->type.elem, type);
  return exact_op(g, LLVMMul, a, b, true);
}

static LLVMValueRef emit_dot4(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b,
                              LLVMValueRef c) {
  LLVMValueRef product = widened_product(g, e, a, b), sum = NULL;
  for (int j = 0; j < 4; j++) {
    LLVMValueRef part =
        e->type.lanes == 1
            ? LLVMBuildExtractElement(g->builder, product, lane_const(g, j), "")
            : strided_lanes(g, product, LLVMGetPoison(LLVMTypeOf(product)), j, 4, e->type.lanes);
    sum = sum ? exact_op(g, LLVMAdd, sum, part, true) : part;
  }
  return exact_op(g, LLVMAdd, sum, c, true);
}

static LLVMValueRef emit_pack(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  Type half = {e->type.elem, e->args[0]->type.lanes};
  a = saturate(g, a, e->args[0]->type, half);
  b = saturate(g, b, e->args[1]->type, half);
  return strided_lanes(g, a, b, 0, 1, e->type.lanes);
}

static LLVMValueRef emit_convert(Gen *g, const Expr *e, LLVMValueRef a) {
  Elem from = e->args[0]->type.elem;
  LLVMTypeRef type = value_type(g, e->type);
  if (e->type.elem != ELEM_F32)
    return widen(g, a, from, type);
  return is_signed(from) ? LLVMBuildSIToFP(g->builder, a, type, "")
                         : LLVMBuildUIToFP(g->builder, a, type, "");
}

static LLVMValueRef emit_op(Gen *g, Expr *e) {
  LLVMBuilderRef builder = g->builder;
  g->vectors |= e->type.lanes > 1;
  LLVMValueRef a = NULL, b = NULL, c = NULL;
  int arity = loop_op_arity(e->op);
  if (arity > 0)
    a = emit_expr(g, e->args[0]);
  if (arity > 1)
    b = emit_expr(g, e->args[1]);
  if (arity > 2)
    c = emit_expr(g, e->args[2]);
  Elem elem = arity > 0 ? e->args[0]->type.elem : e->type.elem;
  int lanes = e->type.lanes;

  switch (e->op) {
  case OP_CONST:
    return elem == ELEM_F32 ? f32_const(g, lanes, (double)e->fvalue)
                            : int_const(g, e->type, e->ivalue);
  case OP_VALUE: {
    LLVMValueRef value = llvm_map_get(&g->names, e->value, "value", e->value->name);
    return e->value->is_mutable ? LLVMBuildLoad2(builder, value_type(g, e->type), value, "")
                                : value;
  }
  case OP_LOAD:
    return emit_load(g, e);
  case OP_INDEX: {
    LLVMValueRef value = emit_affine(g, e->index[0]);
    return g->index_bits == 32
               ? value
               : LLVMBuildTrunc(builder, value, LLVMInt32TypeInContext(g->context), "");
  }

  case OP_SPLAT:
    return splat(g, a, lanes, "");
  case OP_LANE:
    return LLVMBuildExtractElement(builder, as_vector(g, a), lane_const(g, (int)e->ivalue), "");
  case OP_SHUFFLE:
    return emit_shuffle(g, e, a, b);

  case OP_ADD:
    return emit_arith(g, e, LLVMFAdd, LLVMAdd, a, b);
  case OP_SUB:
    return emit_arith(g, e, LLVMFSub, LLVMSub, a, b);
  case OP_MUL:
    return emit_arith(g, e, LLVMFMul, LLVMMul, a, b);
  case OP_MIN:
    return LLVMBuildSelect(
        builder, emit_compare(g, elem, LLVMRealOLT, LLVMIntSLT, LLVMIntULT, a, b), a, b, "");
  case OP_MAX:
    return LLVMBuildSelect(
        builder, emit_compare(g, elem, LLVMRealOGT, LLVMIntSGT, LLVMIntUGT, a, b), a, b, "");

  case OP_DIV:
    return LLVMBuildFDiv(builder, a, b, "");
  case OP_FMA: {
    LLVMTypeRef type = LLVMTypeOf(a);
    LLVMValueRef args[3] = {a, b, c};
    return intrinsic(g, "llvm.fma", &type, 1, args, 3);
  }
  case OP_NEG:
    return LLVMBuildFNeg(builder, a, "");
  case OP_ABS:
    return unary_intrinsic(g, "llvm.fabs", a);
  case OP_SQRT:
    return unary_intrinsic(g, "llvm.sqrt", a);

  case OP_AND:
    return LLVMBuildAnd(builder, a, b, "");
  case OP_OR:
    return LLVMBuildOr(builder, a, b, "");
  case OP_XOR:
    return LLVMBuildXor(builder, a, b, "");
  case OP_NOT:
    return LLVMBuildNot(builder, a, "");
  case OP_SHL:
    return exact_op(g, LLVMShl, a, b, is_signed(elem));
  case OP_SHR:
    return is_signed(elem) ? LLVMBuildAShr(builder, a, b, "") : LLVMBuildLShr(builder, a, b, "");
  case OP_MULHI:
    return emit_mulhi(g, e, a, b);
  case OP_MADD:
    return exact_op(g, LLVMAdd, widened_product(g, e, a, b), c, true);
  case OP_DOT4:
    return emit_dot4(g, e, a, b, c);

  case OP_EQ:
    return emit_compare(g, elem, LLVMRealOEQ, LLVMIntEQ, LLVMIntEQ, a, b);
  case OP_LT:
    return emit_compare(g, elem, LLVMRealOLT, LLVMIntSLT, LLVMIntULT, a, b);
  case OP_LE:
    return emit_compare(g, elem, LLVMRealOLE, LLVMIntSLE, LLVMIntULE, a, b);
  case OP_SELECT:
    return LLVMBuildSelect(builder, a, b, c, "");

  case OP_CONVERT:
    return emit_convert(g, e, a);
  case OP_WRAP: {
    LLVMTypeRef type = value_type(g, e->type);
    return LLVMTypeOf(a) == type ? a : LLVMBuildTrunc(builder, a, type, "");
  }
  case OP_SATURATE:
    return saturate(g, a, e->args[0]->type, e->type);
  case OP_FLOOR:
    return floor_f32(g, a, lanes);
  case OP_NEAREST:
    return nearest_f32(g, a, lanes);
  case OP_BITCAST:
    return LLVMBuildBitCast(builder, a, value_type(g, e->type), "");
  case OP_PACK:
    return emit_pack(g, e, a, b);
  case OP_TABLE:
    return emit_table(g, e, a);
  case OP_COUNT:
    break;
  }
  BUG("loop operation %d", (int)e->op);
}

/* Shared nodes are computed once in a statement: within one, memory and vars stand still. */
static LLVMValueRef emit_expr(Gen *g, Expr *e) {
  Slot *slot = llvm_map_find(&g->memo, e);
  if (slot)
    return slot->value;
  LLVMValueRef value = emit_op(g, e);
  llvm_map_put(&g->memo, e, value);
  return value;
}

static LLVMValueRef emit_statement_expr(Gen *g, Expr *e) {
  map_clear(&g->memo);
  return emit_expr(g, e);
}

/* ---- statements ---- */

LLVMBasicBlockRef llvm_new_block(Gen *g, const char *name) {
  return LLVMAppendBasicBlockInContext(g->context, g->function, name);
}

static LLVMValueRef emit_bound(Gen *g, int n, const Affine **bounds, bool greatest) {
  LLVMValueRef value = emit_affine(g, bounds[0]);
  for (int i = 1; i < n; i++)
    value = select_greater(g, value, emit_affine(g, bounds[i]), greatest);
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

  int64_t multiple = power_of_two_in(s->step);
  for (int i = 0; i < s->n_lower; i++) {
    int64_t m = affine_multiple(g, s->lower[i]);
    multiple = m < multiple ? m : multiple;
  }
  Slot *slot = llvm_map_put(&g->names, s->var, phi);
  slot->depth = ++g->depth;
  slot->multiple = multiple;
  bool vectors_around = g->vectors;
  g->vectors = false;
  llvm_emit_block(g, &s->body);
  g->depth--;

  LLVMValueRef next = exact_op(g, LLVMAdd, phi, llvm_index_const(g, s->step), true);
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
    LLVMValueRef one = LLVMBuildICmp(g->builder, LLVMIntSGE, emit_affine(g, s->conditions[i]),
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
  LLVMValueRef value = emit_statement_expr(g, s->expr);
  int align;
  LLVMValueRef address = emit_address(g, s->buffer, s->index, &align);
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
    args[i] = buffer_pointer(g, s->buffers[i]);
  for (size_t i = 0; i < n_ints; i++)
    args[n_buffers + i] = emit_affine(g, s->ints[i]);
  LLVMValueRef callee = llvm_map_get(&g->kernels, s->callee, "kernel", s->callee->name);
  if (s->stage && g->options->profile)
    emit_profile(g, s->stage, "begin");
  LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(callee), callee, args,
                 (unsigned)(n_buffers + n_ints), "");
  if (s->stage && g->options->profile)
    emit_profile(g, s->stage, "end");
}

static void emit_prefetch(Gen *g, const Stmt *s) {
  LLVMValueRef elems = emit_affine(g, flat_index(g, s->buffer, s->index));
  LLVMValueRef address =
      LLVMBuildGEP2(g->builder, elem_type(g, s->buffer->elem), buffer_pointer(g, s->buffer), &elems, 1, "");
  LLVMValueRef args[4] = {address, lane_const(g, 0), lane_const(g, 3),
                          lane_const(g, 1)}; /* a read, kept, of data */
  llvm_map_find(&g->names, s->buffer)->read = true;
  intrinsic(g, "llvm.prefetch", &g->ptr, 1, args, 4);
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
    LLVMValueRef value = emit_statement_expr(g, s->expr);
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
        LLVMBuildAlloca(g->entry_builder, value_type(g, s->value->type), s->value->name);
    llvm_map_put(&g->names, s->value, slot);
    LLVMBuildStore(g->builder, emit_statement_expr(g, s->expr), slot);
    return;
  }
  case STMT_SET:
    LLVMBuildStore(g->builder, emit_statement_expr(g, s->expr),
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
  for (size_t i = 0; i < block->stmts.len; i++)
    emit_stmt(g, block->stmts.at[i]);
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
  llvm_map_init(&g->names, g->scratch);
  llvm_map_init(&g->memo, g->scratch);
  LLVMPositionBuilderAtEnd(g->entry_builder, llvm_new_block(g, "entry"));
  LLVMBasicBlockRef body = llvm_new_block(g, "body");
  LLVMPositionBuilderAtEnd(g->builder, body);
  return body;
}

void llvm_end_function(Gen *g, LLVMBasicBlockRef body) {
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
  const char *name = arena_printf(g->arena, "%s_%s", g->options->prefix, kernel->name);
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
static LLVMValueRef buffer_pointer(Gen *g, Buffer *buffer) {
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
  g->layout = weight_layout(g->arena, g->program, g->target->buffer_align);
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
      const char *name = arena_printf(g->arena, "%s_%s", g->options->prefix, place->buffer->name);
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
  for (size_t i = 0; ok && i < g->program->buffers.len; i++) {
    const Buffer *buffer = g->program->buffers.at[i];
    if (buffer->kind != BUFFER_WEIGHT)
      continue;
    LLVMValueRef global = g->weight_globals[weight_place(&g->layout, buffer) - g->layout.places];
    unsigned align = (unsigned)g->target->buffer_align;
    if ((unsigned)llvm_buffer_align(buffer) > align)
      align = (unsigned)llvm_buffer_align(buffer);
    if (align > LLVMGetAlignment(global))
      LLVMSetAlignment(global, align);
  }
  return ok;
}

/* ---- the module ---- */

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
  for (size_t i = 0; g->index_bits == 32 && i < g->program->buffers.len; i++) {
    const Buffer *buffer = g->program->buffers.at[i];
    if (buffer_bytes(buffer) > INT32_MAX ||
        (buffer->kind == BUFFER_ARENA && buffer->offset > INT32_MAX - buffer_bytes(buffer))) {
      diag_error(g->diag, (Loc){0}, "buffer '%s' does not fit the 32-bit addresses of '%s'",
                 buffer->name, g->spec->triple);
      ok = false;
    }
  }
  return ok;
}

static void verify(LLVMModuleRef module) {
  char *message = NULL;
  if (LLVMVerifyModule(module, LLVMReturnStatusAction, &message))
    BUG("LLVM rejects the module: %s", message);
  LLVMDisposeMessage(message);
}

static bool fill_module(Gen *g, bool adapter) {
  if (!fits_address_space(g) || !define_weights(g))
    return false;
  g->ptr = LLVMPointerTypeInContext(g->context, 0);
  g->index = LLVMIntTypeInContext(g->context, g->index_bits);
  llvm_map_init(&g->kernels, g->arena);
  llvm_declare_run(g); /* first, so that no kernel can take its name */
  if (adapter)
    llvm_define_adapter(g);
  for (size_t i = 0; i < g->program->kernels.len; i++)
    declare_kernel(g, g->program->kernels.at[i]);
  for (size_t i = 0; i < g->program->kernels.len; i++)
    define_kernel(g, g->program->kernels.at[i]);
  llvm_define_run(g);
  verify(g->module);
  return true;
}

LLVMModuleRef llvm_build(LLVMContextRef context, LLVMTargetMachineRef machine,
                         const Program *program, const Target *target, const EmitOptions *options,
                         const LlvmSpec *spec, bool adapter, Diag *diag) {
  Gen g = {.program = program,
           .target = target,
           .options = options,
           .spec = spec,
           .diag = diag,
           .context = context};
  const char *name = options->file_name ? options->file_name : program->name;
  const char *slash = strrchr(name, '/'); /* outputs do not depend on where they are made */
  name = slash ? slash + 1 : name;
  g.arena = arena_new();
  g.module = LLVMModuleCreateWithNameInContext(name, context);
  LLVMSetSourceFileName(g.module, name, strlen(name));
  LLVMSetTarget(g.module, spec->triple);
  g.data = LLVMCreateTargetDataLayout(machine);
  LLVMSetModuleDataLayout(g.module, g.data);
  g.builder = LLVMCreateBuilderInContext(context);
  g.entry_builder = LLVMCreateBuilderInContext(context);

  bool ok = fill_module(&g, adapter);

  LLVMDisposeBuilder(g.entry_builder);
  LLVMDisposeBuilder(g.builder);
  LLVMDisposeTargetData(g.data);
  arena_free(g.arena);
  if (ok)
    return g.module;
  LLVMDisposeModule(g.module);
  return NULL;
}
