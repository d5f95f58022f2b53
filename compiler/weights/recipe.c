/* Recipes: building and text. evaluate.c computes them. */
#include "weights/recipe.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "support/vec.h"
#include "weights/weights.h"

/* More elements than any network has parameters, few enough for 64-bit byte counts. */
static const int64_t max_elems = INT64_C(1) << 40;

/* ---- shapes ---- */

/* False when a dimension is not positive or the product is beyond max_elems. */
static bool count_elems(int rank, const int64_t *dims, int64_t *elems) {
  *elems = 1;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 1 || dims[i] > max_elems / *elems)
      return false;
    *elems *= dims[i];
  }
  return true;
}

/* As NumPy: dimensions are aligned at the end, and 1 fits any. False if they do not fit. */
static bool broadcast(const Recipe *a, const Recipe *b, int *rank, int64_t *dims) {
  *rank = a->rank > b->rank ? a->rank : b->rank;
  for (int i = 0; i < *rank; i++) {
    int ai = i - (*rank - a->rank), bi = i - (*rank - b->rank);
    int64_t ad = ai < 0 ? 1 : a->dims[ai], bd = bi < 0 ? 1 : b->dims[bi];
    if (ad != bd && ad != 1 && bd != 1)
      return false;
    dims[i] = ad == 1 ? bd : ad;
  }
  return true;
}

static bool is_permutation(int rank, const int *axes) {
  unsigned seen = 0;
  for (int i = 0; i < rank; i++) {
    if (axes[i] < 0 || axes[i] >= rank || seen >> axes[i] & 1)
      return false;
    seen |= 1u << axes[i];
  }
  return true;
}

int64_t recipe_elems(const Recipe *recipe) {
  int64_t elems;
  if (!count_elems(recipe->rank, recipe->dims, &elems))
    BUG("the shape of a recipe is out of range");
  return elems;
}

/* ---- building ---- */

static Recipe *new_recipe(Arena *arena, RecipeKind kind, int rank, const int64_t *dims) {
  if (rank < 0 || rank > RECIPE_MAX_RANK)
    BUG("a recipe of rank %d", rank);
  Recipe *recipe = ARENA_NEW(arena, Recipe);
  recipe->kind = kind;
  recipe->rank = rank;
  for (int i = 0; i < rank; i++)
    recipe->dims[i] = dims[i];
  recipe_elems(recipe);
  return recipe;
}

const Recipe *recipe_tensor(Arena *arena, const char *name, int rank, const int64_t *dims) {
  Recipe *recipe = new_recipe(arena, RECIPE_TENSOR, rank, dims);
  recipe->name = intern(arena, name);
  return recipe;
}

const Recipe *recipe_const(Arena *arena, Rational value) {
  Recipe *recipe = new_recipe(arena, RECIPE_CONST, 0, NULL);
  recipe->value = value;
  return recipe;
}

const Recipe *recipe_list(Arena *arena, const Rational *values, int64_t n) {
  Recipe *recipe = new_recipe(arena, RECIPE_LIST, 1, &n);
  recipe->values = values;
  return recipe;
}

const Recipe *recipe_binary(Arena *arena, RecipeKind kind, const Recipe *a, const Recipe *b) {
  if (kind < RECIPE_ADD || kind > RECIPE_DIV)
    BUG("recipe kind %d is not binary", (int)kind);
  int rank;
  int64_t dims[RECIPE_MAX_RANK];
  if (!broadcast(a, b, &rank, dims))
    BUG("the operands of a recipe's %d do not broadcast", (int)kind);
  Recipe *recipe = new_recipe(arena, kind, rank, dims);
  recipe->a = a;
  recipe->b = b;
  return recipe;
}

const Recipe *recipe_sqrt(Arena *arena, const Recipe *a) {
  Recipe *recipe = new_recipe(arena, RECIPE_SQRT, a->rank, a->dims);
  recipe->a = a;
  return recipe;
}

const Recipe *recipe_sum(Arena *arena, const Recipe *a) {
  if (a->rank == 0)
    BUG("a recipe's sum of a number");
  Recipe *recipe = new_recipe(arena, RECIPE_SUM, 1, a->dims);
  recipe->a = a;
  return recipe;
}

const Recipe *recipe_reshape(Arena *arena, const Recipe *a, int rank, const int64_t *dims) {
  Recipe *recipe = new_recipe(arena, RECIPE_RESHAPE, rank, dims);
  if (recipe_elems(recipe) != recipe_elems(a))
    BUG("a recipe's reshape from %" PRId64 " to %" PRId64 " elements", recipe_elems(a),
        recipe_elems(recipe));
  recipe->a = a;
  return recipe;
}

