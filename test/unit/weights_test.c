/* Weights and recipes: good and malformed safetensors files, random tensors,
 * the recipe's text and its evaluation. Usage: weights_test FOLDER (for files).
 * Errors that the bad files must give go to standard error; what decides is the
 * exit status. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/arena.h"
#include "support/diag.h"
#include "support/output.h"
#include "support/writer.h"
#include "weights/recipe.h"
#include "weights/weights.h"
#include "check.h"

static const char *folder;
static Arena *arena;

static const char *in_folder(const char *name) {
  return arena_printf(arena, "%s/%s", folder, name);
}

/* A file with this header and `data_bytes` bytes of data; `length` < 0: the header's own. */
static const char *make_file(const char *name, int64_t length, const char *header, const void *data,
                             size_t data_bytes) {
  const char *path = in_folder(name);
  uint64_t n = length < 0 ? strlen(header) : (uint64_t)length;
  unsigned char bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (unsigned char)(n >> 8 * i);
  Writer w;
  writer_init(&w);
  write_bytes(&w, bytes, 8);
  write_bytes(&w, header, strlen(header));
  if (data_bytes)
    write_bytes(&w, data, data_bytes);
  const char *error = write_file(path, w.data, w.len);
  if (error) {
    fprintf(stderr, "%s: %s\n", path, error);
    exit(1);
  }
  writer_free(&w);
  return path;
}

static Weights *open_counting(const char *path, int *errors) {
  Diag diag;
  diag_init(&diag, arena);
  Weights *weights = weights_open(arena, &diag, (Loc){0}, path);
  *errors = diag.errors;
  return weights;
}

/* ---- files ---- */

static void test_types(void) {
  static const unsigned char data[] = {
      0,    0,    0x80, 0x3f, 0, 0,    0,    0xc0, /* f32 1, -2 */
      0,    0,    0,    0,    0, 0,    0xe0, 0x3f, /* f64 0.5 */
      0,    0x3c, 1,    0,    0, 0xc2,             /* f16 1, 2^-24, -3 */
      0x80, 0x3f, 0x20, 0xc1,                      /* bf16 1, -10 */
      7,    0,    0,    0,    0, 0,    0,    0,    /* i64 */
  };
  const char *path =
      make_file("types.safetensors", -1,
                "{\"__metadata__\":{\"format\":\"pt\"},"
                "\"b.f32\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                "\"a.f64\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[8,16]},"
                "\"f16\":{\"dtype\":\"F16\",\"shape\":[1,3],\"data_offsets\":[16,22]},"
                "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[22,26]},"
                "\"bn.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],"
                "\"data_offsets\":[26,34]}}  ",
                data, sizeof data);
  int errors;
  Weights *weights = open_counting(path, &errors);
  CHECK(weights && errors == 0);
  if (!weights)
    return;
  CHECK(weights_count(weights) == 4);
  CHECK(strcmp(weights_at(weights, 0)->name, "b.f32") == 0);
  const WeightTensor *f32 = weights_find(weights, "b.f32"), *f64 = weights_find(weights, "a.f64");
  const WeightTensor *f16 = weights_find(weights, "f16"), *bf16 = weights_find(weights, "bf16");
  CHECK(f32 && f64 && f16 && bf16 && !weights_find(weights, "f") && !weights_find(weights, "z"));
  CHECK(!weights_find(weights, "bn.num_batches_tracked"));
  CHECK(weights_get(weights, f32, 0) == 1 && weights_get(weights, f32, 1) == -2);
  CHECK(f64->rank == 0 && f64->elems == 1 && weights_get(weights, f64, 0) == 0.5);
  CHECK(f16->rank == 2 && f16->dims[1] == 3);
  CHECK(weights_get(weights, f16, 0) == 1 && weights_get(weights, f16, 1) == ldexp(1, -24) &&
        weights_get(weights, f16, 2) == -3);
  CHECK(weights_get(weights, bf16, 0) == 1 && weights_get(weights, bf16, 1) == -10);
  weights_close(weights);
}

