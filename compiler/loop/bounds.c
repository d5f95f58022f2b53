/* The range of an index within the loops and conditions around it.
 *
 * To find a least value, variables are replaced by their bounds, innermost
 * first: a variable with a positive coefficient by each of its lower bounds, with
 * a negative one by each upper bound less one, and by what the conditions in
 * force say of it. What remains refers to variables further out only, so that
 * y + ky - 1 under ky in max(0, 1 - y)..3 becomes y + (1 - y) - 1 = 0. Each choice
 * gives a sound bound; the best of them is taken. A greatest value is a least
 * value negated.
 *
 * A quotient or remainder is replaced by the range that its operand has, or,
 * if the operand stays within one period, a remainder by the operand itself.
 *
 * Work is counted; what would take too long is answered with "not known". */
#include "loop/loop.h"

#include <string.h>

#include "loop/internal.h"

enum { WORK_LIMIT = 20000 };

/* A condition in force: affine >= 0. */
typedef struct Fact {
  const Affine *affine;
  int innermost; /* the position of its innermost variable */
} Fact;

typedef struct Ranger {
  Arena *arena;
  int work;
  /* Parameters first, then the variables of the loops, outermost first. */
  Var **vars;
  const Stmt **loops; /* null for a parameter */
  int n_vars;
  Fact *facts;
  int n_facts;
} Ranger;

static int position_of(const Ranger *r, const Var *var) {
  for (int i = r->n_vars - 1; i >= 0; i--)
    if (r->vars[i] == var)
      return i;
  return -1;
}

static void count_params(const Affine *a, size_t *n) {
  for (int i = 0; i < a->n; i++) {
    if (a->terms[i].kind != ATOM_VAR)
      count_params(a->terms[i].inside, n);
    else if (a->terms[i].var->is_param)
      (*n)++;
  }
}

static void add_params(Ranger *r, const Affine *a) {
  for (int i = 0; i < a->n; i++) {
    Var *var = a->terms[i].var;
    if (a->terms[i].kind != ATOM_VAR)
      add_params(r, a->terms[i].inside);
    else if (var->is_param && position_of(r, var) < 0)
      r->vars[r->n_vars++] = var;
  }
}

/* The position of the innermost variable, -1 if there is none; INT32_MAX if one is not known. */
static int innermost(const Ranger *r, const Affine *a) {
  int inner = -1;
  for (int i = 0; i < a->n; i++) {
    int at = a->terms[i].kind == ATOM_VAR ? position_of(r, a->terms[i].var)
                                          : innermost(r, a->terms[i].inside);
    if (at < 0 && a->terms[i].kind == ATOM_VAR)
      return INT32_MAX;
    inner = at > inner ? at : inner;
  }
  return inner;
}

/* A sum of the known variables: constant + coef[i] * vars[i]. */
typedef struct Linear {
  int64_t constant;
  int64_t *coef;
} Linear;

static Linear linear_copy(const Ranger *r, const Linear *from) {
  Linear copy = {0, ARENA_ARRAY(r->arena, int64_t, r->n_vars)};
  if (from) {
    copy.constant = from->constant;
    if (r->n_vars > 0)
      memcpy(copy.coef, from->coef, (size_t)r->n_vars * sizeof(int64_t));
  }
  return copy;
}

static bool add_product(int64_t *sum, int64_t a, int64_t b) {
  int64_t product;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(*sum, product, sum);
}

static bool range_of(Ranger *r, const Affine *a, int64_t *min, int64_t *max);

int64_t greatest_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a < 0 ? -a : a;
}

int64_t term_multiple(const Term *t, const Stmt *loop) {
  int64_t start, first, step;
  if (loop && loop->n_lower == 1 && affine_is_const(loop->lower[0], &start) && !__builtin_mul_overflow(t->coef, start, &first) &&
      !__builtin_mul_overflow(t->coef, loop->step, &step))
    return greatest_divisor(first, step);
  return greatest_divisor(t->coef, 0);
}

/* The distance, a divisor of k, in which the values of a mod k lie: that of tiles and vectors inside of a block. */
static int64_t distance_in_period(const Ranger *r, const Affine *a, int64_t k) {
  for (int i = 0; i < a->n; i++) {
    int at = a->terms[i].kind == ATOM_VAR ? position_of(r, a->terms[i].var) : -1;
    k = greatest_divisor(k, term_multiple(&a->terms[i], at < 0 ? NULL : r->loops[at]));
  }
  return k;
}

/* Adds factor * a, or something smaller, to `sum`. False if a number overflows
 * or a variable is not known. */
