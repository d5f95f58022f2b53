/* Weights as symbols: a recipe says how to compute the contents of a weight
 * buffer from the tensors of the weights file. Folding and packing build
 * recipes; nothing is read before a back end asks for the numbers.
 *
 * A recipe is a small expression over dense row-major tensors, evaluated in
 * double and rounded once, to the buffer's element type, at the end:
 *
 *   mul(conv0.weight, reshape(div(bn0.weight, sqrt(add(bn0.running_var, 0.001))), [8, 1, 1, 1]))
 *
 * Its text (recipe_print) is read back by recipe_parse. Names that are not plain
 * identifiers joined by dots are printed in double quotes. */
#ifndef MNCC_WEIGHTS_RECIPE_H
#define MNCC_WEIGHTS_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/rational.h"
#include "support/writer.h"

enum { RECIPE_MAX_RANK = 6 };

typedef enum RecipeKind {
  RECIPE_TENSOR,  /* a tensor of the weights file, by name, with its shape: printed NAME[8,3,3,3] */
  RECIPE_CONST,   /* a rational, rank 0 */
  RECIPE_LIST,    /* rationals, rank 1: printed [1, 2/3] */
  RECIPE_ADD,     /* operands broadcast as in NumPy */
  RECIPE_SUB,
  RECIPE_MUL,
  RECIPE_DIV,
  RECIPE_SQRT,
  RECIPE_SUM,     /* over all dimensions but the first */
  RECIPE_RESHAPE, /* same elements, another shape */
  RECIPE_PERMUTE, /* axes: result dimension i is operand dimension axes[i] */
  RECIPE_PAD      /* zeros at the end of dimensions, up to a larger shape of the same rank */
} RecipeKind;

typedef struct Recipe Recipe;
struct Recipe {
  RecipeKind kind;
  int rank;
  int64_t dims[RECIPE_MAX_RANK]; /* of the result */
  const Recipe *a, *b;
  const char *name; /* TENSOR */
  Rational value;   /* CONST */
  const Rational *values; /* LIST */
  int axes[RECIPE_MAX_RANK]; /* PERMUTE */
};

const Recipe *recipe_tensor(Arena *arena, const char *name, int rank, const int64_t *dims);
const Recipe *recipe_const(Arena *arena, Rational value);
const Recipe *recipe_list(Arena *arena, const Rational *values, int64_t n); /* the values are kept, not copied */
const Recipe *recipe_binary(Arena *arena, RecipeKind kind, const Recipe *a, const Recipe *b); /* BUG if not broadcastable */
const Recipe *recipe_sqrt(Arena *arena, const Recipe *a);
const Recipe *recipe_sum(Arena *arena, const Recipe *a); /* BUG if of rank 0 */
const Recipe *recipe_reshape(Arena *arena, const Recipe *a, int rank, const int64_t *dims);
const Recipe *recipe_permute(Arena *arena, const Recipe *a, const int *axes);

const Recipe *recipe_pad(Arena *arena, const Recipe *a, const int64_t *dims); /* BUG if a dimension shrinks */

int64_t recipe_elems(const Recipe *recipe);
bool recipe_equal(const Recipe *a, const Recipe *b);
void recipe_print(Writer *w, const Recipe *recipe);
/* Null and *error (a static or arena text) when malformed. */
const Recipe *recipe_parse(Arena *arena, const char *text, const char **error);

/* Where tensors come from. */
typedef struct Weights Weights; /* weights/weights.h */

/* Evaluates any stretch of the result, elements [begin, begin + n) in row-major order, into `out` (n doubles). The reader's
 * workings are in `arena`; they do not grow with the recipe's size. Tensors must have been checked with weights_check before;
 * a missing one is a BUG. */
typedef struct RecipeReader RecipeReader;
RecipeReader *recipe_reader(Arena *arena, const Recipe *recipe, const Weights *weights);
void recipe_read(RecipeReader *reader, int64_t begin, int64_t n, double *out);

/* All of it: recipe_elems doubles. */
void recipe_evaluate(const Recipe *recipe, const Weights *weights, double *out);

#endif
