/* Reads the text form of the loops: the parser's tree (syntax.h) gets its names
 * resolved and its constants typed.
 *
 * Types flow down: a statement knows the type of its value and hands it to the
 * expression, an operation whose operands agree with its result hands it on.
 * Where nothing is known from above, the first operand that tells its own type
 * decides for the others; print.c writes constants bare in exactly those places.
 *
 * Coefficients and constants of indices are kept below 2^40, so that no
 * arithmetic on indices anywhere can overflow. What is well formed but breaks an
 * invariant is left to loop_verify. */
#include "loop/loop.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/loops.h"
#define YYSTYPE MNL_STYPE
#define YYLTYPE Loc
#include "grammar/loops_scan.h"
#include "loop/internal.h"
#include "loop/schedule.h"
#include "loop/syntax.h"
#include "weights/recipe.h"

#define INDEX_LIMIT ((int64_t)1 << 40)

/* ---- names ---- */

typedef enum NameKind { NAME_BUFFER, NAME_VAR, NAME_VALUE } NameKind;

typedef struct Name {
  const char *text;
  NameKind kind;
  void *what;
  Loc loc;
  bool visible; /* its block is still open */
} Name;

typedef struct Reader {
  Arena *arena;
  Diag *diag;
  Program *program;
  PtrMap kernels;
  PtrMap names; /* of the kernel being read, or of the entry */
  VEC(Name *) order;
} Reader;

static void begin_names(Reader *r) {
  r->names = (PtrMap){.arena = r->arena};
  r->order.len = 0;
}

static void define(Reader *r, Loc loc, const char *text, NameKind kind, void *what) {
  Name *old = ptr_map_get(&r->names, text);
  if (old) {
    diag_error(r->diag, loc, "'%s' is already defined", text);
    diag_note(r->diag, old->loc, "the first '%s' is here", text);
    return;
  }
  Name *name = ARENA_NEW(r->arena, Name);
  *name = (Name){.text = text, .kind = kind, .what = what, .loc = loc, .visible = true};
  ptr_map_put(&r->names, text, name);
  VEC_PUSH(r->arena, r->order, name);
}

/* Ends the scope of everything defined since `mark`. */
static void close_scope(Reader *r, size_t mark) {
  for (size_t i = mark; i < r->order.len; i++)
    r->order.at[i]->visible = false;
}

static const char *const kind_names[] = {"buffer", "index variable", "value"};

