/* Indices, and expression trees printed for one lane. Integer arithmetic avoids what C leaves
 * undefined or to the implementation; narrow types compute in int and are converted back where a
 * value is kept. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "target/c_emitter.h"

/* ---- affine expressions ---- */

static void open_if(Emitter *e, Tightness own, Tightness wanted) {
  if (own < wanted)
    write_text(e->w, "(");
}

static void close_if(Emitter *e, Tightness own, Tightness wanted) {
  if (own < wanted)
    write_text(e->w, ")");
}

static void atom_c(Emitter *e, const Term *term, bool parens) {
  if (term->kind == ATOM_VAR) {
    write_text(e->w, c_name_of(e, term->var));
    return;
  }
  write_text(e->w, parens ? "(" : "");
  c_affine(e, term->inside, PRODUCT);
  write_f(e->w, " %c %" PRId64 "%s", term->kind == ATOM_DIV ? '/' : '%', term->divisor,
          parens ? ")" : "");
}

/* `1 - y` reads better than `-y + 1`. */
static bool constant_first(const Affine *a) {
  return a->n == 0 || (a->constant > 0 && a->terms[0].coef < 0);
}

static Tightness affine_tightness(const Affine *a) {
  if (a->n == 0)
    return a->constant < 0 ? UNARY : PRIMARY;
  if (a->n > 1 || a->constant != 0 || a->terms[0].coef < 0)
    return SUM;
  return a->terms[0].coef == 1 && a->terms[0].kind == ATOM_VAR ? PRIMARY : PRODUCT;
}

void c_affine(Emitter *e, const Affine *a, Tightness wanted) {
  Tightness own = affine_tightness(a);
  bool first = !constant_first(a);
  open_if(e, own, wanted);
  if (!first)
    write_f(e->w, "%" PRId64, a->constant);
  for (int i = 0; i < a->n; i++) {
    const Term *term = &a->terms[i];
    int64_t coef = term->coef;
    bool lead = i == 0 && first;
    if (!lead)
      write_text(e->w, coef < 0 ? " - " : " + ");
    else if (coef < 0)
      write_text(e->w, "-");
    coef = coef < 0 ? -coef : coef;
    atom_c(e, term, coef != 1 || (lead && term->coef < 0));
    if (coef != 1)
      write_f(e->w, " * %" PRId64, coef);
  }
  if (first && a->constant != 0)
    write_f(e->w, " %c %" PRId64, a->constant < 0 ? '-' : '+',
            a->constant < 0 ? -a->constant : a->constant);
  close_if(e, own, wanted);
}

/* ---- expressions ---- */

static bool is_narrow(Elem elem) { return elem == ELEM_I8 || elem == ELEM_U8 || elem == ELEM_I16; }

static void lane_c(Emitter *e, Lane lane) {
  if (lane.scale > 1)
    write_f(e->w, "%d * ", lane.scale);
  if (lane.scale)
    write_text(e->w, e->lane);
  if (lane.scale && lane.offset)
    write_f(e->w, " %c %d", lane.offset < 0 ? '-' : '+', abs(lane.offset));
  if (!lane.scale)
    write_f(e->w, "%d", lane.offset);
}

void c_element(Emitter *e, const Buffer *buffer, const Affine *const *index, Lane lane) {
  const Affine *flat = c_flat_index(e, buffer, index);
  flat = affine_add_const(e->arena, flat, lane.offset);
  write_f(e->w, "%s[", c_name_of(e, buffer));
  int64_t constant;
  bool zero = affine_is_const(flat, &constant) && constant == 0;
  if (!zero || !lane.scale)
    c_affine(e, flat, LOOSE);
  if (lane.scale) {
    write_text(e->w, zero ? "" : " + ");
    lane_c(e, (Lane){lane.scale, 0});
  }
  write_text(e->w, "]");
}

static void f32_c(Emitter *e, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) >= 0x7f800000) {
    write_f(e->w, "%s%s(0x%08" PRIx32 ")", bits >> 31 ? "-" : "", c_helper(e, "bits_f32"),
            bits & 0x7fffffff);
    return;
  }
  char text[32];
  c_f32(text, value);
  write_text(e->w, text);
}

