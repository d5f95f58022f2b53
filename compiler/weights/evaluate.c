/* Recipes: evaluation, a stretch of the result at a time, so that a buffer of any
 * size takes no more memory than a stretch for each node of its recipe.
 *
 * What is wanted of a node is said in runs: elements at constant distances.
 * Reshaping leaves them as they are, since elements keep their row-major place;
 * permutation, padding and broadcasting map them into runs of the operand, axis by
 * axis; tensors are read where they lie in the file. Results of few elements,
 * such as a factor for each channel, are evaluated once and kept. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "weights/recipe.h"
#include "weights/weights.h"

enum { STRETCH = 4096, FEW = 1 << 16 };

/* Elements at, at + step, ... of a row-major array; step is not negative. */
typedef struct Run {
  int64_t at, step, n;
} Run;

typedef struct Node Node;
struct Node {
  const Recipe *recipe;
  Node *a, *b;
  const WeightTensor *tensor;
  double *kept;     /* all elements, or null */
  size_t cap;       /* of what follows, in elements */
  double *values;   /* of operand b, or of what is summed or padded */
  Run *runs, *more; /* in operands; of a padding: in it, and how many elements are inside and outside by turns */
};

struct RecipeReader {
  Arena *arena;
  const Weights *weights;
  Node *root;
};

static Node *node_new(Arena *arena, const Weights *weights, const Recipe *recipe) {
  if (!recipe)
    return NULL;
  Node *node = ARENA_NEW(arena, Node);
  node->recipe = recipe;
  node->a = node_new(arena, weights, recipe->a);
  node->b = node_new(arena, weights, recipe->b);
  if (recipe->kind != RECIPE_TENSOR)
    return node;
  node->tensor = weights_find(weights, recipe->name);
  if (!node->tensor)
    BUG("tensor '%s' is missing", recipe->name);
  if (node->tensor->elems != recipe_elems(recipe))
    BUG("tensor '%s' has %" PRId64 " elements, not %" PRId64, recipe->name, node->tensor->elems, recipe_elems(recipe));
  return node;
}

static size_t count(const Run *runs, size_t n_runs) {
  size_t n = 0;
  for (size_t i = 0; i < n_runs; i++)
    n += (size_t)runs[i].n;
  return n;
}

/* Room for n elements in what the node works with. */
static void make_room(RecipeReader *reader, Node *node, size_t n) {
  if (n <= node->cap)
    return;
  node->cap = n;
  node->values = ARENA_ARRAY(reader->arena, double, n);
  node->runs = ARENA_ARRAY(reader->arena, Run, n);
  node->more = ARENA_ARRAY(reader->arena, Run, 2 * n + 1);
}

/* ---- runs ---- */

static void row_major(int rank, const int64_t *dims, int64_t *strides) {
  int64_t stride = 1;
  for (int i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= dims[i];
  }
}

/* A run in an array, walked one axis at a time. */
typedef struct Walk {
  const Recipe *shape;
  int64_t strides[RECIPE_MAX_RANK];
  int64_t index[RECIPE_MAX_RANK]; /* of the first element of the piece */
  int axis;                       /* along which the piece goes; -1: it stays where it is */
  int64_t pace;                   /* by so many at a time */
} Walk;

/* The longest piece of the run that goes along one axis; returns its length. */
static int64_t next_piece(Walk *walk, const Run *run) {
  const Recipe *shape = walk->shape;
  int64_t rest = run->at;
  walk->axis = -1;
  walk->pace = 0;
  for (int i = 0; i < shape->rank; i++) {
    walk->index[i] = rest / walk->strides[i];
    rest %= walk->strides[i];
    bool along = shape->dims[i] > 1 && walk->strides[i] <= run->step && run->step % walk->strides[i] == 0;
    if (along && walk->axis < 0)
      walk->axis = i;
  }
  if (walk->axis < 0)
    return run->n;
  walk->pace = run->step / walk->strides[walk->axis];
  int64_t left = (shape->dims[walk->axis] - 1 - walk->index[walk->axis]) / walk->pace + 1;
  return left < run->n ? left : run->n;
}

/* Appends; what goes on where the run before ends becomes part of it. */
static size_t push_run(Run *runs, size_t n_runs, Run run) {
  if (n_runs > 0) {
    Run *last = &runs[n_runs - 1];
    bool single = last->n == 1 && run.n == 1 && run.at >= last->at;
    int64_t step = last->n > 1 ? last->step : single ? run.at - last->at : run.step;
    if (run.at == last->at + step * last->n && (run.n == 1 || run.step == step) && step >= 0) {
      last->step = step;
      last->n += run.n;
      return n_runs;
    }
  }
  runs[n_runs] = run;
  return n_runs + 1;
}

