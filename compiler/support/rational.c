/* Exact rationals over int64, computed in 128 bits and then reduced.
 *
 * Two 64-bit factors make at most 127 bits, and a sum of two such products at
 * most 128 with the sign, so nothing overflows before the check in `reduce`. */
#include "support/rational.h"

#include <math.h>

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;

static UInt128 gcd128(UInt128 a, UInt128 b) {
  while (b) {
    UInt128 rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static Rational fail(bool *ok) {
  *ok = false;
  return (Rational){0, 1};
}

/* negative ? -num / den : num / den, in lowest terms. */
static Rational reduce(bool negative, UInt128 num, UInt128 den, bool *ok) {
  if (den == 0)
    return fail(ok);
  UInt128 common = gcd128(num, den);
  num /= common;
  den /= common;
  UInt128 limit = (UInt128)INT64_MAX + (negative ? 1 : 0);
  if (num > limit || den > (UInt128)INT64_MAX)
    return fail(ok);
  /* The detour by -1 keeps INT64_MIN representable on the way. */
  int64_t value = !negative || num == 0 ? (int64_t)num : -(int64_t)(num - 1) - 1;
  return (Rational){value, (int64_t)den};
}

static UInt128 magnitude(Int128 value) { return value < 0 ? -(UInt128)value : (UInt128)value; }

static Rational reduce_signed(Int128 num, Int128 den, bool *ok) {
  return reduce((num < 0) != (den < 0), magnitude(num), magnitude(den), ok);
}

Rational rational_int(int64_t value) { return (Rational){value, 1}; }

Rational rational_make(int64_t num, int64_t den, bool *ok) { return reduce_signed(num, den, ok); }

Rational rational_add(Rational a, Rational b, bool *ok) {
  return reduce_signed((Int128)a.num * b.den + (Int128)b.num * a.den, (Int128)a.den * b.den, ok);
}

Rational rational_sub(Rational a, Rational b, bool *ok) {
  return reduce_signed((Int128)a.num * b.den - (Int128)b.num * a.den, (Int128)a.den * b.den, ok);
}

Rational rational_mul(Rational a, Rational b, bool *ok) {
  return reduce_signed((Int128)a.num * b.num, (Int128)a.den * b.den, ok);
}

Rational rational_div(Rational a, Rational b, bool *ok) {
  return reduce_signed((Int128)a.num * b.den, (Int128)a.den * b.num, ok);
}

Rational rational_neg(Rational a, bool *ok) { return reduce_signed(-(Int128)a.num, a.den, ok); }

int rational_cmp(Rational a, Rational b) {
  Int128 left = (Int128)a.num * b.den, right = (Int128)b.num * a.den;
  return left < right ? -1 : left > right ? 1 : 0;
}

Rational rational_floor(Rational a) {
  int64_t quotient = a.num / a.den;
  return rational_int(a.num % a.den < 0 ? quotient - 1 : quotient);
}

Rational rational_ceil(Rational a, bool *ok) {
  int64_t quotient = a.num / a.den;
  return reduce_signed((Int128)quotient + (a.num % a.den > 0 ? 1 : 0), 1, ok);
}

Rational rational_round(Rational a, bool *ok) {
  UInt128 den = (UInt128)a.den;
  return reduce(a.num < 0, (2 * magnitude(a.num) + den) / (2 * den), 1, ok);
}

bool rational_is_int(Rational a) { return a.den == 1; }

static int bit_length(UInt128 value) {
  int bits = 0;
  for (; value; value >>= 1)
    bits++;
  return bits;
}

/* |a| = result * 2^-shift, where the result has at most `bits` bits and its
 * lowest is also set if anything was cut off ("round to odd"): rounding that to
 * at least two bits fewer gives what rounding the exact value would. */
static uint64_t odd_quotient(Rational a, int bits, int *shift) {
  UInt128 num = magnitude(a.num), den = (UInt128)a.den;
  int up = bits + bit_length(den) - bit_length(num);
  if (up < 0)
    up = 0;
  UInt128 scaled = num << up;
  UInt128 quotient = scaled / den;
  UInt128 sticky = scaled % den != 0;
  while (bit_length(quotient) > bits) {
    sticky |= quotient & 1;
    quotient >>= 1;
    up--;
  }
  *shift = up;
  return (uint64_t)(quotient | sticky);
}

double rational_to_double(Rational a) {
  int shift;
  double value = (double)odd_quotient(a, 60, &shift); /* the one rounding */
  return ldexp(a.num < 0 ? -value : value, -shift);
}

float rational_to_float(Rational a) {
  int shift;
  double value = (double)odd_quotient(a, 50, &shift); /* 50 bits: exact in a double */
  return (float)ldexp(a.num < 0 ? -value : value, -shift);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits, point and exponent at text[*at]; false when malformed or too big. */
static bool parse_decimal(const char *text, size_t len, size_t *at, Rational *value) {
  const UInt128 mantissa_limit = ((UInt128)1 << 127) / 10 - 1;
  size_t i = *at;
  UInt128 mantissa = 0;
  int64_t exponent = 0, zeros = 0; /* zeros: read but not yet multiplied in */
  bool any = false, point = false;
  for (; i < len && (is_digit(text[i]) || (text[i] == '.' && !point)); i++) {
    if (text[i] == '.') {
      point = true;
      continue;
    }
    any = true;
    if (point)
      exponent--;
    if (text[i] == '0') {
      zeros++;
      continue;
    }
    /* Trailing zeros stay in the exponent, so that 1.000…0 does not overflow. */
    for (zeros++; zeros > 0; zeros--) {
      if (mantissa > mantissa_limit)
        return false;
      mantissa *= 10;
    }
    mantissa += (unsigned)(text[i] - '0');
  }
  exponent += zeros;
  if (!any || text[i - 1] == '.')
    return false;
  if (i < len && (text[i] == 'e' || text[i] == 'E')) {
    bool negative = false;
    int64_t written = 0;
    i++;
    if (i < len && (text[i] == '+' || text[i] == '-'))
      negative = text[i++] == '-';
    if (i >= len || !is_digit(text[i]))
      return false;
    for (; i < len && is_digit(text[i]); i++)
      if (written < 1000000000)
        written = written * 10 + (text[i] - '0');
    exponent += negative ? -written : written;
  }
  *at = i;
  if (mantissa == 0) {
    *value = rational_int(0);
    return true;
  }
  if (exponent < -38 || exponent > 19)
    return false;
  UInt128 power = 1;
  for (int64_t e = exponent < 0 ? -exponent : exponent; e > 0; e--)
    power *= 10;
  bool ok = true;
  if (exponent < 0)
    *value = reduce(false, mantissa, power, &ok);
  else if (mantissa > (UInt128)INT64_MAX)
    return false;
  else
    *value = reduce(false, mantissa * power, 1, &ok);
  return ok;
}

bool rational_parse(const char *text, size_t len, Rational *value) {
  size_t i = 0;
  bool negative = false, ok = true;
  if (len > 0 && (text[0] == '-' || text[0] == '+'))
    negative = text[i++] == '-';
  Rational result;
  if (!parse_decimal(text, len, &i, &result))
    return false;
  if (i < len && text[i] == '/') {
    Rational den;
    i++;
    if (!parse_decimal(text, len, &i, &den))
      return false;
    result = rational_div(result, den, &ok);
  }
  if (i != len || !ok)
    return false;
  if (negative)
    result = rational_neg(result, &ok);
  *value = result;
  return ok;
}

const char *rational_text(Arena *arena, Rational a) {
  if (a.den == 1)
    return arena_printf(arena, "%lld", (long long)a.num);
  /* The decimal ends iff the denominator has no prime but 2 and 5. */
  UInt128 scaled = magnitude(a.num), den = (UInt128)a.den;
  int places = 0;
  while (places < 12 && scaled % den != 0) {
    scaled *= 10; /* 63 bits times 10^12 stays below 104 bits */
    places++;
  }
  UInt128 digits = scaled / den;
  if (scaled % den != 0 || digits >= (UInt128)1000000000000u)
    return arena_printf(arena, "%lld/%lld", (long long)a.num, (long long)a.den);
  uint64_t unit = 1, all = (uint64_t)digits;
  for (int i = 0; i < places; i++)
    unit *= 10;
  return arena_printf(arena, "%s%llu.%0*llu", a.num < 0 ? "-" : "",
                      (unsigned long long)(all / unit), places, (unsigned long long)(all % unit));
}
