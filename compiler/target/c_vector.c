/* The dialect of gcc's and clang's vector extensions, for targets that say so.
 *
 * A vector of f32 or i32 that fills a register, or a half or quarter of one, is a value of a vector
 * type, and a tree over such values is printed whole. So is one of bytes that the target's dot product
 * can multiply; of operations on bytes only those are printed whole that give bytes from bytes of the
 * same lane, or repeat four neighbours. Everything else stays as in strict C99: an
 * array, or a lane at a time; a lane of a vector type is written as an element of an array is, so
 * the two mix. Masks of such trees (all ones where true) live inside them only: a mask that is kept
 * is an array of 0 and 1.
 *
 * What the extensions have no operator for, and intrinsics where compilers find no better code
 * themselves, stand in small functions at the head of the file. */
#include <string.h>

#include "target/c_emitter.h"

/* ---- types ---- */

static bool is_word(Type type) { return type.elem == ELEM_F32 || type.elem == ELEM_I32; }

static bool fills_register(const Emitter *e, Type type) {
  int bytes = elem_bytes(type.elem) * type.lanes;
  return e->target->vector_extensions && bytes >= 16 && bytes <= e->target->vector_bytes && (type.lanes & (type.lanes - 1)) == 0;
}

/* Of one instruction. */
static const DotForm *dot_form(const Emitter *e, Elem first, int lanes) {
  const DotForm *form = dot_product_form(e->target->dot_product, first, lanes);
  return form && form->lanes == lanes ? form : NULL;
}

static bool is_dot_operand(const Emitter *e, Type type) {
  const DotProduct *dot = e->target->dot_product;
  return dot && (type.elem == dot->first || type.elem == ELEM_I8) && type.lanes % 4 == 0 && dot_form(e, dot->first, type.lanes / 4);
}

bool c_is_vector(const Emitter *e, Type type) {
  return fills_register(e, type) && (is_word(type) || is_dot_operand(e, type));
}

/* The name of a type or function at the head of the file, which comes there by being asked for. */
static const char *prelude(Emitter *e, const char *what, Type type) {
  for (size_t i = 0; i < e->prelude.len; i++) {
    const Prelude *p = &e->prelude.at[i];
    if (strcmp(p->what, what) == 0 && type_equal(p->type, type))
      return p->name;
  }
  Prelude made = {what, type,
                  c_claim_global(e, arena_printf(e->arena, "%s%s%sx%d", what, what[0] ? "_" : "",
                                                 elem_name(type.elem), type.lanes))};
  VEC_PUSH(e->arena, e->prelude, made);
  return made.name;
}

const char *c_vector_type(Emitter *e, Type type) { return prelude(e, "", type); }

/* ---- which trees ---- */

/* A shuffle that repeats four neighbours of memory, as often as there are sums of a dot product. */
static bool repeats_four(const Emitter *e, const Expr *expr) {
  int n = expr->args[0]->type.lanes, first = expr->lanes[0];
  const Expr *from = expr->args[first >= n];
  bool in_memory = from->op == OP_LOAD || (from->op == OP_VALUE && !c_is_vector(e, from->type) && !c_map_get(&e->repeats, from->value));
  if (!in_memory || first % n + 4 > n)
    return false;
  for (int i = 0; i < expr->type.lanes; i++)
    if (expr->lanes[i] != first + i % 4)
      return false;
  return true;
}

static bool spells_bytes(const Emitter *e, const Expr *expr) {
  switch (expr->op) {
  case OP_CONST:
  case OP_VALUE:
  case OP_LOAD:
  case OP_SPLAT:
  case OP_ADD:
  case OP_SUB:
  case OP_AND:
  case OP_OR:
  case OP_XOR:
  case OP_NOT:
    return true;
  case OP_BITCAST:
    return c_is_vector(e, expr->args[0]->type);
  case OP_SHUFFLE:
    return repeats_four(e, expr);
  default:
    return false;
  }
}

static bool is_word_vector(const Emitter *e, Type type) { return is_word(type) && c_is_vector(e, type); }