static void test_malformed(void) {
#define T(type, shape, begin, end)                                                                 \
  "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"
  static const struct {
    const char *name;
    int64_t length;
    const char *header;
    size_t data_bytes;
  } cases[] = {
      {"long_header", 1000, "{}", 0},
      {"huge_header", INT64_MAX, "{}", 0},
      {"not_json", -1, "{\"a\":", 0},
      {"no_header", 0, "", 0},
      {"not_object", -1, "[1, 2]", 0},
      {"duplicate", -1, "{\"a\":" T("U8", "[1]", "0", "1") ",\"a\":" T("U8", "[1]", "1", "2") "}",
       2},
      {"entry", -1, "{\"a\":3}", 0},
      {"no_dtype", -1, "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
      {"dtype", -1, "{\"a\":" T("F33", "[1]", "0", "4") "}", 4},
      {"no_shape", -1, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4},
      {"negative", -1, "{\"a\":" T("F32", "[-1,-1]", "0", "4") "}", 4},
      {"fraction", -1, "{\"a\":" T("F32", "[1.0]", "0", "4") "}", 4},
      {"rank", -1, "{\"a\":" T("F32", "[1,1,1,1,1,1,1]", "0", "4") "}", 4},
      {"overflow", -1, "{\"a\":" T("F32", "[4294967296,4294967296]", "0", "0") "}", 0},
      {"overflow_bytes", -1, "{\"a\":" T("F32", "[4611686018427387904]", "0", "0") "}", 0},
      {"too_big_number", -1, "{\"a\":" T("F32", "[99999999999999999999]", "0", "0") "}", 0},
      {"no_offsets", -1, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4},
      {"backwards", -1, "{\"a\":" T("F32", "[1]", "4", "0") "}", 4},
      {"outside", -1, "{\"a\":" T("F32", "[2]", "0", "8") "}", 7},
      {"size", -1, "{\"a\":" T("F32", "[2]", "0", "4") "}", 4},
      {"overlap", -1, "{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[1]", "4", "8") "}",
       8},
      {"twice", -1, "{\"a\":" T("F32", "[1]", "0", "4") ",\"b\":" T("F32", "[1]", "0", "4") "}", 4},
      {"hole", -1, "{\"a\":" T("U8", "[1]", "0", "1") ",\"b\":" T("U8", "[1]", "2", "3") "}", 3},
      {"left_over", -1, "{\"a\":" T("U8", "[1]", "0", "1") "}", 2},
      {"nul", -1, "{\"a\\u0000b\":" T("U8", "[1]", "0", "1") "}", 1},
  };
  static const unsigned char zeros[16];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *path = make_file(arena_printf(arena, "bad_%s.safetensors", cases[i].name),
                                 cases[i].length, cases[i].header, zeros, cases[i].data_bytes);
    int errors;
    Weights *weights = open_counting(path, &errors);
    if (weights || errors != 1) {
      fprintf(stderr, "%s: %s, %d errors\n", path, weights ? "accepted" : "refused", errors);
      failures++;
    }
  }
  int errors;
  CHECK(!open_counting(in_folder("does_not_exist"), &errors) && errors == 1);
  CHECK(!open_counting(folder, &errors) && errors == 1);
  const char *path = in_folder("short");
  CHECK(!write_file(path, "abc", 3));
  CHECK(!open_counting(path, &errors) && errors == 1);

  /* These look odd and are fine. */
  Weights *weights = open_counting(make_file("empty.safetensors", -1, "{}", NULL, 0), &errors);
  CHECK(weights && weights_count(weights) == 0);
  weights_close(weights);
  weights =
      open_counting(make_file("zero.safetensors", -1,
                              "{\"a\":" T("F32", "[4294967296,4294967296,0]", "0", "0") ",\"b\":" T(
                                  "U8", "[1]", "0", "1") ",\"c\":" T("F64", "[0]", "1", "1") "}",
                              zeros, 1),
                    &errors);
  CHECK(weights && weights_count(weights) == 3 && weights_at(weights, 0)->elems == 0);
  weights_close(weights);
