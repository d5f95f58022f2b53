/* Indices and values of the loops as LLVM's: canonical offsets, and one spelling for each operation.
 *
 * Nothing here is a statement or knows of functions; emit_llvm.c has the rules that both keep. */
#include <string.h>

#include "target/llvm_emitter.h"

enum { MAX_MULTIPLE = 4096 };

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
  LLVMTypeRef elem = llvm_elem_type(g, type.elem);
  /* The bits must fit the type as they stand: newer LLVMs do not truncate. */
  LLVMValueRef scalar = llvm_is_signed(type.elem)
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
LLVMValueRef llvm_exact_op(Gen *g, LLVMOpcode op, LLVMValueRef a, LLVMValueRef b, bool sign) {
  LLVMValueRef value = LLVMBuildBinOp(g->builder, op, a, b, "");
  if (LLVMIsABinaryOperator(value)) { /* and not folded to a constant */
    if (sign)
      LLVMSetNSW(value, true);
    else
      LLVMSetNUW(value, true);
  }
  return value;
}

LLVMValueRef llvm_select_greater(Gen *g, LLVMValueRef a, LLVMValueRef b, bool greater) {
  LLVMValueRef cond = LLVMBuildICmp(g->builder, greater ? LLVMIntSGT : LLVMIntSLT, a, b, "");
  return LLVMBuildSelect(g->builder, cond, a, b, "");
}

static unsigned intrinsic_id(const char *name) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  if (!id)
    BUG("this LLVM has no intrinsic '%s'", name);
  return id;
}

LLVMValueRef llvm_intrinsic(Gen *g, const char *name, LLVMTypeRef *types, size_t n_types,
                              LLVMValueRef *args, unsigned n_args) {
  unsigned id = intrinsic_id(name);
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(g->module, id, types, n_types);
  return LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(function), function, args, n_args, "");
}

static LLVMValueRef unary_intrinsic(Gen *g, const char *name, LLVMValueRef a) {
  LLVMTypeRef type = LLVMTypeOf(a);
  return llvm_intrinsic(g, name, &type, 1, &a, 1);
}

LLVMValueRef llvm_lane_const(Gen *g, int lane) {
  return LLVMConstInt(LLVMInt32TypeInContext(g->context), (unsigned long long)lane, false);
}

/* A scalar as a vector of one lane, for shuffles. */
static LLVMValueRef as_vector(Gen *g, LLVMValueRef value) {
  LLVMTypeRef type = LLVMTypeOf(value);
  if (LLVMGetTypeKind(type) == LLVMVectorTypeKind)
    return value;
  return LLVMBuildInsertElement(g->builder, LLVMGetPoison(LLVMVectorType(type, 1)), value,
                                llvm_lane_const(g, 0), "");
}

/* Lane i of the result is first + i * stride of (a, b). */
static LLVMValueRef strided_lanes(Gen *g, LLVMValueRef a, LLVMValueRef b, int first, int stride,
                                  int lanes) {
  LLVMValueRef pick[128];
  for (int i = 0; i < lanes; i++)
    pick[i] = llvm_lane_const(g, first + i * stride);
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
      llvm_lane_const(g, 0), "");
  return LLVMBuildShuffleVector(
      g->builder, one, LLVMGetPoison(LLVMTypeOf(one)),
      LLVMConstNull(LLVMVectorType(LLVMInt32TypeInContext(g->context), (unsigned)lanes)), name);
}

/* ---- indices ---- */

int64_t llvm_power_of_two_in(int64_t value) {
  uint64_t bits = (uint64_t)value;
  uint64_t low = bits & (~bits + 1);
  return low == 0 || low > MAX_MULTIPLE ? MAX_MULTIPLE : (int64_t)low;
}

