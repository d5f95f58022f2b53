/* Any bytes as a file of weights: opened, compared with what a network would want,
 * and every element read. The reader maps its file, so the bytes go into one. */
#include <stdlib.h>
#include <unistd.h>

#include "weights/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/fuzz_safetensors.XXXXXX";

static void remove_file(void) { unlink(path); }

static int open_file(void) {
  int file = mkstemp(path);
  if (file < 0)
    BUG("cannot make a file");
  atexit(remove_file);
  return file;
}

static double read_all(const Weights *weights) {
  double sum = 0;
  for (size_t i = 0; i < weights_count(weights); i++) {
    const WeightTensor *tensor = weights_at(weights, i);
    if (weights_find(weights, tensor->name) != tensor)
      BUG("tensor '%s' is not found by its name", tensor->name);
    for (int64_t k = 0; k < tensor->elems; k++)
      sum += weights_get(weights, tensor, k);
  }
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int file = -1;
  if (file < 0)
    file = open_file();
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
    BUG("cannot write the file");
  Arena *arena = arena_new();
  Diag diag;
  diag_init(&diag, arena);
  Weights *weights = weights_open(arena, &diag, (Loc){0}, path);
  if (!weights && !diag.errors)
    BUG("no weights and no error");
  if (weights) {
    WeightDecl a = {.name = "a", .role = ROLE_KERNEL, .rank = 2, .dims = {2, 3}, .fan_in = 3};
    WeightDecl b = {.name = "b", .role = ROLE_VARIANCE, .rank = 1, .dims = {2}};
    const WeightDecl *decls[] = {&a, &b};
    volatile double sum = weights_check(weights, &diag, (Loc){0}, decls, 2) ? read_all(weights) : 0;
    (void)sum;
    weights_close(weights);
  }
  arena_free(arena);
  return 0;
}