const Recipe *recipe_permute(Arena *arena, const Recipe *a, const int *axes) {
  if (!is_permutation(a->rank, axes))
    BUG("a recipe's permute has axes that are no permutation");
  int64_t dims[RECIPE_MAX_RANK];
  for (int i = 0; i < a->rank; i++)
    dims[i] = a->dims[axes[i]];
  Recipe *recipe = new_recipe(arena, RECIPE_PERMUTE, a->rank, dims);
  memcpy(recipe->axes, axes, (size_t)a->rank * sizeof *axes);
  recipe->a = a;
  return recipe;
}

static bool can_pad(int rank, const int64_t *from, const int64_t *to) {
  for (int i = 0; i < rank; i++)
    if (to[i] < from[i])
      return false;
  return true;
}

const Recipe *recipe_pad(Arena *arena, const Recipe *a, const int64_t *dims) {
  if (!can_pad(a->rank, a->dims, dims))
    BUG("a recipe's pad to a smaller shape");
  Recipe *recipe = new_recipe(arena, RECIPE_PAD, a->rank, dims);
  recipe->a = a;
  return recipe;
}

bool recipe_equal(const Recipe *a, const Recipe *b) {
  if (a == b)
    return true;
  if (a->kind != b->kind || a->rank != b->rank ||
      memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0)
    return false;
  switch (a->kind) {
  case RECIPE_TENSOR:
    return strcmp(a->name, b->name) == 0; /* may come from different arenas */
  case RECIPE_CONST:
    return rational_cmp(a->value, b->value) == 0;
  case RECIPE_LIST:
    for (int64_t i = 0; i < a->dims[0]; i++)
      if (rational_cmp(a->values[i], b->values[i]) != 0)
        return false;
    return true;
  case RECIPE_ADD:
  case RECIPE_SUB:
  case RECIPE_MUL:
  case RECIPE_DIV:
    return recipe_equal(a->a, b->a) && recipe_equal(a->b, b->b);
  case RECIPE_PERMUTE:
    return memcmp(a->axes, b->axes, (size_t)a->rank * sizeof *a->axes) == 0 &&
           recipe_equal(a->a, b->a);
  case RECIPE_SQRT:
  case RECIPE_SUM:
  case RECIPE_RESHAPE:
  case RECIPE_PAD:
    return recipe_equal(a->a, b->a);
  }
  BUG("recipe kind %d", (int)a->kind);
}

/* ---- text ---- */

static const char *const op_names[] = {
    [RECIPE_ADD] = "add",         [RECIPE_SUB] = "sub",   [RECIPE_MUL] = "mul",
    [RECIPE_DIV] = "div",         [RECIPE_SQRT] = "sqrt", [RECIPE_RESHAPE] = "reshape",
    [RECIPE_PERMUTE] = "permute", [RECIPE_PAD] = "pad", [RECIPE_SUM] = "sum",
};