/* A power of two that divides every value of the affine. */
int64_t llvm_affine_multiple(Gen *g, const Affine *a) {
  int64_t result = llvm_power_of_two_in(a->constant);
  for (int i = 0; i < a->n; i++) {
    const Term *term = &a->terms[i];
    int64_t atom = 1;
    if (term->kind == ATOM_VAR) {
      Slot *slot = llvm_map_find(&g->names, term->var);
      atom = slot ? slot->multiple : 1;
    } else if (term->kind == ATOM_MOD) {
      int64_t inside = llvm_affine_multiple(g, term->inside);
      int64_t divisor = llvm_power_of_two_in(term->divisor);
      atom = inside < divisor ? inside : divisor;
    }
    int64_t multiple = llvm_power_of_two_in(term->coef) * atom;
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


static LLVMValueRef emit_term(Gen *g, const Term *term) {
  LLVMValueRef value = NULL;
  switch (term->kind) {
  case ATOM_VAR:
    value = llvm_map_get(&g->names, term->var, "variable", term->var->name);
    break;
  case ATOM_DIV: /* operands are never negative */
    value =
        LLVMBuildUDiv(g->builder, llvm_emit_affine(g, term->inside), llvm_index_const(g, term->divisor), "");
    break;
  case ATOM_MOD:
    value =
        LLVMBuildURem(g->builder, llvm_emit_affine(g, term->inside), llvm_index_const(g, term->divisor), "");
    break;
  }
  if (term->coef != 1)
    value = llvm_exact_op(g, LLVMMul, value, llvm_index_const(g, term->coef), true);
  return value;
}

LLVMValueRef llvm_emit_affine(Gen *g, const Affine *a) {
  LLVMValueRef sum = NULL;
  int next = 0;
  for (int depth = 0; next < a->n; depth++)
    for (int i = 0; i < a->n; i++)
      if (term_depth(g, &a->terms[i]) == depth) {
        LLVMValueRef value = emit_term(g, &a->terms[i]);
        sum = sum ? llvm_exact_op(g, LLVMAdd, sum, value, true) : value;
        next++;
      }
  if (!sum)
    return llvm_index_const(g, a->constant);
  return a->constant ? llvm_exact_op(g, LLVMAdd, sum, llvm_index_const(g, a->constant), true) : sum;
}


/* buffer[index] as one index. */
const Affine *llvm_flat_index(Gen *g, const Buffer *buffer, const Affine *const *index) {
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

/* The same without divisions that leave no remainder: of a variable that goes in steps of the divisor. */
static const Affine *without_exact_divisions(Gen *g, const Affine *a) {
  const Affine *sum = affine_const(g->scratch, a->constant);
  for (int i = 0; i < a->n; i++) {
    const Term *term = &a->terms[i];
    bool exact = term->kind == ATOM_DIV && term->coef % term->divisor == 0 &&
                 llvm_affine_multiple(g, term->inside) % term->divisor == 0;
    const Affine *part = &(const Affine){0, 1, &a->terms[i]};
    if (exact)
      part = affine_scale(g->scratch, without_exact_divisions(g, term->inside), term->coef / term->divisor);
    sum = affine_add(g->scratch, sum, part);
  }
  return sum;
}

static const Place *find_place(const Gen *g, const Buffer *buffer, const Affine *offset) {
  for (size_t i = g->places.len; i-- > 0;)
    if (g->places.at[i].buffer == buffer && affine_equal(g->places.at[i].offset, offset))
      return &g->places.at[i];
  return NULL;
}

/* The address of buffer[offset] but for the constant: from the outermost variable to the innermost, as much as has not been
 * computed yet. A part of the sum may lie outside of the buffer, so that none is said to be inside. */
static LLVMValueRef emit_place(Gen *g, Buffer *buffer, const Affine *offset) {
  LLVMTypeRef elem = llvm_elem_type(g, buffer->elem);
  LLVMValueRef pointer = llvm_buffer_pointer(g, buffer);
  const Affine *sum = affine_const(g->scratch, 0);
  for (int depth = 0; sum->n < offset->n; depth++) {
    Affine part = {0, 0, ARENA_ARRAY(g->scratch, Term, offset->n)};
    for (int i = 0; i < offset->n; i++)
      if (term_depth(g, &offset->terms[i]) == depth)
        part.terms[part.n++] = offset->terms[i];
    if (!part.n)
      continue;
    sum = affine_add(g->scratch, sum, &part);
    const Place *known = find_place(g, buffer, sum);
    if (known) {
      pointer = known->pointer;
      continue;
    }
    LLVMValueRef elems = llvm_emit_affine(g, &part);
    pointer = LLVMBuildGEP2(g->builder, elem, pointer, &elems, 1, "");
    VEC_PUSH(g->scratch, g->places, ((Place){buffer, sum, pointer}));
  }
  return pointer;
}

/* The address of buffer[index], and the alignment it is known to have. */
LLVMValueRef llvm_emit_address(Gen *g, Buffer *buffer, const Affine *const *index, int *align) {
  const Affine *offset = without_exact_divisions(g, llvm_flat_index(g, buffer, index));
  int64_t known = llvm_affine_multiple(g, offset) * elem_bytes(buffer->elem);
  *align = known < llvm_buffer_align(buffer) ? (int)known : llvm_buffer_align(buffer);
  LLVMValueRef place = emit_place(g, buffer, offset);
  if (!offset->constant)
    return place;
  LLVMValueRef elems = llvm_index_const(g, offset->constant);
  return LLVMBuildGEP2(g->builder, llvm_elem_type(g, buffer->elem), place, &elems, 1, "");
}

/* ---- values ---- */

static LLVMValueRef emit_expr(Gen *g, Expr *e);

/* An integer as a wider (or equally wide) one. */
static LLVMValueRef widen(Gen *g, LLVMValueRef value, Elem from, LLVMTypeRef to) {
  if (LLVMTypeOf(value) == to)
    return value;
  return llvm_is_signed(from) ? LLVMBuildSExt(g->builder, value, to, "")
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
  bool sign = llvm_is_signed(from.elem);
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
    return widen(g, value, from.elem, llvm_value_type(g, to));
  return LLVMBuildTrunc(g->builder, value, llvm_value_type(g, to), "");
}

/* Towards zero, saturating, NaN gives 0. */
static LLVMValueRef truncate_f32(Gen *g, LLVMValueRef x, int lanes) {
  LLVMTypeRef types[2] = {llvm_i32_lanes(g, lanes), LLVMTypeOf(x)};
  return llvm_intrinsic(g, "llvm.fptosi.sat", types, 2, &x, 1);
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
  return LLVMBuildAdd(g->builder, t, LLVMBuildSExt(g->builder, adjust, llvm_i32_lanes(g, lanes), ""),
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
  LLVMValueRef with_sign = llvm_intrinsic(g, "llvm.copysign", &type, 1, args, 2);
  LLVMValueRef small = LLVMBuildFCmp(g->builder, LLVMRealOLT, magnitude, limit, "");
  return truncate_f32(g, LLVMBuildSelect(g->builder, small, with_sign, x, ""), lanes);
}

static LLVMValueRef emit_arith(Gen *g, const Expr *e, LLVMOpcode float_op, LLVMOpcode int_op,
                               LLVMValueRef a, LLVMValueRef b) {
  if (e->type.elem == ELEM_F32)
    return LLVMBuildBinOp(g->builder, float_op, a, b, "");
  return llvm_exact_op(g, int_op, a, b, llvm_is_signed(e->type.elem));
}

static LLVMValueRef emit_compare(Gen *g, Elem elem, LLVMRealPredicate real, LLVMIntPredicate sign,
                                 LLVMIntPredicate no_sign, LLVMValueRef a, LLVMValueRef b) {
  if (elem == ELEM_F32)
    return LLVMBuildFCmp(g->builder, real, a, b, "");
  return LLVMBuildICmp(g->builder, llvm_is_signed(elem) ? sign : no_sign, a, b, "");
}

static LLVMValueRef emit_load(Gen *g, Expr *e) {
  int align;
  LLVMValueRef address = llvm_emit_address(g, e->buffer, e->index, &align);
  llvm_map_find(&g->names, e->buffer)->read = true;
  LLVMValueRef load = LLVMBuildLoad2(g->builder, llvm_value_type(g, e->type), address, "");
  LLVMSetAlignment(load, (unsigned)align);
  return load;
}

static LLVMValueRef emit_table(Gen *g, Expr *e, LLVMValueRef lanes) {
  LLVMValueRef base = llvm_buffer_pointer(g, e->buffer);
  llvm_map_find(&g->names, e->buffer)->read = true;
  LLVMTypeRef elem = llvm_elem_type(g, e->buffer->elem);
  LLVMValueRef result = e->type.lanes == 1 ? NULL : LLVMGetPoison(llvm_value_type(g, e->type));
  for (int i = 0; i < e->type.lanes; i++) {
    LLVMValueRef lane =
        result ? LLVMBuildExtractElement(g->builder, lanes, llvm_lane_const(g, i), "") : lanes;
    LLVMValueRef at = LLVMBuildZExt(g->builder, lane, g->index, "");
    LLVMValueRef address = LLVMBuildInBoundsGEP2(g->builder, elem, base, &at, 1, "");
    LLVMValueRef value = LLVMBuildLoad2(g->builder, elem, address, "");
    LLVMSetAlignment(value, (unsigned)elem_bytes(e->buffer->elem));
    if (!result)
      return value;
    result = LLVMBuildInsertElement(g->builder, result, value, llvm_lane_const(g, i), "");
  }
  return result;
}

static LLVMValueRef emit_shuffle(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  if (e->type.lanes == 1) {
    int n = e->args[0]->type.lanes, lane = e->lanes[0];
    LLVMValueRef from = as_vector(g, lane < n ? a : b);
    return LLVMBuildExtractElement(g->builder, from, llvm_lane_const(g, lane < n ? lane : lane - n), "");
  }
  LLVMValueRef pick[64];
  for (int i = 0; i < e->type.lanes; i++)
    pick[i] = llvm_lane_const(g, e->lanes[i]);
  a = as_vector(g, a);
  b = as_vector(g, b);
  return LLVMBuildShuffleVector(g->builder, a, b, LLVMConstVector(pick, (unsigned)e->type.lanes),
                                "");
}

static LLVMValueRef emit_mulhi(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  bool word = e->type.elem == ELEM_I32;
  Type wide = {word ? ELEM_I64 : ELEM_I32, e->type.lanes};
  LLVMTypeRef type = llvm_value_type(g, wide);
  a = LLVMBuildSExt(g->builder, a, type, "");
  b = LLVMBuildSExt(g->builder, b, type, "");
  LLVMValueRef product = llvm_exact_op(g, LLVMMul, a, b, true);
  LLVMValueRef high = LLVMBuildAShr(g->builder, product, int_const(g, wide, word ? 32 : 16), "");
  return LLVMBuildTrunc(g->builder, high, llvm_value_type(g, e->type), "");
}

static LLVMValueRef widened_product(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  LLVMTypeRef type = llvm_i32_lanes(g, e->args[0]->type.lanes);
  a = widen(g, a, e->args[0]->type.elem, type);
  b = widen(g, b, e->args[1]->type.elem, type);
  return llvm_exact_op(g, LLVMMul, a, b, true);
}

/* `lanes` of a vector from the lane `from` on, which is a multiple of it. */
static LLVMValueRef slice(Gen *g, LLVMValueRef vector, int from, int lanes) {
  if (LLVMGetVectorSize(LLVMTypeOf(vector)) == (unsigned)lanes)
    return vector;
  return strided_lanes(g, vector, LLVMGetPoison(LLVMTypeOf(vector)), from, 1, lanes);
}

/* One instruction. Which type the factors have, bytes or i32 of four bytes each, depends on the intrinsic and on LLVM's version. */
static LLVMValueRef dot_instruction(Gen *g, const DotForm *form, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b) {
  unsigned id = intrinsic_id(form->intrinsic);
  LLVMTypeRef types[2] = {LLVMTypeOf(c), LLVMTypeOf(a)}, params[3];
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(g->module, id, types, LLVMIntrinsicIsOverloaded(id) ? 2 : 0);
  LLVMTypeRef type = LLVMGlobalGetValueType(function);
  LLVMGetParamTypes(type, params);
  LLVMValueRef args[3] = {c, a, b};
  for (int i = 0; i < 3; i++)
    args[i] = LLVMBuildBitCast(g->builder, args[i], params[i], "");
  return LLVMBuildCall2(g->builder, type, function, args, 3, "");
}

/* As many instructions as the lanes need, whose sums follow each other in the result. */
static LLVMValueRef emit_dot_product(Gen *g, const DotForm *form, int lanes, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c) {
  LLVMTypeRef types[2] = {llvm_i32_lanes(g, lanes), llvm_i32_lanes(g, form->lanes)};
  LLVMValueRef result = LLVMGetPoison(types[0]);
  for (int from = 0; from < lanes; from += form->lanes) {
    LLVMValueRef sums = slice(g, c, from, form->lanes);
    LLVMValueRef first = slice(g, a, 4 * from, 4 * form->lanes), second = slice(g, b, 4 * from, 4 * form->lanes);
    sums = dot_instruction(g, form, sums, first, second);
    if (form->lanes == lanes)
      return sums;
    LLVMValueRef place = LLVMConstInt(LLVMInt64TypeInContext(g->context), (unsigned long long)from, false);
    LLVMValueRef args[3] = {result, sums, place};
    result = llvm_intrinsic(g, "llvm.vector.insert", types, 2, args, 3);
  }
  return result;
}

static LLVMValueRef emit_dot4(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b,
                              LLVMValueRef c) {
  const DotForm *form = dot_product_form(g->spec->dot_product, e->args[0]->type.elem, e->type.lanes);
  if (form)
    return emit_dot_product(g, form, e->type.lanes, a, b, c);
  LLVMValueRef product = widened_product(g, e, a, b), sum = NULL;
  for (int j = 0; j < 4; j++) {
    LLVMValueRef part =
        e->type.lanes == 1
            ? LLVMBuildExtractElement(g->builder, product, llvm_lane_const(g, j), "")
            : strided_lanes(g, product, LLVMGetPoison(LLVMTypeOf(product)), j, 4, e->type.lanes);
    sum = sum ? llvm_exact_op(g, LLVMAdd, sum, part, true) : part;
  }
  return llvm_exact_op(g, LLVMAdd, sum, c, true);
}

static LLVMValueRef emit_pack(Gen *g, const Expr *e, LLVMValueRef a, LLVMValueRef b) {
  Type half = {e->type.elem, e->args[0]->type.lanes};
  a = saturate(g, a, e->args[0]->type, half);
  b = saturate(g, b, e->args[1]->type, half);
  return strided_lanes(g, a, b, 0, 1, e->type.lanes);
}

static LLVMValueRef emit_convert(Gen *g, const Expr *e, LLVMValueRef a) {
  Elem from = e->args[0]->type.elem;
  LLVMTypeRef type = llvm_value_type(g, e->type);
  if (e->type.elem != ELEM_F32)
    return widen(g, a, from, type);
  return llvm_is_signed(from) ? LLVMBuildSIToFP(g->builder, a, type, "")
                         : LLVMBuildUIToFP(g->builder, a, type, "");
}

static LLVMValueRef emit_op(Gen *g, Expr *e) {
  LLVMBuilderRef builder = g->builder;
  g->vectors |= e->type.lanes > 1;
  int64_t bytes = (int64_t)e->type.lanes * elem_bytes(e->type.elem);
  if (bytes > g->widest)
    g->widest = bytes;
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
    return e->value->is_mutable ? LLVMBuildLoad2(builder, llvm_value_type(g, e->type), value, "")
                                : value;
  }
  case OP_LOAD:
    return emit_load(g, e);
  case OP_INDEX: {
    LLVMValueRef value = llvm_emit_affine(g, e->index[0]);
    return g->index_bits == 32
               ? value
               : LLVMBuildTrunc(builder, value, LLVMInt32TypeInContext(g->context), "");
  }

  case OP_SPLAT:
    return splat(g, a, lanes, "");
  case OP_LANE:
    return LLVMBuildExtractElement(builder, as_vector(g, a), llvm_lane_const(g, (int)e->ivalue), "");
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
    return llvm_intrinsic(g, "llvm.fma", &type, 1, args, 3);
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
    return llvm_exact_op(g, LLVMShl, a, b, llvm_is_signed(elem));
  case OP_SHR:
    return llvm_is_signed(elem) ? LLVMBuildAShr(builder, a, b, "") : LLVMBuildLShr(builder, a, b, "");
  case OP_MULHI:
    return emit_mulhi(g, e, a, b);
  case OP_MADD:
    return llvm_exact_op(g, LLVMAdd, widened_product(g, e, a, b), c, true);
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
    LLVMTypeRef type = llvm_value_type(g, e->type);
    return LLVMTypeOf(a) == type ? a : LLVMBuildTrunc(builder, a, type, "");
  }
  case OP_SATURATE:
    return saturate(g, a, e->args[0]->type, e->type);
  case OP_FLOOR:
    return floor_f32(g, a, lanes);
  case OP_NEAREST:
    return nearest_f32(g, a, lanes);
  case OP_BITCAST:
    return LLVMBuildBitCast(builder, a, llvm_value_type(g, e->type), "");
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

LLVMValueRef llvm_emit_statement_expr(Gen *g, Expr *e) {
  llvm_map_clear(&g->memo);
  return emit_expr(g, e);
}