#undef T
}

/* Any prefix of a good file and any single damaged byte: an error or not, but no crash. */
static void test_damaged(void) {
  char *good;
  size_t len;
  CHECK(!read_file(in_folder("types.safetensors"), &good, &len));
  const char *path = in_folder("damaged.safetensors");
  char *bytes = malloc(len);
  if (!bytes)
    exit(1);
  Diag diag;
  diag_init(&diag, arena);
  diag.error_limit = 1; /* nobody wants to read them all; they are still counted */
  for (size_t i = 0; i < 2 * len; i++) {
    memcpy(bytes, good, len);
    if (i >= len)
      bytes[i - len] = (char)(bytes[i - len] ^ (1 << i % 7));
    CHECK(!write_file(path, bytes, i < len ? i : len));
    int before = diag.errors;
    Weights *weights = weights_open(arena, &diag, (Loc){0}, path);
    CHECK(diag.errors - before == (weights ? 0 : 1));
    CHECK(i >= len || !weights);
    if (weights)
      for (size_t t = 0; t < weights_count(weights); t++) {
        WeightDecl decl = {.name = weights_at(weights, t)->name, .rank = 1, .dims = {2}};
        const WeightDecl *decls[] = {&decl};
        weights_check(weights, &diag, (Loc){0}, decls, 1);
      }
    weights_close(weights);
  }
  free(bytes);
  free(good);
}

static void test_check(void) {
  static const unsigned char data[] = {0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0xbf, 1, 0};
  const char *path =
      make_file("check.safetensors", -1,
                "{\"one\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                "\"nan\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
                "\"minus\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[8,12]},"
                "\"int\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[12,14]}}",
                data, sizeof data);
  static const WeightDecl one = {.name = "one", .rank = 1, .dims = {1}};
  static const WeightDecl wide = {.name = "one", .rank = 1, .dims = {2}};
  static const WeightDecl deep = {.name = "one", .rank = 2, .dims = {1, 1}};
  static const WeightDecl nan = {.name = "nan", .rank = 1, .dims = {1}};
  static const WeightDecl minus = {.name = "minus", .rank = 2, .dims = {1, 1}};
  static const WeightDecl variance = {
      .name = "minus", .role = ROLE_VARIANCE, .rank = 2, .dims = {1, 1}};
  static const WeightDecl integer = {.name = "int", .rank = 1, .dims = {1}};
  static const WeightDecl missing = {.name = "two", .rank = 1, .dims = {1}};
  static const WeightDecl *const all[] = {&one,  &minus, &nan,      &integer,
                                          &wide, &deep,  &variance, &missing};
  int errors;
  Weights *weights = open_counting(path, &errors);
  CHECK(weights);
  if (!weights)
    return;
  /* Every one of these alone leaves some tensor unused, too: one error each time. */
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    Diag diag;
    diag_init(&diag, arena);
    CHECK(!weights_check(weights, &diag, (Loc){0}, &all[i], 1));
    CHECK(diag.errors == 1);
  }
  weights_close(weights);

  path = make_file("fine.safetensors", -1,
                   "{\"one\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", data, 4);
  weights = open_counting(path, &errors);
  CHECK(weights);
  if (!weights)
    return;
  static const WeightDecl *const bad[] = {&wide, &deep, &missing};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    Diag diag;
    diag_init(&diag, arena);
    CHECK(!weights_check(weights, &diag, (Loc){0}, &bad[i], 1) && diag.errors == 1);
  }
  Diag diag;
  diag_init(&diag, arena);
  CHECK(weights_check(weights, &diag, (Loc){0}, all, 1) && diag.errors == 0);
  weights_close(weights);
}