/* What the name stands for, which is to be of `kind`; null after an error. */
static void *find(Reader *r, Loc loc, const char *text, NameKind kind) {
  Name *name = ptr_map_get(&r->names, text);
  if (name && name->visible && name->kind == kind)
    return name->what;
  if (name && !name->visible) {
    diag_error(r->diag, loc, "'%s' is not visible here", text);
    diag_note(r->diag, name->loc, "it ends with the block in which it is defined");
    return NULL;
  }
  if (name) {
    diag_error(r->diag, loc, "'%s' is a%s %s; this place needs a%s %s", text,
               name->kind == NAME_VAR ? "n" : "", kind_names[name->kind],
               kind == NAME_VAR ? "n" : "", kind_names[kind]);
    return NULL;
  }
  const char **words = ARENA_ARRAY(r->arena, const char *, r->order.len + 1);
  size_t n = 0;
  for (size_t i = 0; i < r->order.len; i++)
    if (r->order.at[i]->visible && r->order.at[i]->kind == kind)
      words[n++] = r->order.at[i]->text;
  const char *near = nearest_word(text, words, n);
  diag_error(r->diag, loc, "unknown %s '%s'%s%s%s", kind_names[kind], text,
             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  return NULL;
}

/* ---- numbers and types ---- */

static bool is_whole(const char *text) {
  for (; *text; text++)
    if (!isdigit((unsigned char)*text))
      return false;
  return true;
}

/* The integer with its sign; false after an error. */
static bool read_int(Reader *r, const MnlExpr *e, bool negative, int64_t *value) {
  if (!is_whole(e->text)) {
    diag_error(r->diag, e->loc, "'%s' is not an integer", e->text);
    return false;
  }
  errno = 0;
  unsigned long long size = strtoull(e->text, NULL, 10);
  if (errno != 0 || size > (unsigned long long)INT64_MAX + negative) {
    diag_error(r->diag, e->loc, "number too large");
    return false;
  }
  *value = (int64_t)(negative ? 0 - size : size);
  return true;
}

static bool read_f32(Reader *r, const MnlExpr *e, bool negative, float *value) {
  if (strcmp(e->text, "true") == 0 || strcmp(e->text, "false") == 0) {
    diag_error(r->diag, e->loc, "'%s' is not an f32", e->text);
    return false;
  }
  *value = strtof(e->text, NULL); /* reads inf too */
  if (*value > 3.4e38f && isdigit((unsigned char)e->text[0]) && *value - *value != 0) {
    diag_error(r->diag, e->loc, "number too large for f32");
    return false;
  }
  if (negative)
    *value = -*value;
  return true;
}

static bool read_lanes(Reader *r, Loc loc, const char *text, int *lanes) {
  long n = strlen(text) <= 3 && is_whole(text) ? strtol(text, NULL, 10) : 0;
  if (n < 2 || n > 64) {
    diag_error(r->diag, loc, "a vector has 2 to 64 lanes");
    return false;
  }
  *lanes = (int)n;
  return true;
}

/* "f32", "i8x16". */
static bool read_type(Reader *r, Loc loc, const char *text, Type *type) {
  size_t len = strcspn(text, "x");
  type->lanes = 1;
  if (!elem_find(text, len, &type->elem) || (text[len] == 'x' && !is_whole(text + len + 1))) {
    diag_error(r->diag, loc, "unknown type '%s'", text);
    return false;
  }
  return text[len] == '\0' || read_lanes(r, loc, text + len + 1, &type->lanes);
}

static const char *type_text(Arena *arena, Type t) {
  return t.lanes == 1 ? elem_name(t.elem)
                      : arena_printf(arena, "%sx%d", elem_name(t.elem), t.lanes);
}

/* ---- indices ---- */

static bool within_limit(int64_t value) { return value >= -INDEX_LIMIT && value <= INDEX_LIMIT; }

static bool small_affine(const Affine *a) {
  bool ok = within_limit(a->constant);
  for (int i = 0; i < a->n; i++)
    ok = ok && within_limit(a->terms[i].coef);
  return ok;
}

static const Affine *too_large(Reader *r, Loc loc) {
  diag_error(r->diag, loc, "number too large for an index");
  return NULL;
}

/* Coefficients of a and the factor are below 2^40 each; their products may not be. */
static const Affine *scale(Reader *r, Loc loc, const Affine *a, int64_t factor) {
  int64_t product;
  bool ok = !__builtin_mul_overflow(a->constant, factor, &product) && within_limit(product);
  for (int i = 0; i < a->n; i++)
    ok = ok && !__builtin_mul_overflow(a->terms[i].coef, factor, &product) && within_limit(product);
  return ok ? affine_scale(r->arena, a, factor) : too_large(r, loc);
}

static const Affine *read_index_or_null(Reader *r, const MnlExpr *e);

static const Affine *read_index_binary(Reader *r, const MnlExpr *e) {
  const Affine *a = read_index_or_null(r, e->args.items.at[0]);
  const Affine *b = read_index_or_null(r, e->args.items.at[1]);
  if (!a || !b)
    return NULL;
  int64_t k;
  if (e->op == '+' || e->op == '-') {
    const Affine *sum = e->op == '+' ? affine_add(r->arena, a, b) : affine_sub(r->arena, a, b);
    return small_affine(sum) ? sum : too_large(r, e->loc);
  }
  if (e->op == '*') {
    if (affine_is_const(b, &k))
      return scale(r, e->loc, a, k);
    if (affine_is_const(a, &k))
      return scale(r, e->loc, b, k);
    diag_error(r->diag, e->loc, "an index multiplies by constants only");
    return NULL;
  }
  if (!affine_is_const(b, &k) || k <= 0) {
    diag_error(r->diag, e->args.items.at[1]->loc, "an index is divided by positive constants only");
    return NULL;
  }
  return e->op == '/' ? affine_div(r->arena, a, k) : affine_mod(r->arena, a, k);
}

static const Affine *read_index_or_null(Reader *r, const MnlExpr *e) {
  int64_t value;
  if (e->suffix) {
    diag_error(r->diag, e->suffix_loc, "an index has no type");
    return NULL;
  }
  switch (e->kind) {
  case MNL_NUMBER:
    if (!read_int(r, e, false, &value))
      return NULL;
    return within_limit(value) ? affine_const(r->arena, value) : too_large(r, e->loc);
  case MNL_NAME: {
    Var *var = find(r, e->loc, e->text, NAME_VAR);
    return var ? affine_var(r->arena, var) : NULL;
  }
  case MNL_NEG: {
    const Affine *a = read_index_or_null(r, e->args.items.at[0]);
    return a ? affine_scale(r->arena, a, -1) : NULL;
  }
  case MNL_BINARY:
    return read_index_binary(r, e);
  case MNL_CALL:
  case MNL_ACCESS:
  case MNL_LIST:
    break;
  }
  diag_error(r->diag, e->loc, "an index is made of variables, constants, + - * / and %%");
  return NULL;
}

/* After an error, 0. */
static const Affine *read_index(Reader *r, const MnlExpr *e) {
  const Affine *a = read_index_or_null(r, e);
  return a ? a : affine_const(r->arena, 0);
}

static int64_t read_constant(Reader *r, const MnlExpr *e) {
  int64_t value = 0;
  if (!affine_is_const(read_index(r, e), &value))
    diag_error(r->diag, e->loc, "a constant is needed here");
  return value;
}

static int read_small(Reader *r, const MnlExpr *e) {
  int64_t value = read_constant(r, e);
  if (value < 0 || value > INT32_MAX) {
    diag_error(r->diag, e->loc, "the number is to be 0 to %d", INT32_MAX);
    return 0;
  }
  return (int)value;
}

/* The buffer of an access and its indices; null after an error. */
static Buffer *read_access(Reader *r, const MnlExpr *e, const Affine **index) {
  Buffer *buffer = find(r, e->loc, e->text, NAME_BUFFER);
  if (!buffer)
    return NULL;
  if ((size_t)buffer->rank != e->args.items.len) {
    diag_error(r->diag, e->loc, "'%s' has %d dimensions, not %zu", e->text, buffer->rank,
               e->args.items.len);
    return NULL;
  }
  for (int i = 0; i < buffer->rank; i++)
    index[i] = read_index(r, e->args.items.at[i]);
  return buffer;
}

static bool access_lanes(Reader *r, const MnlExpr *e, int *lanes) {
  *lanes = 1;
  return !e->suffix || read_lanes(r, e->suffix_loc, e->suffix, lanes);
}

/* ---- values ---- */

static bool find_op(const char *text, LoopOp *op) {
  for (int i = OP_INDEX; i < OP_COUNT; i++)
    if (strcmp(loop_op_name((LoopOp)i), text) == 0) {
      *op = (LoopOp)i;
      return true;
    }
  return false;
}

static bool infix_op(char sign, LoopOp *op) {
  *op = sign == '+' ? OP_ADD : sign == '-' ? OP_SUB : sign == '*' ? OP_MUL : OP_DIV;
  return sign != '%';
}

static bool quiet_type(const char *text, Type *type) {
  size_t len = strcspn(text, "x");
  type->lanes = text[len] == 'x' ? (int)strtol(text + len + 1, NULL, 10) : 1;
  return elem_find(text, len, &type->elem);
}

/* The type that an expression has whatever stands around it, without reporting
 * anything: what is wrong in it comes up when it is read. */
static bool own_type(const Reader *r, const MnlExpr *e, Type *type) {
  const Name *name;
  LoopOp op = OP_COUNT;
  switch (e->kind) {
  case MNL_NUMBER:
    return e->suffix && quiet_type(e->suffix, type);
  case MNL_NAME:
    name = ptr_map_get(&r->names, e->text);
    if (!name || name->kind != NAME_VALUE)
      return false;
    *type = ((const Value *)name->what)->type;
    return true;
  case MNL_ACCESS:
    name = ptr_map_get(&r->names, e->text);
    if (!name || name->kind != NAME_BUFFER)
      return false;
    type->elem = ((const Buffer *)name->what)->elem;
    type->lanes = e->suffix ? (int)strtol(e->suffix, NULL, 10) : 1;
    return true;
  case MNL_LIST:
    return false;
  case MNL_NEG:
    return own_type(r, e->args.items.at[0], type);
  case MNL_BINARY:
    infix_op(e->op, &op);
    break;
  case MNL_CALL:
    if (!find_op(e->text, &op))
      return false;
    break;
  }
  size_t n = e->args.items.len;
  OperandAgreement agree = loop_operand_agreement(op);
  if (agree.with_result) {
    for (int i = agree.first; i <= agree.last && (size_t)i < n; i++)
      if (own_type(r, e->args.items.at[i], type))
        return true;
    return false;
  }
  if (op == OP_INDEX) {
    *type = (Type){ELEM_I32, 1};
    return true;
  }
  if (e->suffix && op != OP_SPLAT)
    return quiet_type(e->suffix, type);
  if (op == OP_TABLE) {
    if (n != 2 || e->args.items.at[0]->kind != MNL_NAME)
      return false;
    name = ptr_map_get(&r->names, e->args.items.at[0]->text);
    if (!name || name->kind != NAME_BUFFER || !own_type(r, e->args.items.at[1], type))
      return false;
    type->elem = ((const Buffer *)name->what)->elem;
    return true;
  }
  bool found = false;
  for (int i = 0; !found && (size_t)i < n && i <= (agree.last > 0 ? 1 : 0); i++)
    found = own_type(r, e->args.items.at[i], type);
  if (!found && op == OP_MADD && n == 3)
    found = own_type(r, e->args.items.at[1], type);
  if (!found)
    return false;
  if (op == OP_SPLAT) {
    type->lanes = e->suffix ? (int)strtol(e->suffix, NULL, 10) : 1;
    return e->suffix != NULL;
  }
  if (op == OP_LANE) {
    type->lanes = 1;
  } else if (op == OP_SHUFFLE) {
    if (n != 3 || e->args.items.at[2]->kind != MNL_LIST)
      return false;
    type->lanes = (int)e->args.items.at[2]->args.items.len;
  } else if (op == OP_EQ || op == OP_LT || op == OP_LE) {
    type->elem = ELEM_MASK;
  } else if (op == OP_DOT4) {
    *type = (Type){ELEM_I32, type->lanes / 4};
  } else if (op == OP_MADD || op == OP_FLOOR || op == OP_NEAREST) {
    type->elem = ELEM_I32;
  } else {
    return false; /* a conversion without its type */
  }
  return true;
}

static Expr *read_value(Reader *r, const MnlExpr *e, const Type *want);

static Expr *read_number(Reader *r, const MnlExpr *e, bool negative, const Type *want) {
  Type type;
  if (e->suffix) {
    if (!read_type(r, e->suffix_loc, e->suffix, &type))
      return NULL;
  } else if (want) {
    type = *want;
  } else {
    diag_error(r->diag, e->loc, "the type of this constant is not clear; write it as in %s:i32",
               e->text);
    return NULL;
  }
  Expr *c = expr_int(r->arena, type, 0);
  if (type.elem == ELEM_F32)
    return read_f32(r, e, negative, &c->fvalue) ? c : NULL;
  if (type.elem == ELEM_MASK) {
    c->ivalue = strcmp(e->text, "true") == 0;
    if (!negative && (c->ivalue || strcmp(e->text, "false") == 0))
      return c;
    diag_error(r->diag, e->loc, "a mask is true or false");
    return NULL;
  }
  return read_int(r, e, negative, &c->ivalue) ? c : NULL;
}

/* The node with its operands, if its types are right. */
static Expr *checked(Reader *r, Loc loc, Expr *e) {
  const char *error = loop_expr_error(r->arena, e);
  if (!error)
    return e;
  diag_error(r->diag, loc, "%s", error);
  return NULL;
}

/* Operands first..last of one type into `args`. */
static bool read_agreeing(Reader *r, const MnlExpr *e, OperandAgreement agree, const Type *want,
                          Expr **args) {
  Type type;
  for (int i = agree.first; !want && i <= agree.last; i++)
    if (own_type(r, e->args.items.at[i], &type))
      want = &type;
  bool ok = true;
  for (int i = agree.first; i <= agree.last; i++) {
    args[i] = read_value(r, e->args.items.at[i], want);
    ok = ok && args[i];
  }
  return ok;
}

static bool suffix_type(Reader *r, const MnlExpr *e, const Type *want, Type *type) {
  if (e->suffix)
    return read_type(r, e->suffix_loc, e->suffix, type);
  if (want) {
    *type = *want;
    return true;
  }
  diag_error(r->diag, e->loc, "say the type that the conversion makes, as in %s(...):i32", e->text);
  return false;
}

static Expr *read_shuffle(Reader *r, const MnlExpr *e, Expr **args) {
  const MnlExpr *list = e->args.items.at[2];
  size_t n = list->args.items.len;
  if (list->kind != MNL_LIST || n > 64) {
    diag_error(r->diag, list->loc, "shuffle needs a list of lanes, [0, 1, ...], at most 64");
    return NULL;
  }
  uint8_t *lanes = ARENA_ARRAY(r->arena, uint8_t, n);
  for (size_t i = 0; i < n; i++) {
    int lane = read_small(r, list->args.items.at[i]);
    lanes[i] = (uint8_t)(lane > 255 ? 255 : lane);
  }
  Expr *x =
      expr_make(r->arena, OP_SHUFFLE, (Type){args[0]->type.elem, (int)n}, args[0], args[1], NULL);
  x->lanes = lanes;
  return checked(r, e->loc, x);
}

static Expr *read_splat(Reader *r, const MnlExpr *e, const Type *want) {
  Type type = want ? *want : (Type){ELEM_F32, 1};
  if (e->suffix && !read_lanes(r, e->suffix_loc, e->suffix, &type.lanes))
    return NULL;
  if (!e->suffix && !want) {
    diag_error(r->diag, e->loc, "say how many lanes, as in splat(x):8");
    return NULL;
  }
  Type scalar = {type.elem, 1};
  Expr *a = read_value(r, e->args.items.at[0], want ? &scalar : NULL);
  if (!a)
    return NULL;
  if (!want)
    type.elem = a->type.elem;
  return checked(r, e->loc, expr_make(r->arena, OP_SPLAT, type, a, NULL, NULL));
}

static Expr *read_table(Reader *r, const MnlExpr *e) {
  const MnlExpr *name = e->args.items.at[0];
  Buffer *buffer = NULL;
  if (name->kind == MNL_NAME)
    buffer = find(r, name->loc, name->text, NAME_BUFFER);
  else
    diag_error(r->diag, name->loc, "table needs a buffer's name first");
  Expr *a = read_value(r, e->args.items.at[1], NULL);
  if (!buffer || !a)
    return NULL;
  Expr *x = expr_make(r->arena, OP_TABLE, (Type){buffer->elem, a->type.lanes}, a, NULL, NULL);
  x->buffer = buffer;
  return checked(r, e->loc, x);
}

static Expr *read_call(Reader *r, const MnlExpr *e, const Type *want) {
  LoopOp op;
  if (!find_op(e->text, &op)) {
    const char *words[OP_COUNT];
    size_t n = 0;
    for (int i = OP_INDEX; i < OP_COUNT; i++)
      words[n++] = loop_op_name((LoopOp)i);
    const char *near = nearest_word(e->text, words, n);
    diag_error(r->diag, e->loc, "unknown operation '%s'%s%s%s", e->text,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
  }
  bool is_conversion =
      op == OP_CONVERT || op == OP_WRAP || op == OP_SATURATE || op == OP_BITCAST || op == OP_PACK;
  if (e->suffix && !is_conversion && op != OP_SPLAT) {
    diag_error(r->diag, e->suffix_loc, "%s takes no type", e->text);
    return NULL;
  }
  bool extra = op == OP_LANE || op == OP_SHUFFLE || op == OP_TABLE || op == OP_INDEX;
  size_t arity = (size_t)loop_op_arity(op) + extra;
  if (e->args.items.len != arity) {
    diag_error(r->diag, e->loc, "%s has %zu operand%s, not %zu", e->text, arity,
               arity == 1 ? "" : "s", e->args.items.len);
    return NULL;
  }
  if (op == OP_INDEX)
    return expr_index(r->arena, read_index(r, e->args.items.at[0]));
  if (op == OP_SPLAT)
    return read_splat(r, e, want);
  if (op == OP_TABLE)
    return read_table(r, e);

  Expr *args[3] = {NULL, NULL, NULL};
  OperandAgreement agree = loop_operand_agreement(op);
  if (!read_agreeing(r, e, agree, agree.with_result ? want : NULL, args))
    return NULL;
  if (op == OP_SHUFFLE)
    return read_shuffle(r, e, args);
  bool ok = true;
  for (int i = 0; i < loop_op_arity(op); i++) {
    if (args[i])
      continue;
    Type sum = {ELEM_I32, 1};
    bool is_sum = (op == OP_MADD || op == OP_DOT4) && i == 2;
    if (is_sum && args[0])
      sum.lanes = op == OP_MADD ? args[0]->type.lanes : args[0]->type.lanes / 4;
    args[i] = read_value(r, e->args.items.at[i], is_sum && args[0] ? &sum : NULL);
    ok = ok && args[i];
  }
  if (!ok)
    return NULL;

  Type type = args[0]->type;
  if (agree.with_result)
    type = args[agree.first]->type;
  else if (is_conversion && !suffix_type(r, e, want, &type))
    return NULL;
  if (op == OP_EQ || op == OP_LT || op == OP_LE)
    type.elem = ELEM_MASK;
  else if (op == OP_MADD || op == OP_FLOOR || op == OP_NEAREST)
    type.elem = ELEM_I32;
  else if (op == OP_DOT4)
    type = (Type){ELEM_I32, type.lanes / 4};
  else if (op == OP_LANE)
    type.lanes = 1;
  Expr *x = expr_make(r->arena, op, type, args[0], args[1], args[2]);
  if (op == OP_LANE)
    x->ivalue = read_constant(r, e->args.items.at[1]);
  return checked(r, e->loc, x);
}

static Expr *read_value(Reader *r, const MnlExpr *e, const Type *want) {
  LoopOp op;
  Expr *args[3] = {NULL, NULL, NULL};
  if (e->suffix && e->kind != MNL_NUMBER && e->kind != MNL_CALL && e->kind != MNL_ACCESS) {
    diag_error(r->diag, e->suffix_loc, "only constants, loads and conversions take a type");
    return NULL;
  }
  switch (e->kind) {
  case MNL_NUMBER: {
    Expr *c = read_number(r, e, false, want);
    return c ? checked(r, e->loc, c) : NULL;
  }
  case MNL_NEG: {
    const MnlExpr *number = e->args.items.at[0];
    if (number->kind == MNL_NUMBER) {
      Expr *c = read_number(r, number, true, want);
      return c ? checked(r, e->loc, c) : NULL;
    }
    diag_error(r->diag, e->loc, "write neg(x) for an f32 and 0 - x for an integer");
    return NULL;
  }
  case MNL_NAME: {
    Value *value = find(r, e->loc, e->text, NAME_VALUE);
    return value ? expr_value(r->arena, value) : NULL;
  }
  case MNL_ACCESS: {
    const Affine *index[LOOP_MAX_RANK];
    int lanes;
    Buffer *buffer = read_access(r, e, index);
    if (!buffer || !access_lanes(r, e, &lanes))
      return NULL;
    return checked(r, e->loc, expr_load(r->arena, buffer, index, lanes));
  }
  case MNL_CALL:
    return read_call(r, e, want);
  case MNL_BINARY:
    if (!infix_op(e->op, &op)) {
      diag_error(r->diag, e->loc, "values have no remainder");
      return NULL;
    }
    if (!read_agreeing(r, e, loop_operand_agreement(op), want, args))
      return NULL;
    return checked(r, e->loc, expr_make(r->arena, op, args[0]->type, args[0], args[1], NULL));
  case MNL_LIST:
    break;
  }
  diag_error(r->diag, e->loc, "a list is no value");
  return NULL;
}

/* The value of a statement, of exactly this type; after an error, a constant of it. */
static Expr *read_typed(Reader *r, const MnlExpr *e, Type type) {
  Expr *x = read_value(r, e, &type);
  if (x && type_equal(x->type, type))
    return x;
  if (x)
    diag_error(r->diag, e->loc, "this is %s; %s is needed here", type_text(r->arena, x->type),
               type_text(r->arena, type));
  return expr_int(r->arena, type, 0);
}

/* ---- statements ---- */

static void read_block(Reader *r, const MnlBlock *block, Block *out);

static const Affine **read_bound(Reader *r, const MnlExpr *e, const char *which, int *n) {
  bool is_list = e->kind == MNL_CALL && strcmp(e->text, which) == 0 && e->args.items.len > 0;
  size_t count = is_list ? e->args.items.len : 1;
  const Affine **list = ARENA_ARRAY(r->arena, const Affine *, count);
  for (size_t i = 0; i < count; i++)
    list[i] = read_index(r, is_list ? e->args.items.at[i] : e);
  *n = (int)count;
  return list;
}

static Stmt *read_for(Reader *r, const MnlStmt *s) {
  Stmt *loop = loop_stmt_new(r->arena, STMT_FOR);
  loop->lower = read_bound(r, s->lower, "max", &loop->n_lower);
  loop->upper = read_bound(r, s->upper, "min", &loop->n_upper);
  loop->step = s->step ? read_constant(r, s->step) : 1;
  loop->mode = (LoopMode)s->mode;
  loop->label = s->label ? s->label : loop_default_label(r->arena, s->name);
  loop->var = loop_var_new(r->arena, s->name);
  size_t mark = r->order.len;
  define(r, s->name_loc, s->name, NAME_VAR, loop->var);
  read_block(r, s->body, &loop->body);
  close_scope(r, mark);
  return loop;
}

static Stmt *read_if(Reader *r, const MnlStmt *s) {
  Stmt *branch = loop_stmt_new(r->arena, STMT_IF);
  size_t n = s->conditions->items.len;
  branch->conditions = ARENA_ARRAY(r->arena, const Affine *, n);
  for (size_t i = 0; i < n; i++) {
    const MnlCondition *c = &s->conditions->items.at[i];
    if (!c->right) {
      if (c->left->kind != MNL_NUMBER || strcmp(c->left->text, "true") != 0)
        diag_error(r->diag, c->left->loc, "a condition compares indices, as in y - 1 >= 0");
      continue;
    }
    bool swap = c->compare == MNL_LE || c->compare == MNL_LT;
    bool strict = c->compare == MNL_GT || c->compare == MNL_LT;
    const Affine *a = read_index(r, c->left), *b = read_index(r, c->right);
    const Affine *difference = swap ? affine_sub(r->arena, b, a) : affine_sub(r->arena, a, b);
    branch->conditions[branch->n_conditions++] =
        affine_add_const(r->arena, difference, strict ? -1 : 0);
  }
  read_block(r, s->body, &branch->body);
  if (s->otherwise)
    read_block(r, s->otherwise, &branch->otherwise);
  return branch;
}

static Stmt *read_call_kernel(Reader *r, const MnlStmt *s) {
  Kernel *callee = ptr_map_get(&r->kernels, s->name);
  if (!callee) {
    diag_error(r->diag, s->name_loc, "unknown kernel '%s'", s->name);
    return NULL;
  }
  size_t n = s->args ? s->args->items.len : 0, n_buffers = callee->buffers.len;
  if (n != n_buffers + callee->ints.len) {
    diag_error(r->diag, s->loc, "'%s' has %zu parameters, not %zu", s->name,
               n_buffers + callee->ints.len, n);
    return NULL;
  }
  Stmt *call = loop_stmt_new(r->arena, STMT_CALL);
  call->callee = callee;
  call->stage = s->label ? loop_stage(r->program, s->label) : NULL;
  call->buffers = ARENA_ARRAY(r->arena, Buffer *, n_buffers);
  call->ints = ARENA_ARRAY(r->arena, const Affine *, callee->ints.len);
  bool ok = true;
  for (size_t i = 0; i < n; i++) {
    const MnlExpr *arg = s->args->items.at[i];
    if (i >= n_buffers) {
      call->ints[i - n_buffers] = read_index(r, arg);
    } else if (arg->kind != MNL_NAME || arg->suffix) {
      diag_error(r->diag, arg->loc, "a buffer's name is needed here");
      ok = false;
    } else {
      call->buffers[i] = find(r, arg->loc, arg->text, NAME_BUFFER);
      ok = ok && call->buffers[i];
    }
  }
  return ok ? call : NULL;
}

static Stmt *read_definition(Reader *r, const MnlStmt *s) {
  Stmt *stmt = loop_stmt_new(r->arena, s->kind == MNL_LET ? STMT_LET : STMT_VAR);
  Value *value = ARENA_NEW(r->arena, Value);
  value->name = s->name;
  value->is_mutable = s->kind == MNL_VAR;
  value->type = (Type){ELEM_F32, 1};
  if (read_type(r, s->type_loc, s->type, &value->type))
    stmt->expr = read_typed(r, s->expr, value->type);
  stmt->value = value;
  define(r, s->name_loc, s->name, NAME_VALUE, value);
  return stmt;
}

/* Null after an error that leaves nothing to go on with. */
static Stmt *read_stmt(Reader *r, const MnlStmt *s) {
  Stmt *stmt;
  int lanes;
  switch (s->kind) {
  case MNL_FOR:
    return read_for(r, s);
  case MNL_IF:
    return read_if(r, s);
  case MNL_LET:
  case MNL_VAR:
    return read_definition(r, s);
  case MNL_SET:
    stmt = loop_stmt_new(r->arena, STMT_SET);
    stmt->value = find(r, s->name_loc, s->name, NAME_VALUE);
    if (!stmt->value)
      return NULL;
    stmt->expr = read_typed(r, s->expr, stmt->value->type);
    return stmt;
  case MNL_STORE:
    stmt = loop_stmt_new(r->arena, STMT_STORE);
    stmt->buffer = read_access(r, s->target, stmt->index);
    if (!stmt->buffer || !access_lanes(r, s->target, &lanes))
      return NULL;
    stmt->expr = read_typed(r, s->expr, (Type){stmt->buffer->elem, lanes});
    return stmt;
  case MNL_CALL_KERNEL:
    return read_call_kernel(r, s);
  case MNL_PREFETCH:
    stmt = loop_stmt_new(r->arena, STMT_PREFETCH);
    stmt->buffer = read_access(r, s->target, stmt->index);
    return stmt->buffer ? stmt : NULL;
  case MNL_PARALLEL:
  case MNL_BRANCH:
    stmt = loop_stmt_new(r->arena, s->kind == MNL_PARALLEL ? STMT_PARALLEL : STMT_BRANCH);
    read_block(r, s->body, &stmt->body);
    return stmt;
  }
  return NULL;
}

static void read_block(Reader *r, const MnlBlock *block, Block *out) {
  size_t mark = r->order.len;
  for (size_t i = 0; i < block->items.len; i++) {
    Stmt *stmt = read_stmt(r, block->items.at[i]);
    if (!stmt)
      continue;
    stmt->loc = block->items.at[i]->loc;
    block_push(r->arena, out, stmt);
  }
  close_scope(r, mark);
}

/* ---- buffers, kernels, the program ---- */

static void read_values(Reader *r, const MnlBuffer *b, Buffer *buffer) {
  size_t n = b->values->items.len;
  if (buffer_elems(buffer) != (int64_t)n) {
    diag_error(r->diag, b->contents_loc, "'%s' has %lld elements, not %zu", b->name,
               (long long)buffer_elems(buffer), n);
    return;
  }
  double *values = ARENA_ARRAY(r->arena, double, n);
  Type type = {buffer->elem, 1};
  for (size_t i = 0; i < n; i++) {
    const MnlExpr *e = b->values->items.at[i];
    if (e->suffix) {
      diag_error(r->diag, e->suffix_loc, "the buffer gives the type");
      continue;
    }
    Expr *c = read_value(r, e, &type);
    if (c && c->op != OP_CONST)
      diag_error(r->diag, e->loc, "a constant is needed here");
    else if (c)
      values[i] = buffer->elem == ELEM_F32 ? (double)c->fvalue : (double)c->ivalue;
  }
  buffer->values = values;
}

static void read_buffer_attr(Reader *r, const MnlAttr *attr, Buffer *buffer) {
  switch (attr->kind) {
  case MNL_ATTR_ALIGN:
    buffer->align = read_small(r, attr->a);
    return;
  case MNL_ATTR_NOTE:
    buffer->note = attr->text;
    return;
  case MNL_ATTR_NOALIAS:
    if (buffer->kind != BUFFER_PARAM)
      break;
    buffer->noalias = true;
    return;
  case MNL_ATTR_OFFSET:
    if (buffer->kind != BUFFER_ARENA)
      break;
    buffer->offset = read_constant(r, attr->a);
    return;
  case MNL_ATTR_LIVE:
    if (buffer->kind != BUFFER_ARENA)
      break;
    buffer->live_begin = read_small(r, attr->a);
    buffer->live_end = read_small(r, attr->b);
    return;
  case MNL_ATTR_MACS:
  case MNL_ATTR_STAGE:
  case MNL_ATTR_LAYERS:
  case MNL_ATTR_ARENA:
  case MNL_ATTR_THREADS:
    break;
  }
  diag_error(r->diag, attr->loc, "this attribute does not belong here");
}

static Buffer *read_buffer(Reader *r, const MnlBuffer *b) {
  static const BufferKind kinds[] = {BUFFER_INPUT, BUFFER_OUTPUT, BUFFER_WEIGHT, BUFFER_ARENA};
  int64_t dims[LOOP_MAX_RANK];
  Elem elem = ELEM_F32;
  if (!elem_find(b->elem, strlen(b->elem), &elem))
    diag_error(r->diag, b->elem_loc, "unknown element type '%s'", b->elem);
  size_t rank = b->dims ? b->dims->items.len : 0;
  if (rank > LOOP_MAX_RANK) {
    diag_error(r->diag, b->name_loc, "a buffer has at most %d dimensions", LOOP_MAX_RANK);
    rank = LOOP_MAX_RANK;
  }
  for (size_t i = 0; i < rank; i++)
    dims[i] = read_constant(r, b->dims->items.at[i]);
  Buffer *buffer = loop_buffer_new(r->arena, b->name, b->access ? BUFFER_PARAM : kinds[b->kind],
                                   elem, (int)rank, dims);
  buffer->loc = b->name_loc;
  if (b->access)
    buffer->access = (Access)b->access;
  for (size_t i = 0; b->attrs && i < b->attrs->items.len; i++)
    read_buffer_attr(r, b->attrs->items.at[i], buffer);
  if ((b->recipe || b->values) && buffer->kind != BUFFER_WEIGHT)
    diag_error(r->diag, b->contents_loc, "only a weight has contents");
  if (b->recipe) {
    const char *error = NULL;
    buffer->recipe = recipe_parse(r->arena, b->recipe, &error);
    if (!buffer->recipe)
      diag_error(r->diag, b->contents_loc, "%s", error);
  }
  if (b->values)
    read_values(r, b, buffer);
  define(r, b->name_loc, b->name, NAME_BUFFER, buffer);
  return buffer;
}

static void read_kernel(Reader *r, const MnlKernel *k) {
  Kernel *kernel = ARENA_NEW(r->arena, Kernel);
  kernel->name = k->name;
  kernel->note = k->note;
  kernel->loc = k->loc;
  kernel->schedule = k->schedule;
  const char *problem = k->schedule ? schedule_check(r->arena, k->schedule) : NULL;
  if (problem)
    diag_error(r->diag, k->schedule_loc, "%s", problem);
  begin_names(r);
  for (size_t i = 0; i < k->params->items.len; i++) {
    const MnlBuffer *param = k->params->items.at[i];
    if (!param->lo) {
      if (kernel->ints.len > 0)
        diag_error(r->diag, param->loc, "buffers come before the integer parameters");
      VEC_PUSH(r->arena, kernel->buffers, read_buffer(r, param));
      continue;
    }
    Var *var = loop_var_new(r->arena, param->name);
    var->is_param = true;
    var->lo = read_constant(r, param->lo);
    var->hi = read_constant(r, param->hi);
    define(r, param->name_loc, param->name, NAME_VAR, var);
    VEC_PUSH(r->arena, kernel->ints, var);
  }
  read_block(r, k->body, &kernel->body);
  if (ptr_map_get(&r->kernels, k->name))
    diag_error(r->diag, k->name_loc, "kernel '%s' is already defined", k->name);
  ptr_map_put(&r->kernels, k->name, kernel);
  VEC_PUSH(r->arena, r->program->kernels, kernel);
}

/* May exceed what an index holds. */
static int64_t read_macs(Reader *r, const MnlExpr *e) {
  int64_t macs = 0;
  if (e->kind != MNL_NUMBER)
    return read_constant(r, e);
  read_int(r, e, false, &macs);
  return macs;
}

static void read_program_attr(Reader *r, const MnlAttr *attr) {
  Program *program = r->program;
  switch (attr->kind) {
  case MNL_ATTR_MACS:
    program->macs = read_macs(r, attr->a);
    return;
  case MNL_ATTR_STAGE:
    loop_stage(program, attr->text)->note = attr->b->text;
    loop_stage(program, attr->text)->macs = read_macs(r, attr->a);
    return;
  case MNL_ATTR_LAYERS:
    program->layers = attr->text;
    return;
  case MNL_ATTR_ARENA:
    program->arena_bytes = read_constant(r, attr->a);
    return;
  case MNL_ATTR_ALIGN:
    program->arena_align = read_small(r, attr->a);
    return;
  case MNL_ATTR_THREADS:
    program->threads = read_small(r, attr->a);
    return;
  case MNL_ATTR_OFFSET:
  case MNL_ATTR_LIVE:
  case MNL_ATTR_NOALIAS:
  case MNL_ATTR_NOTE:
    return; /* the grammar has them for buffers only */
  }
}

static void read_program(Reader *r, const MnlProgram *p) {
  Program *program = r->program;
  for (size_t i = 0; p->attrs && i < p->attrs->items.len; i++)
    read_program_attr(r, p->attrs->items.at[i]);
  for (size_t i = 0; i < p->kernels.len; i++)
    read_kernel(r, p->kernels.at[i]);
  begin_names(r);
  int positions[BUFFER_PARAM + 1] = {0};
  for (size_t i = 0; i < p->buffers.items.len; i++) {
    Buffer *buffer = read_buffer(r, p->buffers.items.at[i]);
    if (buffer->kind == BUFFER_INPUT || buffer->kind == BUFFER_OUTPUT)
      buffer->position = positions[buffer->kind]++;
    VEC_PUSH(r->arena, program->buffers, buffer);
  }
  read_block(r, p->entry, &program->entry);
}

Program *loop_read(Arena *arena, Diag *diag, const Source *source) {
  MnlProgram tree = {0};
  MnlParser parser = {.arena = arena, .diag = diag, .source = source, .program = &tree};
  yyscan_t scanner;
  if (mnl_lex_init_extra(&parser, &scanner) != 0)
    BUG("no memory for the scanner");
  int errors = diag->errors;
  mnl__scan_bytes(source->text, (int)source->len, scanner);
  int status = mnl_parse(scanner, &parser);
  mnl_lex_destroy(scanner);
  if (status != 0 && !parser.failed)
    diag_error(diag, (Loc){source, 0, 0}, "syntax error");
  if (status != 0 || parser.failed)
    return NULL;

  Reader reader = {.arena = arena, .diag = diag, .kernels = {.arena = arena}};
  reader.program = loop_program_new(arena, tree.name);
  read_program(&reader, &tree);
  return diag->errors == errors ? reader.program : NULL;
}
