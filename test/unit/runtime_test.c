/* The runtime: arenas, mapping, descriptors, profiles. Usage: runtime_test FOLDER (for files). */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mnrt.h"
#include "check.h"

static void test_arena(void) {
  for (size_t align = 1; align <= 4096; align *= 2) {
    unsigned char *arena = mnrt_arena_new(1000, align);
    CHECK(arena && (uintptr_t)arena % align == 0);
    if (arena)
      memset(arena, 0xa5, 1000);
    mnrt_arena_free(arena);
  }
  /* In small pages, one large, and one with a rest. */
  for (size_t bytes = 500000; bytes < 3000000; bytes += 800000) {
    unsigned char *arena = mnrt_arena_new(bytes, 64);
    CHECK(arena && (uintptr_t)arena % 64 == 0);
    if (arena)
      memset(arena, 0xa5, bytes);
    mnrt_arena_free(arena);
  }
  void *empty = mnrt_arena_new(0, 16);
  CHECK(empty);
  mnrt_arena_free(empty);
  mnrt_arena_free(NULL);
  CHECK(!mnrt_arena_new(16, 0));
  CHECK(!mnrt_arena_new(16, 24));
}

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "wb");
  CHECK(file);
  if (!file)
    return;
  CHECK(fputs(text, file) >= 0);
  CHECK(fclose(file) == 0);
}

/* A way to bring a file into memory. */
typedef MnrtStatus Fill(MnrtMapping *mapping, const char *path, size_t bytes);

static void test_fill(const char *folder, Fill *fill) {
  char path[4096];
  snprintf(path, sizeof path, "%s/blob", folder);
  write_file(path, "weights");
  MnrtMapping mapping;
  CHECK(fill(&mapping, path, 7) == MNRT_OK);
  CHECK(mapping.bytes == 7 && mapping.data && memcmp(mapping.data, "weights", 7) == 0);
  mnrt_unmap_file(&mapping);
  CHECK(!mapping.data && mapping.bytes == 0);
  mnrt_unmap_file(&mapping);
  CHECK(fill(&mapping, path, 8) == MNRT_WRONG_SIZE && !mapping.data);
  CHECK(fill(&mapping, path, 6) == MNRT_WRONG_SIZE && !mapping.data);
  CHECK(fill(&mapping, folder, 7) == MNRT_NOT_A_FILE && !mapping.data);
  write_file(path, "");
  CHECK(fill(&mapping, path, 0) == MNRT_OK && mapping.data);
  mnrt_unmap_file(&mapping);
  CHECK(remove(path) == 0);
  errno = 0;
  CHECK(fill(&mapping, path, 7) == MNRT_CANNOT_OPEN && errno == ENOENT);
}

/* More than a large page, and no multiple of one: a little more, and enough for one more. */
static void test_large(const char *folder, Fill *fill, int bytes) {
  char path[4096];
  snprintf(path, sizeof path, "%s/large", folder);
  FILE *file = fopen(path, "wb");
  CHECK(file);
  for (int i = 0; i < bytes; i++)
    fputc(i % 251, file);
  CHECK(fclose(file) == 0);
  MnrtMapping mapping;
  CHECK(fill(&mapping, path, (size_t)bytes) == MNRT_OK && mapping.bytes == (size_t)bytes);
  const unsigned char *data = mapping.data;
  for (int i = 0; i < bytes; i++)
    CHECK(data[i] == i % 251);
  mnrt_unmap_file(&mapping);
  CHECK(remove(path) == 0);
}

static void test_map(const char *folder) {
  test_fill(folder, mnrt_map_file);
  test_fill(folder, mnrt_load_file);
  for (int bytes = (4 << 20) + 123; bytes < 6 << 20; bytes += 1 << 20) {
    test_large(folder, mnrt_map_file, bytes);
    test_large(folder, mnrt_load_file, bytes);
  }
  for (int status = MNRT_OK; status <= MNRT_BAD_MODEL + 1; status++)
    CHECK(strlen(mnrt_status_text((MnrtStatus)status)) > 0);
}