static void int_c(Emitter *e, Elem elem, int64_t value) {
  if (elem == ELEM_I64 && value == INT64_MIN)
    write_text(e->w, "INT64_MIN");
  else if (elem == ELEM_I64)
    write_f(e->w, "INT64_C(%" PRId64 ")", value);
  else if (value == INT32_MIN)
    write_text(e->w, "INT32_MIN");
  else
    write_f(e->w, "%" PRId64, value);
}

bool c_is_plain(Emitter *e, const Expr *expr) {
  if (c_map_get(&e->temps, expr) || expr->op == OP_VALUE || expr->op == OP_CONST)
    return true;
  return expr->op == OP_SPLAT && c_is_plain(e, expr->args[0]);
}

const Expr *c_below_splat(const Expr *expr) {
  while (expr->op == OP_SPLAT)
    expr = expr->args[0];
  return expr;
}

static bool at_type_end(const Expr *expr) {
  static const int64_t ends[][2] = {[ELEM_F32] = {0, 0},
                                    [ELEM_I8] = {INT8_MIN, INT8_MAX},
                                    [ELEM_U8] = {0, UINT8_MAX},
                                    [ELEM_I16] = {INT16_MIN, INT16_MAX},
                                    [ELEM_I32] = {INT32_MIN, INT32_MAX},
                                    [ELEM_I64] = {INT64_MIN, INT64_MAX},
                                    [ELEM_MASK] = {0, 1}};
  expr = c_below_splat(expr);
  Elem elem = expr->type.elem;
  return expr->op == OP_CONST && elem != ELEM_F32 &&
         (expr->ivalue == ends[elem][0] || expr->ivalue == ends[elem][1]);
}

/* Compilers warn of `a < a`, of a comparison that the type decides, of two constants compared. */
static bool comparison_warns(const Expr *expr) {
  const Expr *a = c_below_splat(expr->args[0]), *b = c_below_splat(expr->args[1]);
  return a == b || (a->op == OP_VALUE && b->op == OP_VALUE && a->value == b->value) ||
         (a->op == OP_CONST && b->op == OP_CONST) || at_type_end(a) || at_type_end(b);
}

static void call_c(Emitter *e, const char *name, const Expr *expr, Lane lane) {
  write_f(e->w, "%s(", name);
  for (int i = 0; i < loop_op_arity(expr->op); i++) {
    write_text(e->w, i ? ", " : "");
    c_expr(e, expr->args[i], lane, LOOSE);
  }
  write_text(e->w, ")");
}

static void infix_c(Emitter *e, const Expr *expr, const char *op, Lane lane, Tightness own,
                    Tightness left, Tightness right, Tightness wanted) {
  open_if(e, own, wanted);
  c_expr(e, expr->args[0], lane, left);
  write_f(e->w, " %s ", op);
  c_expr(e, expr->args[1], lane, right);
  close_if(e, own, wanted);
}

/* One that comes for several types: "max" and i8 are max_i32, since narrow types compute in int. */
static const char *helper_for(Emitter *e, const char *what, Elem elem) {
  const char *type = elem == ELEM_F32 ? "f32" : elem == ELEM_I64 ? "i64" : "i32";
  return c_helper(e, arena_printf(e->arena, "%s_%s", what, type));
}

/* min, max: an operand that is more than a name is evaluated once, by a helper. */
static void extremum_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  const char *name = expr->op == OP_MIN ? "min" : "max";
  if (!c_is_plain(e, expr->args[0]) || !c_is_plain(e, expr->args[1]) || comparison_warns(expr)) {
    call_c(e, helper_for(e, name, expr->type.elem), expr, lane);
    return;
  }
  open_if(e, LOOSE, wanted);
  c_expr(e, expr->args[0], lane, SUM);
  write_text(e->w, expr->op == OP_MIN ? " < " : " > ");
  c_expr(e, expr->args[1], lane, SUM);
  write_text(e->w, " ? ");
  c_expr(e, expr->args[0], lane, SUM);
  write_text(e->w, " : ");
  c_expr(e, expr->args[1], lane, SUM);
  close_if(e, LOOSE, wanted);
}

