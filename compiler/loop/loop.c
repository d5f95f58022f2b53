/* Types, quasi-affine arithmetic, the table of operations with its type rules,
 * and constructors.
 *
 * An Affine is kept canonical by construction: equal atoms are merged, zero
 * coefficients dropped, and / and mod folded where that needs no knowledge of
 * the loops around. Arithmetic on coefficients wraps rather than being
 * undefined; whoever reads foreign text keeps the numbers small. */
#include "loop/loop.h"

#include <string.h>

#include "loop/internal.h"

/* ---- types ---- */

const char *elem_name(Elem elem) {
  switch (elem) {
  case ELEM_F32:
    return "f32";
  case ELEM_I8:
    return "i8";
  case ELEM_U8:
    return "u8";
  case ELEM_I16:
    return "i16";
  case ELEM_I32:
    return "i32";
  case ELEM_I64:
    return "i64";
  case ELEM_MASK:
    return "mask";
  }
  return "?";
}

int elem_bytes(Elem elem) {
  switch (elem) {
  case ELEM_I8:
  case ELEM_U8:
    return 1;
  case ELEM_I16:
    return 2;
  case ELEM_F32:
  case ELEM_I32:
    return 4;
  case ELEM_I64:
    return 8;
  case ELEM_MASK:
    return 0;
  }
  return 0;
}

bool elem_is_int(Elem elem) { return elem != ELEM_F32 && elem != ELEM_MASK; }

void elem_limits(Elem elem, int64_t *min, int64_t *max) {
  *min = 0;
  *max = 1;
  switch (elem) {
  case ELEM_I8:
    *min = INT8_MIN, *max = INT8_MAX;
    break;
  case ELEM_U8:
    *max = UINT8_MAX;
    break;
  case ELEM_I16:
    *min = INT16_MIN, *max = INT16_MAX;
    break;
  case ELEM_I32:
    *min = INT32_MIN, *max = INT32_MAX;
    break;
  case ELEM_I64:
    *min = INT64_MIN, *max = INT64_MAX;
    break;
  case ELEM_F32:
  case ELEM_MASK:
    break;
  }
}

bool type_equal(Type a, Type b) { return a.elem == b.elem && a.lanes == b.lanes; }

int64_t buffer_elems(const Buffer *buffer) {
  int64_t n = 1;
  for (int i = 0; i < buffer->rank; i++)
    if (__builtin_mul_overflow(n, buffer->dims[i], &n))
      return INT64_MAX;
  return n;
}

int64_t buffer_bytes(const Buffer *buffer) {
  int64_t n = buffer_elems(buffer);
  return __builtin_mul_overflow(n, elem_bytes(buffer->elem), &n) ? INT64_MAX : n;
}

/* ---- quasi-affine arithmetic ---- */

static int64_t wrap_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

int64_t floor_mod(int64_t a, int64_t k) {
  int64_t r = a % k;
  return r < 0 ? r + k : r;
}

int64_t floor_div(int64_t a, int64_t k) { return a / k - (a % k < 0); }

static Affine *affine_new(Arena *arena, int64_t constant, int capacity) {
  Affine *a = ARENA_NEW(arena, Affine);
  a->constant = constant;
  if (capacity > 0)
    a->terms = ARENA_ARRAY(arena, Term, capacity);
  return a;
}

const Affine *affine_const(Arena *arena, int64_t value) { return affine_new(arena, value, 0); }

const Affine *affine_var(Arena *arena, Var *var) {
  Affine *a = affine_new(arena, 0, 1);
  a->terms[a->n++] = (Term){.coef = 1, .kind = ATOM_VAR, .var = var};
  return a;
}

static bool atom_equal(const Term *a, const Term *b) {
  if (a->kind != b->kind)
    return false;
  if (a->kind == ATOM_VAR)
    return a->var == b->var;
  return a->divisor == b->divisor && affine_equal(a->inside, b->inside);
}

