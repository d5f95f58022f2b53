/* Indices and values of loop text: names resolved, constants typed.
 *
 * Types flow down: a statement knows the type of its value and hands it to the
 * expression, an operation whose operands agree with its result hands it on.
 * Where nothing is known from above, the first operand that tells its own type
 * decides for the others; print.c writes constants bare in exactly those places.
 *
 * Coefficients and constants of indices are kept below 2^40, so that no
 * arithmetic on indices anywhere can overflow. */
#include "loop/reader.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_LIMIT ((int64_t)1 << 40)

/* ---- numbers and types ---- */

static bool is_whole(const char *text) {
  for (; *text; text++)
    if (!isdigit((unsigned char)*text))
      return false;
  return true;
}

bool read_int(Reader *r, const MnlExpr *e, bool negative, int64_t *value) {
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

bool read_type(Reader *r, Loc loc, const char *text, Type *type) {
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
    Var *var = reader_find(r, e->loc, e->text, NAME_VAR);
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

const Affine *read_index(Reader *r, const MnlExpr *e) {
  const Affine *a = read_index_or_null(r, e);
  return a ? a : affine_const(r->arena, 0);
}

int64_t read_constant(Reader *r, const MnlExpr *e) {
  int64_t value = 0;
  if (!affine_is_const(read_index(r, e), &value))
    diag_error(r->diag, e->loc, "a constant is needed here");
  return value;
}

int read_small(Reader *r, const MnlExpr *e) {
  int64_t value = read_constant(r, e);
  if (value < 0 || value > INT32_MAX) {
    diag_error(r->diag, e->loc, "the number is to be 0 to %d", INT32_MAX);
    return 0;
  }
  return (int)value;
}

Buffer *read_access(Reader *r, const MnlExpr *e, const Affine **index) {
  Buffer *buffer = reader_find(r, e->loc, e->text, NAME_BUFFER);
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

bool read_access_lanes(Reader *r, const MnlExpr *e, int *lanes) {
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
    buffer = reader_find(r, name->loc, name->text, NAME_BUFFER);
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

Expr *read_value(Reader *r, const MnlExpr *e, const Type *want) {
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
    Value *value = reader_find(r, e->loc, e->text, NAME_VALUE);
    return value ? expr_value(r->arena, value) : NULL;
  }
  case MNL_ACCESS: {
    const Affine *index[LOOP_MAX_RANK];
    int lanes;
    Buffer *buffer = read_access(r, e, index);
    if (!buffer || !read_access_lanes(r, e, &lanes))
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

Expr *read_typed(Reader *r, const MnlExpr *e, Type type) {
  Expr *x = read_value(r, e, &type);
  if (x && type_equal(x->type, type))
    return x;
  if (x)
    diag_error(r->diag, e->loc, "this is %s; %s is needed here", type_text(r->arena, x->type),
               type_text(r->arena, type));
  return expr_int(r->arena, type, 0);
}