/* The runs of `shape` as runs of an array that its dimensions cross with the strides `to`. */
static size_t map_runs(const Recipe *shape, const int64_t *to, const Run *runs, size_t n_runs, Run *out) {
  Walk walk = {.shape = shape};
  size_t n_out = 0;
  row_major(shape->rank, shape->dims, walk.strides);
  for (size_t i = 0; i < n_runs; i++)
    for (Run run = runs[i]; run.n > 0;) {
      int64_t n = next_piece(&walk, &run);
      Run piece = {0, walk.axis < 0 ? 0 : to[walk.axis] * walk.pace, n};
      for (int d = 0; d < shape->rank; d++)
        piece.at += walk.index[d] * to[d];
      n_out = push_run(out, n_out, piece);
      run.at += n * run.step;
      run.n -= n;
    }
  return n_out;
}

/* ---- nodes ---- */

static void read_runs(RecipeReader *reader, Node *node, const Run *runs, size_t n_runs, double *out);

static void read_tensor(RecipeReader *reader, const Node *node, const Run *runs, size_t n_runs, double *out) {
  for (size_t i = 0; i < n_runs; i++)
    for (int64_t k = 0; k < runs[i].n; k++)
      *out++ = weights_get(reader->weights, node->tensor, runs[i].at + k * runs[i].step);
}

/* Elements of an operand that is broadcast to the node's shape. */
static void read_broadcast(RecipeReader *reader, Node *node, Node *operand, const Run *runs, size_t n_runs, double *out) {
  const Recipe *result = node->recipe, *from = operand->recipe;
  if (recipe_elems(from) == recipe_elems(result)) {
    read_runs(reader, operand, runs, n_runs, out);
    return;
  }
  int64_t own[RECIPE_MAX_RANK], to[RECIPE_MAX_RANK];
  row_major(from->rank, from->dims, own);
  for (int i = 0; i < result->rank; i++) {
    int at = i - (result->rank - from->rank);
    to[i] = at < 0 || from->dims[at] == 1 ? 0 : own[at];
  }
  size_t n = map_runs(result, to, runs, n_runs, node->runs);
  read_runs(reader, operand, node->runs, n, out);
}

static void read_binary(RecipeReader *reader, Node *node, const Run *runs, size_t n_runs, double *out) {
  size_t n = count(runs, n_runs);
  make_room(reader, node, n);
  read_broadcast(reader, node, node->a, runs, n_runs, out);
  read_broadcast(reader, node, node->b, runs, n_runs, node->values);
  const double *b = node->values;
  switch (node->recipe->kind) {
  case RECIPE_ADD:
    for (size_t i = 0; i < n; i++)
      out[i] += b[i];
    return;
  case RECIPE_SUB:
    for (size_t i = 0; i < n; i++)
      out[i] -= b[i];
    return;
  case RECIPE_MUL:
    for (size_t i = 0; i < n; i++)
      out[i] *= b[i];
    return;
  case RECIPE_DIV:
    for (size_t i = 0; i < n; i++)
      out[i] /= b[i];
    return;
  case RECIPE_TENSOR:
  case RECIPE_CONST:
  case RECIPE_LIST:
  case RECIPE_SQRT:
  case RECIPE_SUM:
  case RECIPE_RESHAPE:
  case RECIPE_PERMUTE:
  case RECIPE_PAD:
    break;
  }
  BUG("recipe kind %d has no two operands", (int)node->recipe->kind);
}

static void read_permuted(RecipeReader *reader, Node *node, const Run *runs, size_t n_runs, double *out) {
  const Recipe *recipe = node->recipe;
  int64_t own[RECIPE_MAX_RANK], to[RECIPE_MAX_RANK];
  make_room(reader, node, count(runs, n_runs));
  row_major(recipe->rank, recipe->a->dims, own);
  for (int i = 0; i < recipe->rank; i++)
    to[i] = own[recipe->axes[i]];
  size_t n = map_runs(recipe, to, runs, n_runs, node->runs);
  read_runs(reader, node->a, node->runs, n, out);
}

/* Of a piece's elements, those that come before it leaves the operand; 0: it begins outside. */
static int64_t inside_of(const Recipe *recipe, const Walk *walk, int64_t n) {
  for (int d = 0; d < recipe->rank; d++)
    if (walk->index[d] >= recipe->a->dims[d])
      return 0;
  if (walk->axis < 0)
    return n;
  int64_t inside = (recipe->a->dims[walk->axis] - 1 - walk->index[walk->axis]) / walk->pace + 1;
  return inside < n ? inside : n;
}

