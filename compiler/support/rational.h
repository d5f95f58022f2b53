/* Exact rational numbers: what every number of the language is.
 *
 * Always normalised: gcd(num, den) == 1, den > 0. Results that do not fit in
 * int64 numerator and denominator set `ok` to false and are 0/1; the caller
 * reports them. Nothing here sets `ok` to true, so one flag serves a chain. */
#ifndef MNCC_SUPPORT_RATIONAL_H
#define MNCC_SUPPORT_RATIONAL_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"

typedef struct Rational {
  int64_t num, den;
} Rational;

Rational rational_int(int64_t value);
Rational rational_make(int64_t num, int64_t den, bool *ok); /* den 0: !ok */
Rational rational_add(Rational a, Rational b, bool *ok);
Rational rational_sub(Rational a, Rational b, bool *ok);
Rational rational_mul(Rational a, Rational b, bool *ok);
Rational rational_div(Rational a, Rational b, bool *ok); /* b 0: !ok */
Rational rational_neg(Rational a, bool *ok);
int rational_cmp(Rational a, Rational b); /* -1, 0, 1; exact */
Rational rational_floor(Rational a);
Rational rational_ceil(Rational a, bool *ok);
Rational rational_round(Rational a, bool *ok); /* nearest, halves away from zero */
bool rational_is_int(Rational a);
double rational_to_double(Rational a);
float rational_to_float(Rational a); /* correctly rounded from the exact value via double */

/* "3", "0.25", "1e-3", "6/7" (optional sign), exactly. Text ends at `len`.
 * False when malformed or out of range. */
bool rational_parse(const char *text, size_t len, Rational *value);

/* "3", "0.001" where the decimal is finite and at most 12 digits, else "6/7". */
const char *rational_text(Arena *arena, Rational a);

#endif
