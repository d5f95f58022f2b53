/* Sweeps sigmoid and tanh over all magnitudes, by steps of the argument and of its bits, and
 * compares with the C library's functions of doubles. Fails where the error exceeds the bound of
 * compiler/loop/lower.h in units in the last place of the exact result, or a special value is not
 * what it must be. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

enum { N = 64 * 64 * 8 };

typedef struct Function {
  const char *name;
  double (*exact)(double);
  double bound;
  float y[N];
  double worst;
  float worst_at;
} Function;

static double exact_sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static Function functions[2] = {{"sigmoid", exact_sigmoid, 3, {0}, 0, 0}, {"tanh", tanh, 3, {0}, 0, 0}};
static float x[N];
static int filled;
static long arguments;

static void fail(const Function *f, const char *what, float at, float result) {
  printf("%s(%.9g) = %.9g: %s\n", f->name, (double)at, (double)result, what);
  exit(1);
}

/* Units between neighbours at the exact result: 2^-149 for subnormal ones. */
static double error_ulp(float result, double exact) {
  int exponent;
  frexp(exact, &exponent);
  if (exponent < -125)
    exponent = -125;
  return fabs((double)result - exact) / ldexp(1, exponent - 24);
}

static void run(void) {
  sweep_run(NULL, x, functions[0].y, functions[1].y);
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < filled; i++) {
      Function *f = &functions[k];
      double error = error_ulp(f->y[i], f->exact((double)x[i]));
      if (!(error <= f->bound))
        fail(f, "the error is above the bound", x[i], f->y[i]);
      if (error > f->worst) {
        f->worst = error;
        f->worst_at = x[i];
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

static void special(float argument, float s, float t) {
  for (int i = 0; i < N; i++)
    x[i] = argument;
  sweep_run(NULL, x, functions[0].y, functions[1].y);
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < N; i++) {
      float wanted = k ? t : s, found = functions[k].y[i];
      if (isnan(wanted) ? !isnan(found) : bits_of(found) != bits_of(wanted))
        fail(&functions[k], "not the special value it must be", argument, found);
    }
}

int main(void) {
  special(0.0f, 0.5f, 0.0f);
  special(-0.0f, 0.5f, -0.0f);
  special(INFINITY, 1.0f, 1.0f);
  special(-INFINITY, 0.0f, -1.0f);
  special(NAN, NAN, NAN);
  special(FLT_MAX, 1.0f, 1.0f);
  special(-FLT_MAX, 0.0f, -1.0f);
  /* The smallest numbers are their own tangents. */
  special(of_bits(1), 0.5f, of_bits(1));
  special(-of_bits(1), 0.5f, -of_bits(1));
  special(FLT_MIN, 0.5f, FLT_MIN);

  for (long i = -110L * 8192; i <= 110L * 8192; i++)
    sweep((float)i / 8192.0f);
  for (uint32_t sign = 0; sign < 2; sign++) {
    for (uint32_t bits = 0; bits <= bits_of(110.0f); bits += 499)
      sweep(of_bits(bits | sign << 31));
    /* Where tanh's parts meet, and about its steepest curve. */
    for (uint32_t bits = bits_of(0.17f); bits <= bits_of(0.18f); bits++)
      sweep(of_bits(bits | sign << 31));
  }
  /* Every argument whose sigmoid is subnormal. */
  for (uint32_t bits = bits_of(-87.25f); bits <= bits_of(-104.0f); bits++)
    sweep(of_bits(bits));
  run();
  for (int k = 0; k < 2; k++)
    printf("%s: %ld arguments, largest error %.3f ulp at %.9g\n", functions[k].name, arguments, functions[k].worst,
           (double)functions[k].worst_at);
  return 0;
}