static void read_padded(RecipeReader *reader, Node *node, const Run *runs, size_t n_runs, double *out) {
  const Recipe *recipe = node->recipe;
  Walk walk = {.shape = recipe};
  int64_t own[RECIPE_MAX_RANK];
  size_t n_inside = 0, n_parts = 0;
  make_room(reader, node, count(runs, n_runs));
  row_major(recipe->rank, recipe->dims, walk.strides);
  row_major(recipe->rank, recipe->a->dims, own);
  for (size_t i = 0; i < n_runs; i++)
    for (Run run = runs[i]; run.n > 0;) {
      int64_t n = next_piece(&walk, &run), inside = inside_of(recipe, &walk, n);
      Run piece = {0, walk.axis < 0 ? 0 : own[walk.axis] * walk.pace, inside};
      for (int d = 0; d < recipe->rank; d++)
        piece.at += walk.index[d] * own[d];
      if (inside > 0)
        n_inside = push_run(node->runs, n_inside, piece);
      node->more[n_parts++] = (Run){inside, 0, n - inside};
      run.at += n * run.step;
      run.n -= n;
    }
  read_runs(reader, node->a, node->runs, n_inside, node->values);
  const double *from = node->values;
  for (size_t i = 0; i < n_parts; i++) {
    memcpy(out, from, (size_t)node->more[i].at * sizeof *out);
    memset(out + node->more[i].at, 0, (size_t)node->more[i].n * sizeof *out);
    from += node->more[i].at;
    out += node->more[i].at + node->more[i].n;
  }
}

/* The sum over all dimensions but the first, of element i of the result. */
static double read_sum(RecipeReader *reader, Node *node, int64_t i) {
  int64_t n = recipe_elems(node->recipe->a) / node->recipe->dims[0];
  double sum = 0;
  make_room(reader, node, STRETCH);
  for (int64_t begin = 0; begin < n; begin += STRETCH) {
    Run run = {i * n + begin, 1, n - begin < STRETCH ? n - begin : STRETCH};
    read_runs(reader, node->a, &run, 1, node->values);
    for (int64_t k = 0; k < run.n; k++)
      sum += node->values[k];
  }
  return sum;
}

static void read_node(RecipeReader *reader, Node *node, const Run *runs, size_t n_runs, double *out) {
  const Recipe *recipe = node->recipe;
  switch (recipe->kind) {
  case RECIPE_TENSOR:
    read_tensor(reader, node, runs, n_runs, out);
    return;
  case RECIPE_CONST:
  case RECIPE_LIST:
  case RECIPE_SUM:
    for (size_t i = 0; i < n_runs; i++)
      for (int64_t k = 0; k < runs[i].n; k++) {
        int64_t at = runs[i].at + k * runs[i].step;
        *out++ = recipe->kind == RECIPE_CONST  ? rational_to_double(recipe->value)
                 : recipe->kind == RECIPE_LIST ? rational_to_double(recipe->values[at])
                                               : read_sum(reader, node, at);
      }
    return;
  case RECIPE_ADD:
  case RECIPE_SUB:
  case RECIPE_MUL:
  case RECIPE_DIV:
    read_binary(reader, node, runs, n_runs, out);
    return;
  case RECIPE_SQRT: {
    read_runs(reader, node->a, runs, n_runs, out);
    size_t n = count(runs, n_runs);
    for (size_t i = 0; i < n; i++)
      out[i] = sqrt(out[i]);
    return;
  }
  case RECIPE_RESHAPE:
    read_runs(reader, node->a, runs, n_runs, out);
    return;
  case RECIPE_PERMUTE:
    read_permuted(reader, node, runs, n_runs, out);
    return;
  case RECIPE_PAD:
    read_padded(reader, node, runs, n_runs, out);
    return;
  }
  BUG("recipe kind %d", (int)recipe->kind);
}

/* A stretch of a node, not from what is kept of it. */
static void read_stretch(RecipeReader *reader, Node *node, int64_t begin, int64_t n, double *out) {
  for (int64_t done = 0; done < n; done += STRETCH) {
    Run run = {begin + done, 1, n - done < STRETCH ? n - done : STRETCH};
    read_node(reader, node, &run, 1, out + done);
  }
}

/* At most STRETCH elements. */
static void read_runs(RecipeReader *reader, Node *node, const Run *runs, size_t n_runs, double *out) {
  int64_t elems = recipe_elems(node->recipe);
  if (node->recipe->kind == RECIPE_TENSOR || elems > FEW) {
    read_node(reader, node, runs, n_runs, out);
    return;
  }
  if (!node->kept) {
    double *kept = ARENA_ARRAY(reader->arena, double, elems);
    read_stretch(reader, node, 0, elems, kept);
    node->kept = kept;
  }
  for (size_t i = 0; i < n_runs; i++)
    for (int64_t k = 0; k < runs[i].n; k++)
      *out++ = node->kept[runs[i].at + k * runs[i].step];
}

RecipeReader *recipe_reader(Arena *arena, const Recipe *recipe, const Weights *weights) {
  RecipeReader *reader = ARENA_NEW(arena, RecipeReader);
  reader->arena = arena;
  reader->weights = weights;
  reader->root = node_new(arena, weights, recipe);
  return reader;
}

void recipe_read(RecipeReader *reader, int64_t begin, int64_t n, double *out) {
  read_stretch(reader, reader->root, begin, n, out);
}

void recipe_evaluate(const Recipe *recipe, const Weights *weights, double *out) {
  Arena *scratch = arena_new();
  recipe_read(recipe_reader(scratch, recipe, weights), 0, recipe_elems(recipe), out);
  arena_free(scratch);
}