/* ---- random ---- */

static const WeightDecl kernel = {
    .name = "conv0.weight", .role = ROLE_KERNEL, .rank = 4, .dims = {16, 8, 3, 3}, .fan_in = 72};
static const WeightDecl bias = {.name = "conv0.bias", .role = ROLE_BIAS, .rank = 1, .dims = {5000}};
static const WeightDecl scale = {
    .name = "batchnorm0.weight", .role = ROLE_SCALE, .rank = 1, .dims = {5000}};

static void check_range(const Weights *weights, const char *name, double lo, double hi) {
  const WeightTensor *tensor = weights_find(weights, name);
  double sum = 0;
  for (int64_t i = 0; i < tensor->elems; i++) {
    double value = weights_get(weights, tensor, i);
    if (!(value >= lo && value < hi) || (double)(float)value != value) {
      fprintf(stderr, "%s[%" PRId64 "] is %.17g\n", name, i, value);
      failures++;
      return;
    }
    sum += value;
  }
  double mean = sum / (double)tensor->elems, middle = (lo + hi) / 2;
  CHECK(fabs(mean - middle) < (hi - lo) / 20);
}

static void test_random(void) {
  const WeightDecl *const forwards[] = {&kernel, &bias, &scale};
  const WeightDecl *const backwards[] = {&scale, &kernel};
  Weights *a = weights_random(arena, 1, forwards, 3);
  Weights *b = weights_random(arena, 1, backwards, 2);
  Weights *c = weights_random(arena, 2, forwards, 3);
  check_range(a, "conv0.weight", -0.125, 0.125); /* 32 <= 72 < 128 */
  check_range(a, "conv0.bias", -0.125, 0.125);
  check_range(a, "batchnorm0.weight", 0.5, 1.5);
  const WeightTensor *ta = weights_find(a, kernel.name), *tb = weights_find(b, kernel.name),
                     *tc = weights_find(c, kernel.name);
  int same = 0;
  for (int64_t i = 0; i < ta->elems; i++) {
    CHECK(weights_get(a, ta, i) == weights_get(b, tb, i));
    same += weights_get(a, ta, i) == weights_get(c, tc, i);
  }
  CHECK(same < 3);
  /* The numbers are part of the interface: what `--weights random:1` gives is compared across
   * machines and versions. */
  CHECK(weights_get(a, ta, 0) == ldexp(5828922, -26));
  CHECK(weights_get(a, ta, 1151) == ldexp(2620914, -26));
  Diag diag;
  diag_init(&diag, arena);
  CHECK(weights_check(a, &diag, (Loc){0}, forwards, 3));

  /* Saved and read again. */
  const char *path = in_folder("saved.safetensors");
  CHECK(weights_save(a, path) == NULL);
  int errors;
  Weights *d = open_counting(path, &errors);
  CHECK(d && weights_count(d) == 3);
  if (d) {
    CHECK(strcmp(weights_at(d, 1)->name, "conv0.bias") == 0);
    CHECK(weights_check(d, &diag, (Loc){0}, forwards, 3));
    for (size_t t = 0; t < 3; t++)
      for (int64_t i = 0; i < weights_at(a, t)->elems; i++)
        CHECK(weights_get(a, weights_at(a, t), i) == weights_get(d, weights_at(d, t), i));
  }
  weights_close(d);
  CHECK(weights_save(a, in_folder("no/such/folder")) != NULL);
}

/* ---- recipes ---- */