static bool add_least(Ranger *r, Linear *sum, const Affine *a, int64_t factor) {
  if (!add_product(&sum->constant, a->constant, factor))
    return false;
  for (int i = 0; i < a->n; i++) {
    const Term *t = &a->terms[i];
    int64_t coef, min, max;
    if (__builtin_mul_overflow(t->coef, factor, &coef))
      return false;
    if (t->kind == ATOM_VAR) {
      int at = position_of(r, t->var);
      if (at < 0 || !add_product(&sum->coef[at], coef, 1))
        return false;
      continue;
    }
    int64_t k = t->divisor, lo = 0, hi = k - 1;
    if (t->kind == ATOM_MOD) {
      int64_t distance = distance_in_period(r, t->inside, k);
      lo = floor_mod(t->inside->constant, distance);
      hi = k - distance + lo;
    }
    if (!range_of(r, t->inside, &min, &max)) {
      if (t->kind == ATOM_DIV)
        return false;
    } else if (floor_div(min, k) == floor_div(max, k)) {
      int64_t period = floor_div(min, k);
      if (t->kind == ATOM_MOD) {
        if (!add_least(r, sum, t->inside, coef) || __builtin_mul_overflow(period, k, &period) ||
            __builtin_sub_overflow((int64_t)0, period, &period) ||
            !add_product(&sum->constant, coef, period))
          return false;
        continue;
      }
      lo = hi = period;
    } else if (t->kind == ATOM_DIV) {
      lo = floor_div(min, k);
      hi = floor_div(max, k);
    }
    if (!add_product(&sum->constant, coef, coef > 0 ? lo : hi))
      return false;
  }
  return true;
}

static bool least(Ranger *r, const Linear *a, int64_t *min);

/* Keeps the greatest of the lower bounds found. */
static void keep(bool *found, int64_t *best, int64_t value) {
  if (!*found || value > *best)
    *best = value;
  *found = true;
}

/* a without vars[at], plus factor * bound + extra. */
static void try_bound(Ranger *r, const Linear *a, int at, const Affine *bound, int64_t extra,
                      bool *found, int64_t *best) {
  Linear next = linear_copy(r, a);
  int64_t factor = a->coef[at], value;
  next.coef[at] = 0;
  if (add_least(r, &next, bound, factor) && add_product(&next.constant, factor, extra) &&
      least(r, &next, &value))
    keep(found, best, value);
}

/* With fact = c v + rest >= 0 and a = m v + other, m and c of one sign:
 * |c| a >= |c| other - |m| rest. */
static void try_fact(Ranger *r, const Linear *a, int at, const Affine *fact, bool *found,
                     int64_t *best) {
  int64_t m = a->coef[at], c, value;
  if (!affine_coef(fact, r->vars[at], &c) || c == 0 || (c > 0) != (m > 0) || c == INT64_MIN ||
      m == INT64_MIN)
    return;
  c = c < 0 ? -c : c;
  m = m < 0 ? -m : m;
  int64_t g = greatest_divisor(c, m);
  c /= g;
  m /= g;
  Linear next = linear_copy(r, NULL);
  if (!add_product(&next.constant, a->constant, c))
    return;
  for (int i = 0; i < r->n_vars; i++)
    if (!add_product(&next.coef[i], a->coef[i], c))
      return;
  if (add_least(r, &next, fact, -m) && next.coef[at] == 0 && least(r, &next, &value) &&
      value != INT64_MIN)
    keep(found, best, -floor_div(-value, c)); /* rounded up */
}

static void try_upper(Ranger *r, const Linear *a, int at, const Stmt *loop, bool *found,
                      int64_t *best) {
  int64_t distance;
  if (loop->step > 1 && loop->n_lower == 1 && loop->n_upper == 1 &&
      affine_is_const(affine_sub(r->arena, loop->upper[0], loop->lower[0]), &distance) &&
      distance > 0) {
    /* The last value is short of the end. */
    try_bound(r, a, at, loop->lower[0], (distance - 1) / loop->step * loop->step, found, best);
    return;
  }
  for (int i = 0; i < loop->n_upper; i++)
    try_bound(r, a, at, loop->upper[i], -1, found, best);
}

static bool least(Ranger *r, const Linear *a, int64_t *min) {
  if (--r->work < 0)
    return false;
  int at = r->n_vars - 1;
  while (at >= 0 && a->coef[at] == 0)
    at--;
  if (at < 0) {
    *min = a->constant;
    return true;
  }
  bool found = false;
  for (int i = 0; i < r->n_facts; i++)
    if (r->facts[i].innermost == at)
      try_fact(r, a, at, r->facts[i].affine, &found, min);
  const Stmt *loop = r->loops[at];
  if (!loop) {
    Affine bound = {.constant = a->coef[at] > 0 ? r->vars[at]->lo : r->vars[at]->hi - 1};
    try_bound(r, a, at, &bound, 0, &found, min);
  } else if (a->coef[at] > 0) {
    for (int i = 0; i < loop->n_lower; i++)
      if (innermost(r, loop->lower[i]) < at)
        try_bound(r, a, at, loop->lower[i], 0, &found, min);
  } else {
    bool outer = true;
    for (int i = 0; i < loop->n_upper; i++)
      outer = outer && innermost(r, loop->upper[i]) < at;
    if (outer)
      try_upper(r, a, at, loop, &found, min);
  }
  return found;
}

