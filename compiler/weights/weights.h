/* Sources of tensors: a safetensors file, or reproducible random numbers. */
#ifndef MNCC_WEIGHTS_WEIGHTS_H
#define MNCC_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/diag.h"

/* What a network expects of a tensor; also tells the random source what to draw. */
typedef enum WeightRole {
  ROLE_KERNEL,   /* random: uniform in +-2^-k, 2^-2k about 1 / fan_in (fan_in: see WeightDecl) */
  ROLE_BIAS,     /* uniform in [-1/8, 1/8) */
  ROLE_SCALE,    /* uniform in [1/2, 3/2) */
  ROLE_MEAN,     /* uniform in [-1/8, 1/8) */
  ROLE_VARIANCE  /* uniform in [1/2, 3/2) */
} WeightRole;

typedef struct WeightDecl {
  const char *name; /* the tensor's name in the file: "separable0.conv0.weight" */
  WeightRole role;
  bool learned; /* counts as a parameter (running statistics do not) */
  int rank;
  int64_t dims[6];
  int64_t fan_in; /* ROLE_KERNEL: products summed per output */
  Loc loc;        /* the layer */
} WeightDecl;

typedef struct Weights Weights;

/* Opens a safetensors file (mapped, not copied). F32, F64, F16 and BF16 tensors are accepted and
 * widened; the header is bounds-checked against the file. Null after an error through diag (at `loc`). */
Weights *weights_open(Arena *arena, Diag *diag, Loc loc, const char *path);
/* The tensors named by `decls`, drawn with integer arithmetic only from (seed, name, position):
 * the same on every machine and independent of order. Values are multiples of 2^-24 of their scale, exact in f32. */
Weights *weights_random(Arena *arena, uint64_t seed, const WeightDecl *const *decls, size_t n);
void weights_close(Weights *weights);

/* Compares with what is expected: all missing, misshapen, non-finite and unused tensors are reported, together,
 * as one error with a note per tensor (num_batches_tracked is ignored). False if there were any. */
bool weights_check(Weights *weights, Diag *diag, Loc loc, const WeightDecl *const *decls, size_t n);

/* Element `i` (row-major) of a tensor; weights_find first. */
typedef struct WeightTensor {
  const char *name;
  int rank;
  int64_t dims[6];
  int64_t elems;
} WeightTensor;
const WeightTensor *weights_find(const Weights *weights, const char *name);
double weights_get(const Weights *weights, const WeightTensor *tensor, int64_t i);
/* All tensors in file order (random: order of decls). */
size_t weights_count(const Weights *weights);
const WeightTensor *weights_at(const Weights *weights, size_t i);

/* Writes all tensors as a safetensors file, F32, in order. Null or an error message. */
const char *weights_save(const Weights *weights, const char *path);

#endif