/* a + factor * b */
static const Affine *add_scaled(Arena *arena, const Affine *a, const Affine *b, int64_t factor) {
  if (factor == 0 || (b->n == 0 && b->constant == 0))
    return a;
  Affine *sum =
      affine_new(arena, wrap_add(a->constant, wrap_mul(b->constant, factor)), a->n + b->n);
  if (a->n > 0)
    memcpy(sum->terms, a->terms, (size_t)a->n * sizeof(Term));
  sum->n = a->n;
  for (int i = 0; i < b->n; i++) {
    int64_t coef = wrap_mul(b->terms[i].coef, factor);
    int j = 0;
    while (j < sum->n && !atom_equal(&sum->terms[j], &b->terms[i]))
      j++;
    if (j == sum->n) {
      sum->terms[sum->n] = b->terms[i];
      sum->terms[sum->n++].coef = coef;
    } else {
      sum->terms[j].coef = wrap_add(sum->terms[j].coef, coef);
    }
  }
  int kept = 0;
  for (int i = 0; i < sum->n; i++)
    if (sum->terms[i].coef != 0)
      sum->terms[kept++] = sum->terms[i];
  sum->n = kept;
  return sum;
}

const Affine *affine_add(Arena *arena, const Affine *a, const Affine *b) {
  return add_scaled(arena, a, b, 1);
}

const Affine *affine_sub(Arena *arena, const Affine *a, const Affine *b) {
  return add_scaled(arena, a, b, -1);
}

const Affine *affine_scale(Arena *arena, const Affine *a, int64_t factor) {
  return factor == 1 ? a : add_scaled(arena, affine_const(arena, 0), a, factor);
}

const Affine *affine_add_const(Arena *arena, const Affine *a, int64_t value) {
  if (value == 0)
    return a;
  Affine *sum = affine_new(arena, wrap_add(a->constant, value), 0);
  sum->n = a->n;
  sum->terms = a->terms; /* immutable, so shared */
  return sum;
}

/* The range of a sum of parameters and remainders, which is known without the
 * loops around; false if it holds anything else or the numbers are huge. */
static bool obvious_range(const Affine *a, int64_t *min, int64_t *max) {
  *min = *max = a->constant;
  for (int i = 0; i < a->n; i++) {
    const Term *t = &a->terms[i];
    int64_t lo, hi, x, y;
    if (t->kind == ATOM_MOD) {
      lo = 0;
      hi = t->divisor - 1;
    } else if (t->kind == ATOM_VAR && t->var->is_param && t->var->lo < t->var->hi) {
      lo = t->var->lo;
      hi = t->var->hi - 1;
    } else {
      return false;
    }
    if (__builtin_mul_overflow(t->coef, lo, &x) || __builtin_mul_overflow(t->coef, hi, &y) ||
        __builtin_add_overflow(*min, t->coef > 0 ? x : y, min) ||
        __builtin_add_overflow(*max, t->coef > 0 ? y : x, max))
      return false;
  }
  return true;
}

static bool divides_all(const Affine *a, int64_t k) {
  for (int i = 0; i < a->n; i++)
    if (a->terms[i].coef % k != 0)
      return false;
  return true;
}

static const Affine *atom(Arena *arena, AtomKind kind, const Affine *inside, int64_t divisor) {
  Affine *a = affine_new(arena, 0, 1);
  a->terms[a->n++] = (Term){.coef = 1, .kind = kind, .inside = inside, .divisor = divisor};
  return a;
}

const Affine *affine_div(Arena *arena, const Affine *a, int64_t divisor) {
  if (divisor <= 0)
    BUG("division of an index by %lld", (long long)divisor);
  if (divisor == 1)
    return a;
  if (divides_all(a, divisor)) {
    Affine *q = affine_new(arena, floor_div(a->constant, divisor), a->n);
    for (int i = 0; i < a->n; i++) {
      q->terms[i] = a->terms[i];
      q->terms[i].coef /= divisor;
    }
    q->n = a->n;
    return q;
  }
  int64_t min, max;
  if (obvious_range(a, &min, &max) && floor_div(min, divisor) == floor_div(max, divisor))
    return affine_const(arena, floor_div(min, divisor));
  return atom(arena, ATOM_DIV, a, divisor);
}

const Affine *affine_mod(Arena *arena, const Affine *a, int64_t divisor) {
  if (divisor <= 0)
    BUG("remainder of an index by %lld", (long long)divisor);
  if (divides_all(a, divisor))
    return affine_const(arena, floor_mod(a->constant, divisor));
  int64_t min, max;
  if (obvious_range(a, &min, &max) && min >= 0 && max < divisor)
    return a;
  return atom(arena, ATOM_MOD, a, divisor);
}

bool affine_is_const(const Affine *a, int64_t *value) {
  if (a->n != 0)
    return false;
  if (value)
    *value = a->constant;
  return true;
}