bool c_spells(const Emitter *e, const Expr *expr) {
  if (expr->type.lanes == 1)
    return false;
  if (expr->type.elem == ELEM_MASK) {
    switch (expr->op) {
    case OP_EQ:
    case OP_LT:
    case OP_LE:
      return is_word_vector(e, expr->args[0]->type);
    case OP_AND:
    case OP_OR:
    case OP_XOR:
      return c_spells(e, expr->args[0]) && c_spells(e, expr->args[1]);
    case OP_NOT:
      return c_spells(e, expr->args[0]);
    default:
      return false;
    }
  }
  if (!c_is_vector(e, expr->type))
    return false;
  if (!is_word(expr->type))
    return spells_bytes(e, expr);
  switch (expr->op) {
  case OP_CONST:
  case OP_VALUE:
  case OP_LOAD:
  case OP_SPLAT:
  case OP_ADD:
  case OP_SUB:
  case OP_MUL:
  case OP_MIN:
  case OP_MAX:
  case OP_DIV:
  case OP_FMA:
  case OP_NEG:
  case OP_ABS:
  case OP_SQRT:
  case OP_AND:
  case OP_OR:
  case OP_XOR:
  case OP_NOT:
  case OP_SHL:
  case OP_SHR:
  case OP_FLOOR:
  case OP_NEAREST:
    return true;
  case OP_SELECT:
    return c_spells(e, expr->args[0]);
  case OP_CONVERT:
  case OP_BITCAST:
    return is_word_vector(e, expr->args[0]->type);
  case OP_DOT4:
    return dot_form(e, expr->args[0]->type.elem, expr->type.lanes);
  case OP_LANE:
  case OP_INDEX:
  case OP_SHUFFLE:
  case OP_MULHI:
  case OP_MADD:
  case OP_EQ:
  case OP_LT:
  case OP_LE:
  case OP_WRAP:
  case OP_SATURATE:
  case OP_PACK:
  case OP_TABLE:
  case OP_COUNT:
    return false;
  }
  BUG("unknown operation %d in the loops", (int)expr->op);
}

/* ---- expressions ---- */

static void vector_c(Emitter *e, const Expr *expr, Tightness wanted);

static void open_if(Emitter *e, Tightness own, Tightness wanted) {
  write_text(e->w, own < wanted ? "(" : "");
}

static void close_if(Emitter *e, Tightness own, Tightness wanted) {
  write_text(e->w, own < wanted ? ")" : "");
}

static void infix_c(Emitter *e, const Expr *expr, const char *op, Tightness own, Tightness left,
                    Tightness right, Tightness wanted) {
  open_if(e, own, wanted);
  vector_c(e, expr->args[0], left);
  write_f(e->w, " %s ", op);
  vector_c(e, expr->args[1], right);
  close_if(e, own, wanted);
}

static void prefix_c(Emitter *e, const Expr *expr, const char *op, Tightness wanted) {
  open_if(e, UNARY, wanted);
  write_text(e->w, op);
  vector_c(e, expr->args[0], PRIMARY);
  close_if(e, UNARY, wanted);
}

/* `type`: of what it is called for, which need not be the result's. */
static void call_c(Emitter *e, const char *what, Type type, const Expr *expr) {
  write_f(e->w, "%s(", prelude(e, what, type));
  for (int i = 0; i < loop_op_arity(expr->op); i++) {
    write_text(e->w, i ? ", " : "");
    vector_c(e, expr->args[i], LOOSE);
  }
  write_text(e->w, ")");
}

static void splat_c(Emitter *e, Type type, const Expr *scalar) {
  write_f(e->w, "%s(", prelude(e, "splat", type));
  c_expr(e, scalar, C_LANE_0, LOOSE);
  write_text(e->w, ")");
}

/* "P_repeat4_u8x32(&in0[x * 4])" */
static void repeat4_c(Emitter *e, const Expr *expr) {
  int n = expr->args[0]->type.lanes, first = expr->lanes[0];
  prelude(e, "splat", (Type){ELEM_I32, expr->type.lanes / 4}); /* which it calls */
  write_f(e->w, "%s(&", prelude(e, "repeat4", expr->type));
  c_expr(e, expr->args[first >= n], (Lane){0, first % n}, PRIMARY);
  write_text(e->w, ")");
}