static void compare_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  bool eq = expr->op == OP_EQ, lt = expr->op == OP_LT;
  if (comparison_warns(expr))
    call_c(e, helper_for(e, eq ? "eq" : lt ? "lt" : "le", expr->args[0]->type.elem), expr, lane);
  else
    infix_c(e, expr, eq ? "==" : lt ? "<" : "<=", lane, LOOSE, SUM, SUM, wanted);
}

static void select_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  if (expr->type.elem == ELEM_MASK) { /* gcc warns of ?: with constants as a truth value */
    call_c(e, c_helper(e, "select_i32"), expr, lane);
    return;
  }
  open_if(e, LOOSE, wanted);
  c_expr(e, expr->args[0], lane, PRIMARY);
  write_text(e->w, " ? ");
  c_expr(e, expr->args[1], lane, SUM);
  write_text(e->w, " : ");
  c_expr(e, expr->args[2], lane, SUM);
  close_if(e, LOOSE, wanted);
}

static void cast_c(Emitter *e, const char *type, const Expr *operand, Lane lane, Tightness wanted) {
  open_if(e, UNARY, wanted);
  write_f(e->w, "(%s)", type);
  c_expr(e, operand, lane, UNARY);
  close_if(e, UNARY, wanted);
}

static const char *unsigned_type(Elem elem) {
  return elem == ELEM_I8 ? "uint8_t" : elem == ELEM_I16 ? "uint16_t" : "uint32_t";
}

/* Modulo 2^width: through the unsigned type, then back. */
static void wrap_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  Elem elem = expr->type.elem;
  if (elem == ELEM_U8) {
    cast_c(e, "uint8_t", expr->args[0], lane, wanted);
    return;
  }
  write_f(e->w, "%s((%s)", c_helper(e, arena_printf(e->arena, "to_%s", elem_name(elem))),
          unsigned_type(elem));
  c_expr(e, expr->args[0], lane, UNARY);
  write_text(e->w, ")");
}

/* The helpers take i32; an i64 is brought into that range first. */
static void saturate_c(Emitter *e, Elem to, const Expr *operand, Lane lane) {
  bool twice = operand->type.elem == ELEM_I64 && to != ELEM_I32;
  write_f(e->w, "%s(", c_helper(e, arena_printf(e->arena, "saturate_%s", elem_name(to))));
  if (twice)
    write_f(e->w, "%s(", c_helper(e, "saturate_i32"));
  c_expr(e, operand, lane, LOOSE);
  write_text(e->w, twice ? "))" : ")");
}

static void bitcast_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  Elem to = expr->type.elem, from = expr->args[0]->type.elem;
  if (to == from)
    c_expr(e, expr->args[0], lane, wanted);
  else if (to == ELEM_F32 || from == ELEM_F32)
    call_c(e, c_helper(e, to == ELEM_F32 ? "bits_f32" : "bits_i32"), expr, lane);
  else
    wrap_c(e, expr, lane, wanted);
}

static void convert_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  cast_c(e, c_type(expr->type.elem), expr->args[0], lane, wanted);
}

static void madd_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  open_if(e, SUM, wanted);
  write_text(e->w, "(int32_t)");
  c_expr(e, expr->args[0], lane, UNARY);
  write_text(e->w, " * ");
  c_expr(e, expr->args[1], lane, UNARY);
  write_text(e->w, " + ");
  c_expr(e, expr->args[2], lane, PRODUCT);
  close_if(e, SUM, wanted);
}

static void dot4_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  open_if(e, SUM, wanted);
  c_expr(e, expr->args[2], lane, SUM);
  for (int j = 0; j < 4; j++) {
    Lane part = {4 * lane.scale, 4 * lane.offset + j};
    write_text(e->w, " + (int32_t)");
    c_expr(e, expr->args[0], part, UNARY);
    write_text(e->w, " * ");
    c_expr(e, expr->args[1], part, UNARY);
  }
  close_if(e, SUM, wanted);
}