/* Plain ASCII on purpose: no locale, and no surprise from <ctype.h> with negative chars. */
static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The length of the plain name at the start of text: words joined by dots, the first beginning
 * with a letter (a repetition's ordinal is a word of digits). 0: none. */
static size_t plain_name(const char *text) {
  if (!is_letter(*text))
    return 0;
  size_t len = 1;
  while (is_letter(text[len]) || is_digit(text[len]) ||
         (text[len] == '.' && (is_letter(text[len + 1]) || is_digit(text[len + 1]))))
    len++;
  return len;
}

static void print_dims(Writer *w, int rank, const int64_t *dims, const char *separator) {
  write_text(w, "[");
  for (int i = 0; i < rank; i++)
    write_f(w, "%s%" PRId64, i ? separator : "", dims[i]);
  write_text(w, "]");
}

static void print_const(Writer *w, Rational value) {
  Arena *scratch = arena_new();
  write_text(w, rational_text(scratch, value));
  arena_free(scratch);
}

void recipe_print(Writer *w, const Recipe *recipe) {
  switch (recipe->kind) {
  case RECIPE_TENSOR: {
    size_t len = strlen(recipe->name);
    if (len > 0 && plain_name(recipe->name) == len)
      write_text(w, recipe->name);
    else
      write_quoted(w, recipe->name);
    print_dims(w, recipe->rank, recipe->dims, ",");
    return;
  }
  case RECIPE_CONST:
    print_const(w, recipe->value);
    return;
  case RECIPE_LIST:
    for (int64_t i = 0; i < recipe->dims[0]; i++) {
      write_text(w, i ? ", " : "[");
      print_const(w, recipe->values[i]);
    }
    write_text(w, "]");
    return;
  case RECIPE_ADD:
  case RECIPE_SUB:
  case RECIPE_MUL:
  case RECIPE_DIV:
  case RECIPE_SQRT:
  case RECIPE_SUM:
  case RECIPE_RESHAPE:
  case RECIPE_PERMUTE:
  case RECIPE_PAD:
    write_f(w, "%s(", op_names[recipe->kind]);
    recipe_print(w, recipe->a);
    if (recipe->b) {
      write_text(w, ", ");
      recipe_print(w, recipe->b);
    } else if (recipe->kind == RECIPE_RESHAPE || recipe->kind == RECIPE_PAD) {
      write_text(w, ", ");
      print_dims(w, recipe->rank, recipe->dims, ", ");
    } else if (recipe->kind == RECIPE_PERMUTE) {
      write_text(w, ", ");
      int64_t axes[RECIPE_MAX_RANK];
      for (int i = 0; i < recipe->rank; i++)
        axes[i] = recipe->axes[i];
      print_dims(w, recipe->rank, axes, ", ");
    }
    write_text(w, ")");
    return;
  }
  BUG("recipe kind %d", (int)recipe->kind);
}

typedef struct Parser {
  Arena *arena;
  const char *start, *at;
  const char *error; /* the first one */
} Parser;

enum { MAX_DEPTH = 100 };

static void fail(Parser *p, const char *what) {
  if (!p->error)
    p->error = arena_printf(p->arena, "%s at character %d", what, (int)(p->at - p->start) + 1);
}

static void skip_space(Parser *p) {
  while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')
    p->at++;
}

static bool accept(Parser *p, char c) {
  skip_space(p);
  if (*p->at != c)
    return false;
  p->at++;
  return true;
}

static bool expect(Parser *p, char c) {
  if (accept(p, c))
    return true;
  fail(p, arena_printf(p->arena, "expected '%c'", c));
  return false;
}

/* [1, 2, 3]: at most RECIPE_MAX_RANK whole numbers. */
static bool parse_list(Parser *p, int *n, int64_t *values) {
  *n = 0;
  if (!expect(p, '['))
    return false;
  if (accept(p, ']'))
    return true;
  do {
    skip_space(p);
    if (!is_digit(*p->at)) {
      fail(p, "expected a whole number");
      return false;
    }
    if (*n == RECIPE_MAX_RANK) {
      fail(p, "too many dimensions");
      return false;
    }
    int64_t value = 0;
    for (; is_digit(*p->at); p->at++) {
      if (value > max_elems) {
        fail(p, "number too large");
        return false;
      }
      value = value * 10 + (*p->at - '0');
    }
    values[(*n)++] = value;
  } while (accept(p, ','));
  return expect(p, ']');
}

static bool parse_dims(Parser *p, int *rank, int64_t *dims, int64_t *elems) {
  if (!parse_list(p, rank, dims))
    return false;
  if (!count_elems(*rank, dims, elems)) {
    fail(p, "shape out of range");
    return false;
  }
  return true;
}

static int hex_digit(char c) {
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What write_quoted writes; the opening quote has been read. */
static const char *parse_quoted(Parser *p) {
  VEC(char) text = {0};
  while (*p->at != '"') {
    char c = *p->at;
    if (c == 0) {
      fail(p, "unfinished string");
      return NULL;
    }
    p->at++;
    if (c == '\\') {
      c = *p->at;
      if (c == 'n') {
        c = '\n';
      } else if (c == 't') {
        c = '\t';
      } else if (c == 'x') {
        int high = hex_digit(p->at[1]), low = high < 0 ? -1 : hex_digit(p->at[2]);
        if (low < 0 || high + low == 0) {
          fail(p, "malformed \\x escape");
          return NULL;
        }
        c = (char)(high * 16 + low);
        p->at += 2;
      } else if (c != '"' && c != '\\') {
        fail(p, "unknown escape");
        return NULL;
      }
      p->at++;
    }
    VEC_PUSH(p->arena, text, c);
  }
  p->at++;
  return intern_n(p->arena, text.len ? text.at : "", text.len);
}

static const Recipe *parse_tensor(Parser *p, const char *name) {
  int rank;
  int64_t dims[RECIPE_MAX_RANK], elems;
  if (!name || !parse_dims(p, &rank, dims, &elems))
    return NULL;
  return recipe_tensor(p->arena, name, rank, dims);
}

static bool parse_number(Parser *p, Rational *value) {
  const char *begin = p->at;
  if (*p->at == '-' || *p->at == '+')
    p->at++;
  while (is_digit(*p->at) || *p->at == '.' || *p->at == '/' || *p->at == 'e' || *p->at == 'E' ||
         ((*p->at == '-' || *p->at == '+') && (p->at[-1] == 'e' || p->at[-1] == 'E')))
    p->at++;
  if (rational_parse(begin, (size_t)(p->at - begin), value))
    return true;
  p->at = begin;
  fail(p, "malformed number");
  return false;
}

/* The numbers of a list, of which there is at least one; the opening bracket has been read. */
static const Recipe *parse_numbers(Parser *p) {
  VEC(Rational) values = {0};
  do {
    Rational value;
    skip_space(p);
    if (!parse_number(p, &value))
      return NULL;
    VEC_PUSH(p->arena, values, value);
  } while (accept(p, ','));
  return expect(p, ']') ? recipe_list(p->arena, values.at, (int64_t)values.len) : NULL;
}

static const Recipe *parse_expr(Parser *p, int depth);

/* The operands; the opening parenthesis has been read. */
static const Recipe *parse_op(Parser *p, RecipeKind kind, int depth) {
  const Recipe *a = parse_expr(p, depth + 1);
  if (!a)
    return NULL;
  int n;
  int64_t values[RECIPE_MAX_RANK], elems;
  if (kind == RECIPE_SQRT)
    return expect(p, ')') ? recipe_sqrt(p->arena, a) : NULL;
  if (kind == RECIPE_SUM) {
    if (a->rank == 0) {
      fail(p, "sum of a number");
      return NULL;
    }
    return expect(p, ')') ? recipe_sum(p->arena, a) : NULL;
  }
  if (!expect(p, ','))
    return NULL;
  if (kind == RECIPE_RESHAPE) {
    if (!parse_dims(p, &n, values, &elems))
      return NULL;
    if (elems != recipe_elems(a)) {
      fail(p, "reshape to another number of elements");
      return NULL;
    }
    return expect(p, ')') ? recipe_reshape(p->arena, a, n, values) : NULL;
  }
  if (kind == RECIPE_PAD) {
    if (!parse_dims(p, &n, values, &elems))
      return NULL;
    if (n != a->rank || !can_pad(n, a->dims, values)) {
      fail(p, "pad to another rank or a smaller shape");
      return NULL;
    }
    return expect(p, ')') ? recipe_pad(p->arena, a, values) : NULL;
  }
  if (kind == RECIPE_PERMUTE) {
    int axes[RECIPE_MAX_RANK];
    if (!parse_list(p, &n, values))
      return NULL;
    for (int i = 0; i < n; i++)
      axes[i] = values[i] < RECIPE_MAX_RANK ? (int)values[i] : RECIPE_MAX_RANK;
    if (n != a->rank || !is_permutation(n, axes)) {
      fail(p, "axes that are no permutation of the operand's dimensions");
      return NULL;
    }
    return expect(p, ')') ? recipe_permute(p->arena, a, axes) : NULL;
  }
  const Recipe *b = parse_expr(p, depth + 1);
  if (!b)
    return NULL;
  if (!broadcast(a, b, &n, values) || !count_elems(n, values, &elems)) {
    fail(p, "operands whose shapes do not broadcast");
    return NULL;
  }
  return expect(p, ')') ? recipe_binary(p->arena, kind, a, b) : NULL;
}

static const Recipe *parse_expr(Parser *p, int depth) {
  if (depth > MAX_DEPTH) {
    fail(p, "too deeply nested");
    return NULL;
  }
  Rational value;
  skip_space(p);
  if (is_digit(*p->at) || *p->at == '-' || *p->at == '+')
    return parse_number(p, &value) ? recipe_const(p->arena, value) : NULL;
  if (accept(p, '['))
    return parse_numbers(p);
  if (*p->at == '"') {
    p->at++;
    return parse_tensor(p, parse_quoted(p));
  }
  size_t len = plain_name(p->at);
  if (len == 0) {
    fail(p, "expected a number, a tensor or an operation");
    return NULL;
  }
  const char *begin = p->at;
  const char *name = intern_n(p->arena, begin, len);
  p->at += len;
  if (!accept(p, '('))
    return parse_tensor(p, name);
  for (int kind = RECIPE_ADD; kind <= RECIPE_PAD; kind++)
    if (strcmp(op_names[kind], name) == 0)
      return parse_op(p, (RecipeKind)kind, depth);
  p->at = begin;
  fail(p, arena_printf(p->arena, "unknown operation '%s'", name));
  return NULL;
}

const Recipe *recipe_parse(Arena *arena, const char *text, const char **error) {
  Parser parser = {.arena = arena, .start = text, .at = text};
  const Recipe *recipe = parse_expr(&parser, 0);
  if (recipe) {
    skip_space(&parser);
    if (*parser.at) {
      fail(&parser, "text after the recipe");
      recipe = NULL;
    }
  }
  if (!recipe && error)
    *error = parser.error;
  return recipe;
}