/* "*(const P_mem_f32x16 *)&in0[y * 32]" */
static void memory_c(Emitter *e, Type type, const Buffer *buffer, const Affine *const *index,
                     const char *qualifier) {
  write_f(e->w, "*(%s%s *)&", qualifier, prelude(e, "mem", type));
  c_element(e, buffer, index, C_LANE_0);
}

static void vector_c(Emitter *e, const Expr *expr, Tightness wanted) {
  const char *temp = c_map_get(&e->temps, expr);
  if (temp) {
    write_text(e->w, temp);
    return;
  }
  Type type = expr->type;
  switch (expr->op) {
  case OP_CONST:
    splat_c(e, type, expr);
    return;
  case OP_VALUE:
    write_text(e->w, c_name_of(e, expr->value));
    return;
  case OP_LOAD:
    open_if(e, UNARY, wanted);
    memory_c(e, type, expr->buffer, expr->index, "const ");
    close_if(e, UNARY, wanted);
    return;
  case OP_SPLAT:
    splat_c(e, type, expr->args[0]);
    return;
  case OP_ADD:
    infix_c(e, expr, "+", SUM, SUM, PRODUCT, wanted);
    return;
  case OP_SUB:
    infix_c(e, expr, "-", SUM, SUM, PRODUCT, wanted);
    return;
  case OP_MUL:
    infix_c(e, expr, "*", PRODUCT, PRODUCT, UNARY, wanted);
    return;
  case OP_DIV:
    infix_c(e, expr, "/", PRODUCT, PRODUCT, UNARY, wanted);
    return;
  case OP_AND:
    infix_c(e, expr, "&", LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_OR:
    infix_c(e, expr, "|", LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_XOR:
    infix_c(e, expr, "^", LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_SHR:
    infix_c(e, expr, ">>", LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_NEG:
    prefix_c(e, expr, "-", wanted);
    return;
  case OP_NOT:
    prefix_c(e, expr, "~", wanted);
    return;
  case OP_SQRT:
  case OP_FMA:
  case OP_MIN:
  case OP_MAX:
  case OP_ABS:
  case OP_SHL:
  case OP_SELECT:
  case OP_DOT4:
    call_c(e, loop_op_name(expr->op), type, expr);
    return;
  case OP_SHUFFLE:
    repeat4_c(e, expr);
    return;
  case OP_EQ:
  case OP_LT:
  case OP_LE:
  case OP_FLOOR:
  case OP_NEAREST:
    call_c(e, loop_op_name(expr->op), expr->args[0]->type, expr);
    return;
  case OP_CONVERT:
    write_text(e->w, "__builtin_convertvector(");
    vector_c(e, expr->args[0], LOOSE);
    write_f(e->w, ", %s)", c_vector_type(e, type));
    return;
  case OP_BITCAST:
    prefix_c(e, expr, arena_printf(e->arena, "(%s)", c_vector_type(e, type)), wanted);
    return;
  case OP_LANE:
  case OP_INDEX:
  case OP_MULHI:
  case OP_MADD:
  case OP_WRAP:
  case OP_SATURATE:
  case OP_PACK:
  case OP_TABLE:
  case OP_COUNT:
    break;
  }
  BUG("operation '%s' has no spelling with vectors", loop_op_name(expr->op));
}

void c_vector(Emitter *e, const Expr *expr) { vector_c(e, expr, LOOSE); }

void c_vector_let(Emitter *e, const Expr *expr) {
  bool keep = expr->op == OP_LOAD && expr->type.elem == ELEM_F32 && e->target->memory_operands;
  if (keep)
    write_f(e->w, "%s(", prelude(e, "keep", expr->type));
  vector_c(e, expr, LOOSE);
  write_text(e->w, keep ? ")" : "");
}

void c_vector_store(Emitter *e, const Stmt *stmt) {
  memory_c(e, stmt->expr->type, stmt->buffer, stmt->index, "");
  write_text(e->w, " = ");
  vector_c(e, stmt->expr, LOOSE);
  write_text(e->w, ";\n");
}

/* ---- the head of the file ---- */

typedef struct PreludeText {
  const char *what;
  Elem elem;
  const char *head;    /* result, name and parameters */
  const char *x86;     /* the intrinsic without its _mm..._; or null */
  const char *avx512;  /* the same for 16 lanes */
  const char *x86_if;  /* what says that there is one of 4 and 8 lanes, if not SSE and AVX */
  const char *neon;    /* Arm's, NEON or Helium, of four lanes; or null */
  const char *neon_if; /* what says that there is one */
  const char *text;    /* the body where there is no intrinsic */
} PreludeText;

/* @ is the name, T the vector, I and U the vectors of i32 and u32 with as many lanes, N their
 * number, each where it stands alone. */
/* The plain forms of AVX-512's minimum and others make g++ 12 warn, within its own header, of a
 * value that is not initialised. */
static const PreludeText prelude_texts[] = {
    {"fma", ELEM_F32, "T @(T a, T b, T c)", "fmadd_ps(a, b, c)", "fmadd_ps(a, b, c)", "__FMA__",
     "vfmaq_f32(c, a, b)", "__ARM_FEATURE_FMA",
     "  T r = c;\n  for (int i = 0; i < N; ++i)\n    r[i] = __builtin_fmaf(a[i], b[i], c[i]);\n"
     "  return r;\n"},
    /* gcc 12 takes a value that it knows to lie in memory from there, each time, if an instruction can; of this one it
       knows nothing. */
    {"keep", ELEM_F32, "T @(T a)", NULL, NULL, NULL, NULL, NULL,
     "#if defined(__SSE2__) && !defined(__clang__)\n  __asm__(\"\" : \"+v\"(a));\n#endif\n  return a;\n"},
    {"sqrt", ELEM_F32, "T @(T a)", "sqrt_ps(a)", "maskz_sqrt_ps(0xffff, a)", NULL, "vsqrtq_f32(a)",
     "__aarch64__",
     "  T r = a;\n  for (int i = 0; i < N; ++i)\n    r[i] = __builtin_sqrtf(a[i]);\n  return r;\n"},
    /* minps and maxps answer with the second operand for a NaN and for equal zeros, as the loops'
       min and max do; NEON's namesakes do not. */
    {"min", ELEM_F32, "T @(T a, T b)", "min_ps(a, b)", "maskz_min_ps(0xffff, a, b)", NULL,
     "vpselq_f32(a, b, vcmpltq_f32(a, b))", "__ARM_FEATURE_MVE",
     "  const I m = a < b;\n  return (T)((m & (I)a) | (~m & (I)b));\n"},
    {"max", ELEM_F32, "T @(T a, T b)", "max_ps(a, b)", "maskz_max_ps(0xffff, a, b)", NULL,
     "vpselq_f32(a, b, vcmpgtq_f32(a, b))", "__ARM_FEATURE_MVE",
     "  const I m = a > b;\n  return (T)((m & (I)a) | (~m & (I)b));\n"},
    {"min", ELEM_I32, "T @(T a, T b)", NULL, NULL, NULL, NULL, NULL,
     "  const T m = a < b;\n  return (m & a) | (~m & b);\n"},
    {"max", ELEM_I32, "T @(T a, T b)", NULL, NULL, NULL, NULL, NULL,
     "  const T m = a > b;\n  return (m & a) | (~m & b);\n"},
    {"abs", ELEM_F32, "T @(T a)", NULL, NULL, NULL, NULL, NULL,
     "  return (T)((I)a & 0x7fffffff);\n"},
    {"eq", ELEM_F32, "I @(T a, T b)", NULL, NULL, NULL, NULL, NULL, "  return a == b;\n"},
    {"lt", ELEM_F32, "I @(T a, T b)", NULL, NULL, NULL, NULL, NULL, "  return a < b;\n"},
    {"le", ELEM_F32, "I @(T a, T b)", NULL, NULL, NULL, NULL, NULL, "  return a <= b;\n"},
    {"eq", ELEM_I32, "T @(T a, T b)", NULL, NULL, NULL, NULL, NULL, "  return a == b;\n"},
    {"lt", ELEM_I32, "T @(T a, T b)", NULL, NULL, NULL, NULL, NULL, "  return a < b;\n"},
    {"le", ELEM_I32, "T @(T a, T b)", NULL, NULL, NULL, NULL, NULL, "  return a <= b;\n"},
    {"select", ELEM_F32, "T @(I m, T a, T b)", NULL, NULL, NULL, NULL, NULL,
     "  return (T)((m & (I)a) | (~m & (I)b));\n"},
    {"select", ELEM_I32, "T @(T m, T a, T b)", NULL, NULL, NULL, NULL, NULL,
     "  return (m & a) | (~m & b);\n"},
    {"shl", ELEM_I32, "T @(T a, T n)", NULL, NULL, NULL, NULL, NULL,
     "  return (T)((U)a << (U)n);\n"},
    /* NaN to 0 and the rest into the range of i32 first: beyond it a conversion is undefined. */
    {"floor", ELEM_F32, "I @(T a)", NULL, NULL, NULL, NULL, NULL,
     "  const T zero = {0}, least = zero - 2147483648.0f, most = zero + 2147483520.0f;\n"
     "  const I low = a < least, high = a > most, within = (a >= least) & (a <= most);\n"
     "  const T c = (T)((low & (I)least) | (high & (I)most) | (within & (I)a));\n"
     "  const I i = __builtin_convertvector(c, I);\n"
     "  const I r = i + (__builtin_convertvector(i, T) > c);\n"
     "  return (high & 0x7fffffff) | (~high & r);\n"},
    /* Adding 2^23 to a magnitude below it leaves no place for a fraction. */
    {"nearest", ELEM_F32, "I @(T a)", NULL, NULL, NULL, NULL, NULL,
     "  const T zero = {0}, least = zero - 2147483648.0f, most = zero + 2147483520.0f;\n"
     "  const I low = a < least, high = a > most, within = (a >= least) & (a <= most);\n"
     "  const T c = (T)((low & (I)least) | (high & (I)most) | (within & (I)a));\n"
     "  const I negative = c < zero, small = (c > zero - 8388608.0f) & (c < zero + 8388608.0f);\n"
     "  const I up = (I)((c + 8388608.0f) - 8388608.0f), down = (I)((c - 8388608.0f) + "
     "8388608.0f);\n"
     "  const I r = (small & ((negative & down) | (~negative & up))) | (~small & (I)c);\n"
     "  return (high & 0x7fffffff) | (~high & __builtin_convertvector((T)r, I));\n"},
};

static bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void template_c(Emitter *e, Writer *w, const char *text, const Prelude *p) {
  Type i32 = {ELEM_I32, p->type.lanes};
  for (const char *c = text; *c; c++) {
    bool alone = (c == text || !in_word(c[-1])) && !in_word(c[1]);
    if (*c == '@')
      write_text(w, p->name);
    else if (alone && *c == 'T')
      write_text(w, c_vector_type(e, p->type));
    else if (alone && *c == 'I')
      write_text(w, c_vector_type(e, i32));
    else if (alone && *c == 'U')
      write_text(w, prelude(e, "unsigned", i32));
    else if (alone && *c == 'N')
      write_f(w, "%d", p->type.lanes);
    else
      write_bytes(w, c, 1);
  }
}

static const char *x86_macro(const PreludeText *text, int lanes) {
  if (lanes == 16)
    return "__AVX512F__";
  return text->x86_if ? text->x86_if : lanes == 8 ? "__AVX__" : "__SSE2__";
}

static void function_c(Emitter *e, Writer *w, const PreludeText *text, const Prelude *p) {
  int lanes = p->type.lanes;
  write_text(w, "\nstatic inline __attribute__((always_inline)) ");
  template_c(e, w, text->head, p);
  write_text(w, " {\n");
  const char *macro = x86_macro(text, lanes), *width = lanes == 16 ? "512" : lanes == 8 ? "256" : "";
  const char *intrinsic = lanes == 16 ? text->avx512 : text->x86;
  if (intrinsic && c_target_defines(e, macro)) {
    write_f(w, "  return _mm%s_%s;\n}\n", width, intrinsic);
    return;
  }
  if (intrinsic)
    write_f(w, "#if defined(%s)\n  return _mm%s_%s;\n", macro, width, intrinsic);
  if (text->neon && lanes == 4)
    write_f(w, "#elif defined(%s)\n  return %s;\n", text->neon_if, text->neon);
  write_text(w, text->x86 ? "#else\n" : "");
  template_c(e, w, text->text, p);
  write_text(w, text->x86 ? "#endif\n}\n" : "}\n");
}

/* A list of N equal lanes: the one form that gcc and clang, C and C++ all take. */
static void splat_function_c(Emitter *e, Writer *w, const Prelude *p) {
  const char *type = c_vector_type(e, p->type);
  write_f(w, "\nstatic inline __attribute__((always_inline)) %s %s(%s a) {\n  const %s r = {", type,
          p->name, c_type(p->type.elem), type);
  for (int i = 0; i < p->type.lanes; i++)
    write_text(w, i ? ", a" : "a");
  write_text(w, "};\n  return r;\n}\n");
}

static void repeat4_function_c(Emitter *e, Writer *w, const Prelude *p) {
  write_f(w,
          "\nstatic inline __attribute__((always_inline)) %s %s(const %s *a) {\n"
          "  int32_t four;\n  __builtin_memcpy(&four, a, 4);\n  return (%s)%s(four);\n}\n",
          c_vector_type(e, p->type), p->name, c_type(p->type.elem), c_vector_type(e, p->type),
          prelude(e, "splat", (Type){ELEM_I32, p->type.lanes / 4}));
}

/* The file is compiled for what has the instruction, or this part of it is. */
static void dot4_function_c(Emitter *e, Writer *w, const Prelude *p) {
  Elem first = e->target->dot_product->first;
  const DotForm *form = dot_form(e, first, p->type.lanes);
  write_text(w, "\nstatic inline __attribute__((always_inline)) ");
  template_c(e, w, "T @(", p);
  write_f(w, "%s a, ", c_vector_type(e, (Type){first, 4 * p->type.lanes}));
  write_f(w, "%s b, ", c_vector_type(e, (Type){ELEM_I8, 4 * p->type.lanes}));
  template_c(e, w, "T c) {\n  return ", p);
  template_c(e, w, form->c, p);
  write_text(w, ";\n}\n");
  e->needs_intrinsics = true;
}

static void typedef_c(Writer *w, const Prelude *p) {
  bool is_unsigned = strcmp(p->what, "unsigned") == 0, memory = strcmp(p->what, "mem") == 0;
  if (!is_unsigned && !memory && p->what[0])
    return;
  int bytes = elem_bytes(p->type.elem);
  write_f(w, "typedef %s %s __attribute__((vector_size(%d)", is_unsigned ? "uint32_t" : c_type(p->type.elem), p->name,
          bytes * p->type.lanes);
  if (memory) /* there a vector is aligned as its elements are, and is them */
    write_f(w, ", aligned(%d), may_alias", bytes);
  write_text(w, "));\n");
}

void c_write_prelude(Emitter *e, Writer *w) {
  Writer functions; /* first, since they ask for types */
  writer_init(&functions);
  size_t n = e->prelude.len;
  for (size_t i = 0; i < n; i++)
    if (strcmp(e->prelude.at[i].what, "splat") == 0)
      splat_function_c(e, &functions, &e->prelude.at[i]);
  for (size_t i = 0; i < n; i++) {
    const Prelude p = e->prelude.at[i]; /* the list may grow */
    if (strcmp(p.what, "repeat4") == 0)
      repeat4_function_c(e, &functions, &p);
    if (strcmp(p.what, "dot4") == 0)
      dot4_function_c(e, &functions, &p);
  }
  for (size_t k = 0; k < sizeof prelude_texts / sizeof *prelude_texts; k++)
    for (size_t i = 0; i < n; i++) {
      const PreludeText *text = &prelude_texts[k];
      const Prelude p = e->prelude.at[i];
      if (strcmp(p.what, text->what) != 0 || p.type.elem != text->elem)
        continue;
      function_c(e, &functions, text, &p);
      e->needs_intrinsics = e->needs_intrinsics || text->x86;
    }
  write_text(w, e->prelude.len ? "\n" : "");
  for (size_t i = 0; i < e->prelude.len; i++)
    typedef_c(w, &e->prelude.at[i]);
  write_bytes(w, functions.data, functions.len);
  writer_free(&functions);
}