static void pack_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  int n = expr->args[0]->type.lanes;
  if (!lane.scale) {
    bool second = lane.offset >= n;
    saturate_c(e, expr->type.elem, expr->args[second], (Lane){0, lane.offset - (second ? n : 0)});
    return;
  }
  (void)wanted; /* a call */
  write_f(e->w, "%s(",
          c_helper(e, arena_printf(e->arena, "saturate_%s", elem_name(expr->type.elem))));
  lane_c(e, lane);
  write_f(e->w, " < %d ? ", n);
  c_expr(e, expr->args[0], lane, SUM);
  write_text(e->w, " : ");
  c_expr(e, expr->args[1], (Lane){lane.scale, lane.offset - n}, SUM);
  write_text(e->w, ")");
}

bool c_is_slice(const Expr *expr) {
  int n = expr->args[0]->type.lanes, first = expr->lanes[0];
  for (int i = 1; i < expr->type.lanes; i++)
    if (expr->lanes[i] != first + i)
      return false;
  return first % n + expr->type.lanes <= n;
}

static void shuffle_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  int n = expr->args[0]->type.lanes, from = expr->lanes[lane.scale ? 0 : lane.offset];
  if (lane.scale) {
    if (!c_is_slice(expr))
      BUG("a shuffle has no temporary");
    c_expr(e, expr->args[from >= n], (Lane){lane.scale, lane.offset + from % n}, wanted);
    return;
  }
  c_expr(e, expr->args[from >= n], (Lane){0, from % n}, wanted);
}

static void value_c(Emitter *e, const Value *value, Lane lane) {
  write_text(e->w, c_name_of(e, value));
  if (value->type.lanes > 1 && !c_map_get(&e->repeats, value)) {
    write_text(e->w, "[");
    lane_c(e, lane);
    write_text(e->w, "]");
  }
}

