/* Any bytes as a file of weights: opened, compared with what a network would want,
 * and every element read. The reader maps its file, so the bytes go into one, in memory: on a disk most of
 * the time would be waiting.
 *
 * Of a file whose length of the header is right the header is changed by itself, and the length with it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weights/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

enum { LENGTH_BYTES = 8 }; /* of the header, little-endian, in front of it */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  uint64_t length = 0;
  for (size_t i = 0; i < LENGTH_BYTES && i < size; i++)
    length |= (uint64_t)data[i] << (8 * i);
  if (seed % 8 == 0 || size < LENGTH_BYTES || length > size - LENGTH_BYTES || size > max_size)
    return LLVMFuzzerMutate(data, size, max_size);
  size_t rest = size - LENGTH_BYTES - (size_t)length;
  uint8_t *tail = malloc(rest + 1);
  if (!tail)
    BUG("out of memory");
  memcpy(tail, data + size - rest, rest);
  size_t header = LLVMFuzzerMutate(data + LENGTH_BYTES, (size_t)length, max_size - LENGTH_BYTES - rest);
  for (size_t i = 0; i < LENGTH_BYTES; i++)
    data[i] = (uint8_t)((uint64_t)header >> (8 * i));
  memcpy(data + LENGTH_BYTES + header, tail, rest);
  free(tail);
  return LENGTH_BYTES + header + rest;
}

static char path[] = "/dev/shm/fuzz_safetensors.XXXXXX";

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