/* A model by hand: the sum of the input's elements. */
static void run_sum(const mncc_parallel *parallel, const void *weights, void *arena,
                    const void *const *inputs, void *const *outputs) {
  (void)parallel;
  (void)weights;
  (void)arena;
  const float *in = inputs[0];
  float sum = 0;
  for (int i = 0; i < 6; i++)
    sum += in[i];
  *(float *)outputs[0] = sum;
}

static void test_model(void) {
  MnrtTensor in = {"x", MNRT_F32, 2, {2, 3}, 0, 0}, out = {"y", MNRT_F32, 0, {0}, 0, 0};
  MnrtModel model = {MNRT_ABI_VERSION, "sum", 0, 16, 1, 0, 1, 1, &in, &out, run_sum};
  CHECK(mnrt_model_check(&model) == MNRT_OK);
  CHECK(mnrt_tensor_elems(&in) == 6 && mnrt_tensor_bytes(&in) == 24);
  CHECK(mnrt_tensor_elems(&out) == 1 && mnrt_tensor_bytes(&out) == 4);
  CHECK(mnrt_type_bytes(MNRT_I8) == 1 && mnrt_type_bytes(MNRT_U8) == 1 &&
        mnrt_type_bytes(MNRT_I16) == 2 && mnrt_type_bytes(MNRT_I32) == 4);

  const float x[6] = {1, 2, 3, 4, 5, 6};
  float y = 0;
  const void *inputs[] = {x};
  void *outputs[] = {&y};
  model.run(NULL, NULL, NULL, inputs, outputs);
  CHECK(y == 21);

  MnrtModel bad = model;
  bad.abi_version++;
  CHECK(mnrt_model_check(&bad) == MNRT_WRONG_ABI);
  bad = model;
  bad.arena_align = 12;
  CHECK(mnrt_model_check(&bad) == MNRT_BAD_MODEL);
  bad = model;
  bad.threads = 0;
  CHECK(mnrt_model_check(&bad) == MNRT_BAD_MODEL);
  bad = model;
  bad.inputs = NULL;
  CHECK(mnrt_model_check(&bad) == MNRT_BAD_MODEL);
  bad = model;
  MnrtTensor odd = in;
  bad.inputs = &odd;
  odd.dims[1] = 0;
  CHECK(mnrt_model_check(&bad) == MNRT_BAD_MODEL);
  odd.dims[0] = odd.dims[1] = INT64_MAX;
  CHECK(mnrt_model_check(&bad) == MNRT_BAD_MODEL);
  odd = in;
  odd.rank = MNRT_MAX_RANK + 1;
  CHECK(mnrt_model_check(&bad) == MNRT_BAD_MODEL);
}

static void test_profile(void) {
  uint64_t before = mnrt_now_ns();
  CHECK(mnrt_now_ns() >= before);
  MnrtProfileEntry entries[3];
  MnrtProfile profile = {entries, 3};
  mnrt_profile_reset(&profile);
  for (int i = 0; i < 10; i++) {
    mnrt_profile_begin(&profile, 0);
    mnrt_profile_begin(&profile, 2);
    mnrt_profile_end(&profile, 2);
    mnrt_profile_end(&profile, 0);
  }
  mnrt_profile_begin(&profile, 3); /* ignored */
  mnrt_profile_end(&profile, 3);
  CHECK(entries[0].calls == 10 && entries[1].calls == 0 && entries[2].calls == 10);
  CHECK(entries[0].total_ns >= entries[2].total_ns);
  CHECK(entries[0].min_ns <= entries[0].max_ns);
  CHECK(entries[0].total_ns >= 10 * entries[0].min_ns &&
        entries[0].total_ns <= 10 * entries[0].max_ns);
  mnrt_profile_reset(&profile);
  CHECK(entries[0].calls == 0 && entries[0].total_ns == 0);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: runtime_test FOLDER\n");
    return 2;
  }
  test_arena();
  test_map(argv[1]);
  test_model();
  test_profile();
  if (failures)
    fprintf(stderr, "%d failed\n", failures);
  return failures != 0;
}