void c_expr(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  const char *temp = c_map_get(&e->temps, expr);
  if (temp) {
    write_text(e->w, temp);
    if (expr->type.lanes > 1) {
      write_text(e->w, "[");
      lane_c(e, lane);
      write_text(e->w, "]");
    }
    return;
  }
  Elem elem = expr->type.elem;
  switch (expr->op) {
  case OP_CONST: {
    bool negative = elem == ELEM_F32
                        ? expr->fvalue < 0 || (expr->fvalue == 0 && 1 / expr->fvalue < 0)
                        : expr->ivalue < 0 && elem != ELEM_I64;
    Tightness own = negative ? UNARY : PRIMARY;
    open_if(e, own, wanted);
    if (elem == ELEM_F32)
      f32_c(e, expr->fvalue);
    else
      int_c(e, elem, expr->ivalue);
    close_if(e, own, wanted);
    return;
  }
  case OP_VALUE:
    value_c(e, expr->value, lane);
    return;
  case OP_LOAD:
    c_element(e, expr->buffer, expr->index, expr->type.lanes > 1 ? lane : C_LANE_0);
    return;
  case OP_INDEX:
    if (strcmp(e->index_type, "int32_t") == 0) {
      c_affine(e, expr->index[0], wanted);
      return;
    }
    open_if(e, UNARY, wanted);
    write_text(e->w, "(int32_t)");
    c_affine(e, expr->index[0], PRIMARY);
    close_if(e, UNARY, wanted);
    return;
  case OP_SPLAT:
    c_expr(e, expr->args[0], C_LANE_0, wanted);
    return;
  case OP_LANE:
    c_expr(e, expr->args[0], (Lane){0, (int)expr->ivalue}, wanted);
    return;
  case OP_SHUFFLE:
    shuffle_c(e, expr, lane, wanted);
    return;
  case OP_ADD:
    infix_c(e, expr, "+", lane, SUM, SUM, PRODUCT, wanted);
    return;
  case OP_SUB:
    infix_c(e, expr, "-", lane, SUM, SUM, PRODUCT, wanted);
    return;
  case OP_MUL:
    infix_c(e, expr, "*", lane, PRODUCT, PRODUCT, UNARY, wanted);
    return;
  case OP_DIV:
    infix_c(e, expr, "/", lane, PRODUCT, PRODUCT, UNARY, wanted);
    return;
  case OP_MIN:
  case OP_MAX:
    extremum_c(e, expr, lane, wanted);
    return;
  case OP_FMA: /* a built-in function of compilers that have vector types */
    e->needs_math = e->needs_math || !e->target->vector_extensions;
    call_c(e, c_helper(e, "fma_f32"), expr, lane);
    return;
  case OP_NEG:
    open_if(e, UNARY, wanted);
    write_text(e->w, "-");
    c_expr(e, expr->args[0], lane, PRIMARY);
    close_if(e, UNARY, wanted);
    return;
  case OP_ABS:
    call_c(e, c_helper(e, "abs_f32"), expr, lane);
    return;
  case OP_SQRT:
    e->needs_math = true;
    call_c(e, "sqrtf", expr, lane);
    return;
  case OP_AND:
    infix_c(e, expr, "&", lane, LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_OR:
    infix_c(e, expr, "|", lane, LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_XOR:
    infix_c(e, expr, "^", lane, LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_NOT:
    open_if(e, LOOSE, wanted);
    write_text(e->w, elem == ELEM_MASK ? "!" : elem == ELEM_U8 ? "(uint8_t)~" : "~");
    c_expr(e, expr->args[0], lane, PRIMARY);
    close_if(e, LOOSE, wanted);
    return;
  case OP_SHL:
    call_c(e, helper_for(e, "shl", elem), expr, lane);
    return;
  case OP_SHR:
    if (elem == ELEM_U8)
      infix_c(e, expr, ">>", lane, LOOSE, UNARY, UNARY, wanted);
    else
      call_c(e, helper_for(e, "shr", elem), expr, lane);
    return;
  case OP_MULHI:
    write_f(e->w, "%s(", c_helper(e, elem == ELEM_I16 ? "mulhi_i16" : "mulhi_i32"));
    for (int i = 0; i < 2; i++) {
      write_text(e->w, i ? ", " : "");
      write_text(e->w, elem == ELEM_I16 ? "(int16_t)" : "");
      c_expr(e, expr->args[i], lane, elem == ELEM_I16 ? UNARY : LOOSE);
    }
    write_text(e->w, ")");
    return;
  case OP_MADD:
    madd_c(e, expr, lane, wanted);
    return;
  case OP_DOT4:
    dot4_c(e, expr, lane, wanted);
    return;
  case OP_EQ:
  case OP_LT:
  case OP_LE:
    compare_c(e, expr, lane, wanted);
    return;
  case OP_SELECT:
    select_c(e, expr, lane, wanted);
    return;
  case OP_CONVERT:
    convert_c(e, expr, lane, wanted);
    return;
  case OP_WRAP:
    wrap_c(e, expr, lane, wanted);
    return;
  case OP_SATURATE:
    saturate_c(e, elem, expr->args[0], lane);
    return;
  case OP_FLOOR:
    call_c(e, c_helper(e, "floor_f32"), expr, lane);
    return;
  case OP_NEAREST:
    call_c(e, c_helper(e, "nearest_f32"), expr, lane);
    return;
  case OP_BITCAST:
    bitcast_c(e, expr, lane, wanted);
    return;
  case OP_PACK:
    pack_c(e, expr, lane, wanted);
    return;
  case OP_TABLE:
    write_f(e->w, "%s[", c_name_of(e, expr->buffer));
    c_expr(e, expr->args[0], lane, LOOSE);
    write_text(e->w, "]");
    return;
  case OP_COUNT:
    break;
  }
  BUG("unknown operation %d in the loops", (int)expr->op);
}

/* Does the printed tree have the C type of its element, or int? */
static bool needs_conversion(Emitter *e, const Expr *expr) {
  if (!is_narrow(expr->type.elem) || c_map_get(&e->temps, expr))
    return false;
  switch (expr->op) {
  case OP_CONST:
  case OP_VALUE:
  case OP_LOAD:
  case OP_TABLE:
  case OP_CONVERT:
  case OP_WRAP:
  case OP_SATURATE:
  case OP_PACK:
  case OP_MULHI:
    return false;
  case OP_SPLAT:
  case OP_LANE:
    return needs_conversion(e, expr->args[0]);
  case OP_SHUFFLE:
    return needs_conversion(e, expr->args[0]) || needs_conversion(e, expr->args[1]);
  default:
    return true;
  }
}

void c_kept(Emitter *e, const Expr *expr, Lane lane) {
  if (needs_conversion(e, expr))
    cast_c(e, c_type(expr->type.elem), expr, lane, LOOSE);
  else
    c_expr(e, expr, lane, LOOSE);
}
