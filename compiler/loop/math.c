/* Transcendental functions as loop code, so that every back end and every
 * target computes the same bits.
 *
 * exp(x) = 2^n * exp(r), n = nearest(x / ln 2), r = x - n ln 2 in two parts so
 * that the product with n is exact (Cody and Waite 1980), exp(r) = 1 + r + r^2 P(r)
 * on |r| <= ln 2 / 2, P of degree 5 from test/tools/fit_exp.py. 2^n is applied in
 * two factors, so that results near the ends of the range, subnormal numbers
 * included, come out by ordinary rounding. The result is within one unit in the
 * last place (test/loop-run/exp.mn).
 *
 * sigmoid and tanh are built on it, by exp(-|x|) and exp(-2 |x|) - 1, so that small results keep
 * their digits: both are within 3 units in the last place (test/loop-run/sigmoid-tanh.mn). No fused
 * multiply-add is used: the bits are the same on targets with and without. */
#include "loop/lower.h"

static const Type F32 = {ELEM_F32, 1};
static const Type I32 = {ELEM_I32, 1};
static const Type MASK = {ELEM_MASK, 1};

static Expr *binary(Arena *arena, LoopOp op, Expr *a, Expr *b) {
  return expr_make(arena, op, a->type, a, b, NULL);
}

/* let NAME_counter = expr; the value as an expression. */
static Expr *let(Arena *arena, Block *block, const char *name, int *counter, Expr *expr) {
  Stmt *stmt = loop_stmt_new(arena, STMT_LET);
  stmt->value = ARENA_NEW(arena, Value);
  stmt->value->name = intern(arena, arena_printf(arena, "%s_%d", name, (*counter)++));
  stmt->value->type = expr->type;
  stmt->expr = expr;
  block_push(arena, block, stmt);
  return expr_value(arena, stmt->value);
}

/* 2^n as f32, |n| <= 126: the exponent field of a float. */
static Expr *power_of_two(Arena *arena, Expr *n) {
  Expr *biased = binary(arena, OP_ADD, n, expr_int(arena, I32, 127));
  return expr_make(arena, OP_BITCAST, F32, binary(arena, OP_SHL, biased, expr_int(arena, I32, 23)),
                   NULL, NULL);
}

/* n as a value, and p = exp(r) - 1 as an expression to be used once. */
typedef struct Parts {
  Expr *n, *p;
} Parts;

/* exp(t) = 2^n * (1 + p). */
static Parts exp_parts(Arena *arena, Block *block, Expr *t, int *counter) {
  Expr *scaled = binary(arena, OP_MUL, t, expr_f32(arena, 1.44269504088896341f));
  Expr *n = let(arena, block, "n", counter, expr_make(arena, OP_NEAREST, I32, scaled, NULL, NULL));
  Expr *nf = let(arena, block, "nf", counter, expr_make(arena, OP_CONVERT, F32, n, NULL, NULL));
  Expr *high = binary(arena, OP_SUB, t, binary(arena, OP_MUL, nf, expr_f32(arena, 0.693359375f)));
  Expr *r =
      let(arena, block, "r", counter,
          binary(arena, OP_SUB, high, binary(arena, OP_MUL, nf, expr_f32(arena, -2.12194440e-4f))));
  static const float coefficients[] = {0.00139446487f, 0.00833349675f, 0.0416662954f, 0.166666657f,
                                       0.5f};
  Expr *p = expr_f32(arena, 0.000197903515f);
  for (size_t i = 0; i < sizeof coefficients / sizeof *coefficients; i++)
    p = binary(arena, OP_ADD, binary(arena, OP_MUL, p, r), expr_f32(arena, coefficients[i]));
  Expr *square = binary(arena, OP_MUL, r, r);
  return (Parts){n, binary(arena, OP_ADD, binary(arena, OP_MUL, p, square), r)};
}

Expr *loop_exp(Arena *arena, Block *block, Expr *x, int *counter) {
  /* Clamped so that n is small; beyond, the result is 0 or infinity anyway. NaN passes (second
   * operands win). */
  Expr *below = binary(arena, OP_MIN, expr_f32(arena, 89.0f), x);
  Expr *t = let(arena, block, "t", counter, binary(arena, OP_MAX, expr_f32(arena, -104.0f), below));
  Parts parts = exp_parts(arena, block, t, counter);
  Expr *n = parts.n, *e = binary(arena, OP_ADD, parts.p, expr_f32(arena, 1.0f));
  Expr *half =
      let(arena, block, "half", counter, binary(arena, OP_SHR, n, expr_int(arena, I32, 1)));
  Expr *first = binary(arena, OP_MUL, e, power_of_two(arena, half));
  return let(arena, block, "e", counter,
             binary(arena, OP_MUL, first, power_of_two(arena, binary(arena, OP_SUB, n, half))));
}

Expr *loop_sigmoid(Arena *arena, Block *block, Expr *x, int *counter) {
  x = let(arena, block, "x", counter, x);
  Expr *size = expr_make(arena, OP_ABS, F32, x, NULL, NULL);
  Expr *e = loop_exp(arena, block, expr_make(arena, OP_NEG, F32, size, NULL, NULL), counter);
  /* exp(x) / (1 + exp(x)) or 1 / (1 + exp(-x)). */
  Expr *negative = expr_make(arena, OP_LT, MASK, x, expr_f32(arena, 0), NULL);
  Expr *above = expr_make(arena, OP_SELECT, F32, negative, e, expr_f32(arena, 1.0f));
  return let(arena, block, "s", counter,
             binary(arena, OP_DIV, above, binary(arena, OP_ADD, e, expr_f32(arena, 1.0f))));
}

Expr *loop_tanh(Arena *arena, Block *block, Expr *x, int *counter) {
  x = let(arena, block, "x", counter, x);
  Expr *size = expr_make(arena, OP_ABS, F32, x, NULL, NULL);
  /* Beyond 20 the result is 1. NaN passes. */
  Expr *twice = binary(arena, OP_MUL, size, expr_f32(arena, -2.0f));
  Expr *t = let(arena, block, "t", counter, binary(arena, OP_MAX, expr_f32(arena, -40.0f), twice));
  Parts parts = exp_parts(arena, block, t, counter);
  Expr *power = let(arena, block, "power", counter, power_of_two(arena, parts.n));
  /* m = exp(t) - 1 = 2^n p + (2^n - 1), whose second summand is exact or next to it. */
  Expr *less = binary(arena, OP_SUB, power, expr_f32(arena, 1.0f));
  Expr *m = let(arena, block, "m", counter,
                binary(arena, OP_ADD, binary(arena, OP_MUL, parts.p, power), less));
  Expr *below = binary(arena, OP_ADD, m, expr_f32(arena, 2.0f));
  Expr *result = binary(arena, OP_DIV, expr_make(arena, OP_ABS, F32, m, NULL, NULL), below);
  /* m is negative, or a zero of either sign; the result takes the sign of x. */
  Expr *sign = binary(arena, OP_AND, expr_make(arena, OP_BITCAST, I32, x, NULL, NULL),
                      expr_int(arena, I32, INT32_MIN));
  Expr *bits = binary(arena, OP_OR, expr_make(arena, OP_BITCAST, I32, result, NULL, NULL), sign);
  return let(arena, block, "s", counter, expr_make(arena, OP_BITCAST, F32, bits, NULL, NULL));
}