bool affine_equal(const Affine *a, const Affine *b) {
  if (a == b)
    return true;
  if (a->constant != b->constant || a->n != b->n)
    return false;
  for (int i = 0; i < a->n; i++) {
    int j = 0;
    while (j < b->n && !atom_equal(&a->terms[i], &b->terms[j]))
      j++;
    if (j == b->n || a->terms[i].coef != b->terms[j].coef)
      return false;
  }
  return true;
}

bool affine_uses(const Affine *a, const Var *var) {
  for (int i = 0; i < a->n; i++)
    if (a->terms[i].kind == ATOM_VAR ? a->terms[i].var == var
                                     : affine_uses(a->terms[i].inside, var))
      return true;
  return false;
}

bool affine_coef(const Affine *a, const Var *var, int64_t *coef) {
  *coef = 0;
  for (int i = 0; i < a->n; i++) {
    if (a->terms[i].kind == ATOM_VAR) {
      if (a->terms[i].var == var)
        *coef = a->terms[i].coef;
    } else if (affine_uses(a->terms[i].inside, var)) {
      return false;
    }
  }
  return true;
}

const Affine *affine_subst(Arena *arena, const Affine *a, const Var *var, const Affine *with) {
  if (!affine_uses(a, var))
    return a;
  const Affine *sum = affine_const(arena, a->constant);
  for (int i = 0; i < a->n; i++) {
    Term *t = &a->terms[i];
    const Affine *part;
    if (t->kind == ATOM_VAR) {
      part = t->var == var ? with : affine_var(arena, t->var);
    } else {
      const Affine *inside = affine_subst(arena, t->inside, var, with);
      part = t->kind == ATOM_DIV ? affine_div(arena, inside, t->divisor)
                                 : affine_mod(arena, inside, t->divisor);
    }
    sum = add_scaled(arena, sum, part, t->coef);
  }
  return sum;
}

/* ---- operations ---- */

static const struct {
  const char *name;
  int arity;
} ops[OP_COUNT] = {
#define X(NAME, spelling, arity) [OP_##NAME] = {spelling, arity},
    LOOP_OPS(X)
#undef X
};

const char *loop_op_name(LoopOp op) { return ops[op].name; }
int loop_op_arity(LoopOp op) { return ops[op].arity; }

OperandAgreement loop_operand_agreement(LoopOp op) {
  switch (op) {
  case OP_CONST:
  case OP_VALUE:
  case OP_LOAD:
  case OP_INDEX:
  case OP_SPLAT:
  case OP_LANE:
  case OP_MADD:
  case OP_DOT4:
  case OP_CONVERT:
  case OP_WRAP:
  case OP_SATURATE:
  case OP_FLOOR:
  case OP_NEAREST:
  case OP_BITCAST:
  case OP_TABLE:
  case OP_COUNT:
    return (OperandAgreement){0, -1, false};
  case OP_SHUFFLE:
  case OP_PACK:
  case OP_EQ:
  case OP_LT:
  case OP_LE:
    return (OperandAgreement){0, 1, false};
  case OP_SELECT:
    return (OperandAgreement){1, 2, true};
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
  case OP_MULHI:
    return (OperandAgreement){0, loop_op_arity(op) - 1, true};
  }
  return (OperandAgreement){0, -1, false};
}

Expr *expr_f32(Arena *arena, float value) {
  Expr *e = ARENA_NEW(arena, Expr);
  e->op = OP_CONST;
  e->type = (Type){ELEM_F32, 1};
  e->fvalue = value;
  return e;
}

Expr *expr_int(Arena *arena, Type type, int64_t value) {
  Expr *e = ARENA_NEW(arena, Expr);
  e->op = OP_CONST;
  e->type = type;
  if (type.elem == ELEM_F32)
    e->fvalue = (float)value;
  else
    e->ivalue = value;
  return e;
}

Expr *expr_value(Arena *arena, Value *value) {
  Expr *e = ARENA_NEW(arena, Expr);
  e->op = OP_VALUE;
  e->type = value->type;
  e->value = value;
  return e;
}

Expr *expr_load(Arena *arena, Buffer *buffer, const Affine *const *index, int lanes) {
  Expr *e = ARENA_NEW(arena, Expr);
  e->op = OP_LOAD;
  e->type = (Type){buffer->elem, lanes};
  e->buffer = buffer;
  for (int i = 0; i < buffer->rank; i++)
    e->index[i] = index[i];
  return e;
}

Expr *expr_index(Arena *arena, const Affine *index) {
  Expr *e = ARENA_NEW(arena, Expr);
  e->op = OP_INDEX;
  e->type = (Type){ELEM_I32, 1};
  e->index[0] = index;
  return e;
}