/* If a is m times a fact plus a constant, with m > 0, the constant less m times
 * the fact's is a lower bound: this also serves quotients and remainders as they stand. */
static void try_same(Ranger *r, const Affine *a, int64_t sign, bool *found, int64_t *best) {
  for (int i = 0; i < r->n_facts; i++) {
    const Affine *fact = r->facts[i].affine;
    if (fact->n != a->n || a->n == 0)
      continue;
    int64_t c = fact->terms[0].coef, m = 0;
    for (int j = 0; j < a->n; j++)
      if (a->terms[j].kind == fact->terms[0].kind && a->terms[j].var == fact->terms[0].var &&
          a->terms[j].coef % c == 0)
        m = a->terms[j].coef / c * sign;
    int64_t scaled;
    if (m <= 0 || m > 1000 || __builtin_mul_overflow(a->constant, sign, &scaled))
      continue;
    const Affine *rest =
        affine_sub(r->arena, affine_scale(r->arena, a, sign), affine_scale(r->arena, fact, m));
    if (affine_is_const(rest, NULL))
      keep(found, best, rest->constant);
  }
}

static bool extreme(Ranger *r, const Affine *a, int64_t sign, int64_t *value) {
  Linear sum = linear_copy(r, NULL);
  bool found = false;
  int64_t best = 0, min;
  try_same(r, a, sign, &found, &best);
  if (add_least(r, &sum, a, sign) && least(r, &sum, &min))
    keep(&found, &best, min);
  *value = best;
  return found;
}

static bool range_of(Ranger *r, const Affine *a, int64_t *min, int64_t *max) {
  if (--r->work < 0 || !extreme(r, a, 1, min) || !extreme(r, a, -1, max) || *max == INT64_MIN)
    return false;
  *max = -*max;
  return true;
}

bool affine_range(Arena *arena, const Affine *a, const Scope *scope, int64_t *min, int64_t *max) {
  if (affine_is_const(a, min)) {
    *max = *min;
    return true;
  }
  Ranger r = {.arena = arena, .work = WORK_LIMIT};
  size_t n_vars = 0, n_facts = 0;
  count_params(a, &n_vars);
  for (size_t i = 0; scope && i < scope->enclosing.len; i++) {
    const Stmt *s = scope->enclosing.at[i];
    n_vars += s->kind == STMT_FOR;
    n_facts += s->kind == STMT_IF ? (size_t)s->n_conditions : 0;
    for (int j = 0; s->kind == STMT_FOR && j < s->n_lower; j++)
      count_params(s->lower[j], &n_vars);
    for (int j = 0; s->kind == STMT_FOR && j < s->n_upper; j++)
      count_params(s->upper[j], &n_vars);
    for (int j = 0; s->kind == STMT_IF && j < s->n_conditions; j++)
      count_params(s->conditions[j], &n_vars);
  }
  r.vars = ARENA_ARRAY(arena, Var *, n_vars);
  r.loops = ARENA_ARRAY(arena, const Stmt *, n_vars);
  r.facts = ARENA_ARRAY(arena, Fact, n_facts);

  add_params(&r, a);
  for (size_t i = 0; scope && i < scope->enclosing.len; i++) {
    const Stmt *s = scope->enclosing.at[i];
    for (int j = 0; s->kind == STMT_FOR && j < s->n_lower; j++)
      add_params(&r, s->lower[j]);
    for (int j = 0; s->kind == STMT_FOR && j < s->n_upper; j++)
      add_params(&r, s->upper[j]);
    for (int j = 0; s->kind == STMT_IF && j < s->n_conditions; j++)
      add_params(&r, s->conditions[j]);
  }
  for (size_t i = 0; scope && i < scope->enclosing.len; i++) {
    const Stmt *s = scope->enclosing.at[i];
    if (s->kind != STMT_FOR)
      continue;
    r.vars[r.n_vars] = s->var;
    r.loops[r.n_vars++] = s;
  }
  for (size_t i = 0; scope && i < scope->enclosing.len; i++) {
    const Stmt *s = scope->enclosing.at[i];
    for (int j = 0; s->kind == STMT_IF && j < s->n_conditions; j++) {
      int at = innermost(&r, s->conditions[j]);
      if (at >= 0 && at != INT32_MAX)
        r.facts[r.n_facts++] = (Fact){s->conditions[j], at};
    }
  }
  return range_of(&r, a, min, max);
}