static void test_text(void) {
  static const char *const good[] = {
      "conv0.weight[8,3,3,3]",
      "separable7.2.depthwise0.weight[8,1,3,3]",
      "x[]",
      "\"odd name\"[2]",
      "\"a\\\"b\\\\c\\n\"[2]",
      "\"\"[2]",
      "\"a.\"[2]",
      "add[3]",
      "0.001",
      "-3",
      "6/7",
      "mul(conv0.weight[8,3,3,3], reshape(div(bn.w[8], sqrt(add(bn.v[8], 0.001))), [8, 1, 1, 1]))",
      "permute(a[2,3,4], [2, 0, 1])",
      "sub(a[2,1], b[3])",
      "[1, -2/3, 0.5]",
      "sum(mul(a[2,3,4], reshape([1, 2, 3], [1, 3, 1])))",
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    const char *error = "";
    const Recipe *recipe = recipe_parse(arena, good[i], &error);
    if (!recipe) {
      fprintf(stderr, "%s: %s\n", good[i], error);
      failures++;
      continue;
    }
    Writer w;
    writer_init(&w);
    recipe_print(&w, recipe);
    if (strcmp(w.data, good[i]) != 0) {
      fprintf(stderr, "%s was printed as %s\n", good[i], w.data);
      failures++;
    }
    const Recipe *again = recipe_parse(arena, w.data, &error);
    CHECK(again && recipe_equal(recipe, again));
    writer_free(&w);
  }

  static const char *const bad[] = {"",
                                    " ",
                                    "a",
                                    "a[",
                                    "a[1",
                                    "a[1,]",
                                    "a[0]",
                                    "a[-1]",
                                    "a[1,1,1,1,1,1,1]",
                                    "a[99999999999999999999]",
                                    "a[1000000,1000000,1000000]",
                                    "a[2] b",
                                    "(a[2])",
                                    "neg(a[2])",
                                    "add(a[2])",
                                    "add(a[2], b[3])",
                                    "add(a[2], b[2]",
                                    "add(a[2] b[2])",
                                    "sqrt()",
                                    "sqrt(a[2], b[2])",
                                    "reshape(a[4], [2, 3])",
                                    "reshape(a[4])",
                                    "[]",
                                    "[1, a[2]]",
                                    "[1",
                                    "sum(3)",
                                    "sum(a[2], b[2])",
                                    "permute(a[2,3], [0])",
                                    "permute(a[2,3], [0, 0])",
                                    "permute(a[2,3], [0, 2])",
                                    "permute(a[2,3], [0, 1, 2])",
                                    "\"a",
                                    "\"a\\q\"[2]",
                                    "\"\\x00\"[2]",
                                    "\"\\x\"[2]",
                                    "1/0",
                                    "1e",
                                    "--1",
                                    "1e999999",
                                    "a.[2]",
                                    ".a[2]",
                                    "add(a[1000000,1,1000000], b[1,1000000,1])"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *error = NULL;
    if (recipe_parse(arena, bad[i], &error) || !error) {
      fprintf(stderr, "accepted, or refused without a word: %s\n", bad[i]);
      failures++;
    }
  }
  Writer w;
  writer_init(&w);
  for (int i = 0; i < 100000; i++)
    write_text(&w, "sqrt(");
  const char *error = NULL;
  CHECK(!recipe_parse(arena, w.data, &error) && error && strstr(error, "deeply"));
  writer_free(&w);

  const int64_t two[] = {2};
  const Recipe *a = recipe_tensor(arena, "a", 1, two), *b = recipe_tensor(arena, "b", 1, two);
  CHECK(!recipe_equal(a, b));
  CHECK(!recipe_equal(recipe_binary(arena, RECIPE_SUB, a, b),
                      recipe_binary(arena, RECIPE_SUB, b, a)));
  CHECK(recipe_equal(recipe_sqrt(arena, a), recipe_sqrt(arena, recipe_tensor(arena, "a", 1, two))));
}