Expr *expr_make(Arena *arena, LoopOp op, Type type, Expr *a, Expr *b, Expr *c) {
  Expr *e = ARENA_NEW(arena, Expr);
  e->op = op;
  e->type = type;
  e->args[0] = a;
  e->args[1] = b;
  e->args[2] = c;
  return e;
}

static bool is_narrow(Elem elem) { return elem == ELEM_I8 || elem == ELEM_U8 || elem == ELEM_I16; }

/* Every value of `from` is one of `to`, and `to` is wider. */
static bool widens(Elem from, Elem to) {
  return elem_is_int(from) && elem_is_int(to) && to != ELEM_U8 && elem_bytes(to) > elem_bytes(from);
}

static const char *same_types(const Expr *e) {
  for (int i = 0; i < loop_op_arity(e->op); i++)
    if (!type_equal(e->args[i]->type, e->type))
      return "the operands and the result need one type";
  return NULL;
}

const char *loop_expr_type_error(const Expr *e) {
  Type t = e->type;
  if (t.lanes < 1 || t.lanes > 64)
    return "a value has 1 to 64 lanes";
  Type a = {ELEM_F32, 1}, b = a, c = a;
  int arity = loop_op_arity(e->op);
  for (int i = 0; i < 3; i++)
    if ((e->args[i] != NULL) != (i < arity))
      return "the operation has the wrong number of operands";
  if (arity > 0)
    a = e->args[0]->type;
  if (arity > 1)
    b = e->args[1]->type;
  if (arity > 2)
    c = e->args[2]->type;
  bool lanes_agree = a.lanes == t.lanes;
  switch (e->op) {
  case OP_CONST: {
    if (t.elem == ELEM_F32)
      return e->fvalue != e->fvalue ? "a constant is never NaN" : NULL;
    int64_t min, max;
    elem_limits(t.elem, &min, &max);
    return e->ivalue < min || e->ivalue > max ? "the constant does not fit its type" : NULL;
  }
  case OP_VALUE:
    return type_equal(e->value->type, t) ? NULL
                                         : "a use of a value has another type than the value";
  case OP_LOAD:
    if (e->buffer->elem != t.elem)
      return "a load has another element type than its buffer";
    return t.lanes > 1 && e->buffer->rank == 0 ? "a buffer without dimensions has no vectors"
                                               : NULL;
  case OP_INDEX:
    return t.elem == ELEM_I32 && t.lanes == 1 ? NULL : "an index is an i32";
  case OP_SPLAT:
    return a.lanes == 1 && a.elem == t.elem && t.lanes > 1 ? NULL
                                                           : "splat makes a vector of a scalar";
  case OP_LANE:
    if (t.lanes != 1 || a.elem != t.elem || a.lanes < 2)
      return "lane makes a scalar of a vector";
    return e->ivalue < 0 || e->ivalue >= a.lanes ? "the lane does not exist" : NULL;
  case OP_SHUFFLE:
    if (!type_equal(a, b) || a.elem != t.elem)
      return "shuffle needs two operands of one type and keeps their element type";
    if (!e->lanes)
      return "shuffle needs a list of lanes";
    for (int i = 0; i < t.lanes; i++)
      if (e->lanes[i] >= 2 * a.lanes)
        return "shuffle picks a lane that does not exist";
    return NULL;
  case OP_ADD:
  case OP_SUB:
  case OP_MUL:
  case OP_MIN:
  case OP_MAX:
    return t.elem == ELEM_MASK ? "a mask has no arithmetic" : same_types(e);
  case OP_DIV:
  case OP_FMA:
  case OP_NEG:
  case OP_ABS:
  case OP_SQRT:
    return t.elem != ELEM_F32 ? "the operation is for f32 only" : same_types(e);
  case OP_AND:
  case OP_OR:
  case OP_XOR:
  case OP_NOT:
    return t.elem == ELEM_F32 ? "the operation is for integers and masks only" : same_types(e);
  case OP_SHL:
  case OP_SHR:
    if (!elem_is_int(t.elem))
      return "the operation is for integers only";
    if (e->args[1]->op == OP_CONST &&
        (e->args[1]->ivalue < 0 || e->args[1]->ivalue >= 8 * elem_bytes(t.elem)))
      return "the shift count is outside of the type's width";
    return same_types(e);
  case OP_MULHI:
    return t.elem != ELEM_I32 && t.elem != ELEM_I16 ? "mulhi is for i32 and i16 only"
                                                    : same_types(e);
  case OP_MADD:
    if (t.elem != ELEM_I32 || !type_equal(c, t))
      return "madd adds to an i32";
    return is_narrow(a.elem) && is_narrow(b.elem) && lanes_agree && b.lanes == t.lanes
               ? NULL
               : "madd multiplies i8, u8 or i16 with as many lanes as the sum";
  case OP_DOT4:
    if (t.elem != ELEM_I32 || !type_equal(c, t))
      return "dot4 adds to an i32";
    return (a.elem == ELEM_I8 || a.elem == ELEM_U8) && b.elem == ELEM_I8 &&
                   a.lanes == 4 * t.lanes && b.lanes == 4 * t.lanes
               ? NULL
               : "dot4 multiplies i8 or u8 by i8, four lanes for each of the sum";
  case OP_EQ:
  case OP_LT:
  case OP_LE:
    if (t.elem != ELEM_MASK || !lanes_agree)
      return "a comparison makes a mask with as many lanes as its operands";
    if (a.elem == ELEM_MASK)
      return "masks are not compared";
    return type_equal(a, b) ? NULL : "the two sides of a comparison need one type";
  case OP_SELECT:
    if (a.elem != ELEM_MASK || !lanes_agree)
      return "select needs a mask with as many lanes as its result";
    return type_equal(b, t) && type_equal(c, t) ? NULL
                                                : "both choices of select need the result's type";
  case OP_CONVERT:
    if (!lanes_agree)
      return "a conversion keeps the number of lanes";
    return widens(a.elem, t.elem) || (a.elem == ELEM_I32 && t.elem == ELEM_F32)
               ? NULL
               : "convert widens an integer, or makes f32 of i32";
  case OP_WRAP:
  case OP_SATURATE:
    if (!lanes_agree)
      return "a conversion keeps the number of lanes";
    return elem_is_int(a.elem) && elem_is_int(t.elem) && elem_bytes(a.elem) > elem_bytes(t.elem)
               ? NULL
               : "the conversion makes an integer narrower";
  case OP_FLOOR:
  case OP_NEAREST:
    return a.elem == ELEM_F32 && t.elem == ELEM_I32 && lanes_agree
               ? NULL
               : "the conversion makes i32 of f32";
  case OP_BITCAST:
    return lanes_agree && a.elem != t.elem && a.elem != ELEM_MASK && t.elem != ELEM_MASK &&
                   elem_bytes(a.elem) == elem_bytes(t.elem)
               ? NULL
               : "bitcast keeps width and lanes: f32 and i32, or i8 and u8";
  case OP_PACK:
    if (!type_equal(a, b) || t.lanes != 2 * a.lanes)
      return "pack joins two operands of one type";
    return (a.elem == ELEM_I32 && t.elem == ELEM_I16) ||
                   (a.elem == ELEM_I16 && (t.elem == ELEM_I8 || t.elem == ELEM_U8))
               ? NULL
               : "pack makes i16 of i32, or i8 or u8 of i16";
  case OP_TABLE:
    if (e->buffer->rank != 1 || e->buffer->dims[0] != 256)
      return "table looks up in a buffer of 256 elements";
    if (e->buffer->elem != t.elem)
      return "table makes the element type of its buffer";
    return a.elem == ELEM_U8 && lanes_agree ? NULL : "table is indexed by u8";
  case OP_COUNT:
    break;
  }
  return "no such operation";
}

