/* Sweeps the exp kernel of mncc's softmax over [-104, 89], by steps of the argument and of its
 * bits, and compares with the C library's exp of doubles. Fails where the error exceeds BOUND
 * units in the last place of the exact result, or a special value is not what it must be. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

#define BOUND 1.0
enum { N = 64 * 64 * 8 };

static float x[N], m[N / 8], y[N];
static int filled;
static long arguments;
static double worst;
static float worst_at;

static void fail(const char *what, float at, float result) {
  printf("exp(%.9g) = %.9g: %s\n", (double)at, (double)result, what);
  exit(1);
}

/* Units between neighbours at the exact result: 2^-149 for subnormal ones. */
static double error_ulp(float result, double exact) {
  int exponent;
  frexp(exact, &exponent);
  if (exponent < -125)
    exponent = -125;
  /* Infinity stands for the number that would follow the greatest one. */
  double value = isinf(result) ? ldexp(1, 128) : (double)result;
  if (exact > ldexp(1, 128))
    exact = ldexp(1, 128);
  return fabs(value - exact) / ldexp(1, exponent - 24);
}

static void run(void) {
  sweep_run(NULL, x, m, y);
  for (int i = 0; i < filled; i++) {
    double error = error_ulp(y[i], exp((double)x[i]));
    if (!(error <= BOUND))
      fail("the error is above the bound", x[i], y[i]);
    if (error > worst) {
      worst = error;
      worst_at = x[i];
    }
  }
  arguments += filled;
  filled = 0;
}

static void sweep(float value) {
  x[filled++] = value;
  if (filled == N)
    run();
}

static float of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static void special(float argument, float wanted) {
  for (int i = 0; i < N; i++)
    x[i] = argument;
  sweep_run(NULL, x, m, y);
  for (int i = 0; i < N; i++)
    if (isnan(wanted) ? !isnan(y[i]) : bits_of(y[i]) != bits_of(wanted))
      fail("not the special value it must be", argument, y[i]);
}

int main(void) {
  special(0.0f, 1.0f);
  special(-0.0f, 1.0f);
  special(INFINITY, INFINITY);
  special(-INFINITY, 0.0f);
  special(NAN, NAN);
  special(FLT_MAX, INFINITY);
  special(-FLT_MAX, 0.0f);
  special(of_bits(1), 1.0f);
  /* The last argument that is not infinity, the first that is; the same about 0. */
  special(nextafterf(88.72283905f, 100.0f), INFINITY);
  special(-104.0f, 0.0f);
  special(-103.0f, 1.40129846e-45f);
  if (isinf(y[0]))
    fail("must be finite", x[0], y[0]);

  for (long i = -104L * 8192; i <= 89L * 8192; i++)
    sweep((float)i / 8192.0f);
  for (uint32_t bits = 0; bits <= bits_of(89.0f); bits += 499)
    sweep(of_bits(bits));
  for (uint32_t bits = 0x80000000u; bits <= bits_of(-104.0f); bits += 499)
    sweep(of_bits(bits));
  /* Every argument about the ends of the range, and with results that are subnormal. */
  for (uint32_t bits = bits_of(88.70f); bits <= bits_of(88.75f); bits++)
    sweep(of_bits(bits));
  for (uint32_t bits = bits_of(-87.25f); bits <= bits_of(-104.0f); bits++)
    sweep(of_bits(bits));
  run();
  printf("exp: %ld arguments, largest error %.3f ulp at %.9g\n", arguments, worst, (double)worst_at);
  return 0;
}