/* Values of a recipe over w = [[0, 1, 2], [3, 4, 5]] and v = [10, 20, 30]. */
static void check_values(const Weights *weights, const char *text, int n, const double *expected) {
  const char *error = "";
  const Recipe *recipe = recipe_parse(arena, text, &error);
  if (!recipe || recipe_elems(recipe) != n) {
    fprintf(stderr, "%s: %s\n", text, error);
    failures++;
    return;
  }
  double *out = ARENA_ARRAY(arena, double, n);
  recipe_evaluate(recipe, weights, out);
  /* The same in stretches of three, the last one first. */
  double *stretches = ARENA_ARRAY(arena, double, n);
  RecipeReader *reader = recipe_reader(arena, recipe, weights);
  for (int begin = (n - 1) / 3 * 3; begin >= 0; begin -= 3)
    recipe_read(reader, begin, n - begin < 3 ? n - begin : 3, stretches + begin);
  CHECK(memcmp(out, stretches, (size_t)n * sizeof *out) == 0);
  for (int i = 0; i < n; i++)
    if (out[i] != expected[i]) {
      fprintf(stderr, "%s: element %d is %g, not %g\n", text, i, out[i], expected[i]);
      failures++;
    }
}

static void test_evaluate(void) {
  static const unsigned char bf16[] = {0,    0,    0x80, 0x3f, 0,    0x40, 0x40, 0x40, 0x80,
                                       0x40, 0xa0, 0x40, 0x20, 0x41, 0xa0, 0x41, 0xf0, 0x41};
  int errors;
  Weights *weights =
      open_counting(make_file("values.safetensors", -1,
                              "{\"w\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                              "\"v\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[12,18]}}",
                              bf16, sizeof bf16),
                    &errors);
  CHECK(weights);
  if (!weights)
    return;
#define VALUES(text, ...)                                                                          \
  do {                                                                                             \
    static const double expected[] = {__VA_ARGS__};                                                \
    check_values(weights, text, (int)(sizeof expected / sizeof *expected), expected);              \
  } while (0)
  VALUES("1/4", 0.25);
  VALUES("w[2,3]", 0, 1, 2, 3, 4, 5);
  VALUES("mul(w[2,3], 2)", 0, 2, 4, 6, 8, 10);
  VALUES("sub(10, w[2,3])", 10, 9, 8, 7, 6, 5);
  VALUES("add(w[2,3], v[3])", 10, 21, 32, 13, 24, 35);
  VALUES("sub(v[3], w[2,3])", 10, 19, 28, 7, 16, 25);
  VALUES("div(v[3], 10)", 1, 2, 3);
  VALUES("add(w[2,3], [1/2, 0, -1])", 0.5, 1, 1, 3.5, 4, 4);
  VALUES("sum(w[2,3])", 3, 12);
  VALUES("sum(reshape(w[2,3], [3, 1, 2]))", 1, 5, 9);
  VALUES("sqrt(mul(w[2,3], w[2,3]))", 0, 1, 2, 3, 4, 5);
  VALUES("permute(w[2,3], [1, 0])", 0, 3, 1, 4, 2, 5);
  VALUES("permute(reshape(w[2,3], [1, 2, 1, 3]), [3, 2, 1, 0])", 0, 3, 1, 4, 2, 5);
  VALUES("permute(reshape(w[2,3], [3, 2]), [1, 0])", 0, 2, 4, 1, 3, 5);
  VALUES("add(reshape(v[3], [3, 1]), v[3])", 20, 30, 40, 30, 40, 50, 40, 50, 60);
  VALUES("mul(permute(w[2,3], [1, 0]), reshape(v[3], [3, 1]))", 0, 30, 20, 80, 60, 150);
  VALUES("sub(reshape(v[3], [1, 3, 1]), reshape(w[2,3], [2, 1, 3]))", 10, 9, 8, 20, 19, 18, 30, 29,
         28, 7, 6, 5, 17, 16, 15, 27, 26, 25);
#undef VALUES
  weights_close(weights);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: weights_test FOLDER\n");
    return 2;
  }
  folder = argv[1];
  arena = arena_new();
  test_types();
  test_malformed();
  test_check();
  test_random();
  test_text();
  test_evaluate();
  test_damaged();
  arena_free(arena);
  if (failures)
    printf("%d failed\n", failures);
  return failures != 0;
}