const char *loop_expr_error(Arena *arena, const Expr *e) {
  const char *error = loop_expr_type_error(e);
  const char *name = loop_op_name(e->op);
  if (!error || e->op <= OP_INDEX || strncmp(error, name, strlen(name)) == 0)
    return error;
  return arena_printf(arena, "%s: %s", name, error);
}

/* ---- building ---- */

Program *loop_program_new(Arena *arena, const char *name) {
  Program *program = ARENA_NEW(arena, Program);
  program->arena = arena;
  program->name = name;
  program->arena_bytes = -1;
  program->arena_align = 1;
  program->threads = 1;
  return program;
}

Buffer *loop_buffer_new(Arena *arena, const char *name, BufferKind kind, Elem elem, int rank,
                        const int64_t *dims) {
  Buffer *buffer = ARENA_NEW(arena, Buffer);
  buffer->name = name;
  buffer->kind = kind;
  buffer->elem = elem;
  buffer->rank = rank;
  for (int i = 0; i < rank; i++)
    buffer->dims[i] = dims[i];
  buffer->align = elem_bytes(elem);
  buffer->access = ACCESS_IN;
  buffer->offset = -1;
  return buffer;
}

Var *loop_var_new(Arena *arena, const char *name) {
  Var *var = ARENA_NEW(arena, Var);
  var->name = name;
  return var;
}

Stmt *loop_stmt_new(Arena *arena, StmtKind kind) {
  Stmt *stmt = ARENA_NEW(arena, Stmt);
  stmt->kind = kind;
  stmt->step = 1;
  return stmt;
}

ProgramStage *loop_stage(Program *program, const char *path) {
  path = intern(program->arena, path);
  if (!program->stage_of_path) {
    program->stage_of_path = ARENA_NEW(program->arena, PtrMap);
    program->stage_of_path->arena = program->arena;
  }
  ProgramStage *stage = ptr_map_get(program->stage_of_path, path);
  if (stage)
    return stage;
  stage = ARENA_NEW(program->arena, ProgramStage);
  *stage = (ProgramStage){.path = path, .note = "", .index = (int)program->stages.len};
  ptr_map_put(program->stage_of_path, path, stage);
  VEC_PUSH(program->arena, program->stages, stage);
  return stage;
}

void loop_number_stages(Program *program, const Program *like) {
  size_t n = program->stages.len;
  ProgramStage **ordered = ARENA_ARRAY(program->arena, ProgramStage *, n);
  if (n != like->stages.len)
    BUG("program '%s' has %zu stages, and %zu elsewhere", program->name, n, like->stages.len);
  for (size_t i = 0; i < n; i++) {
    ordered[i] = loop_stage(program, like->stages.at[i]->path);
    ordered[i]->index = (int)i;
  }
  if (program->stages.len != n)
    BUG("the stages of program '%s' are others than elsewhere", program->name);
  for (size_t i = 0; i < n; i++)
    program->stages.at[i] = ordered[i];
}

Stmt *loop_for_new(Arena *arena, Var *var, int64_t lo, int64_t hi) {
  Stmt *stmt = loop_stmt_new(arena, STMT_FOR);
  stmt->var = var;
  stmt->label = var->name;
  stmt->n_lower = stmt->n_upper = 1;
  stmt->lower = ARENA_ARRAY(arena, const Affine *, 1);
  stmt->upper = ARENA_ARRAY(arena, const Affine *, 1);
  stmt->lower[0] = affine_const(arena, lo);
  stmt->upper[0] = affine_const(arena, hi);
  return stmt;
}

void block_push(Arena *arena, Block *block, Stmt *stmt) { VEC_PUSH(arena, block->stmts, stmt); }

const char *loop_default_label(Arena *arena, const char *name) {
  size_t len = strlen(name);
  for (;;) {
    size_t n = len;
    while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9')
      n--;
    if (n == len || n < 2 || name[n - 1] != '_')
      break;
    len = n - 1;
  }
  return arena_strndup(arena, name, len);
}

bool loop_trip_count(Arena *arena, const Stmt *loop, const Affine **start, int64_t *count) {
  if (loop->n_lower < 1 || loop->n_upper < 1 || loop->step < 1)
    return false;
  int64_t lower, upper, value;
  const Affine *first = loop->lower[0];
  int64_t distance;
  bool constant =
      affine_is_const(loop->lower[0], &lower) && affine_is_const(loop->upper[0], &upper);
  if (constant) {
    for (int i = 1; i < loop->n_lower; i++) {
      if (!affine_is_const(loop->lower[i], &value))
        return false;
      lower = value > lower ? value : lower;
    }
    for (int i = 1; i < loop->n_upper; i++) {
      if (!affine_is_const(loop->upper[i], &value))
        return false;
      upper = value < upper ? value : upper;
    }
    first = affine_const(arena, lower);
    if (__builtin_sub_overflow(upper, lower, &distance))
      return false;
  } else if (loop->n_lower > 1 || loop->n_upper > 1 ||
             !affine_is_const(affine_sub(arena, loop->upper[0], loop->lower[0]), &distance)) {
    return false;
  }
  *start = first;
  *count = distance <= 0 ? 0 : (distance - 1) / loop->step + 1;
  return true;
}

int stmt_rank(const Stmt *stmt) {
  return stmt->kind == STMT_STORE || stmt->kind == STMT_PREFETCH ? stmt->buffer->rank : 0;
}
