#include "commands/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "support/output.h"

static const Loc nowhere = {0};
static const char npy_magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

static bool is_npy(const char *path) {
  size_t n = strlen(path);
  return n > 4 && strcmp(path + n - 4, ".npy") == 0;
}

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int read_random(Diag *diag, const char *text, Elem elem, int64_t n, void *data) {
  char *end;
  uint64_t state = strtoull(text, &end, 10);
  if (!*text || *end) {
    diag_error(diag, nowhere, "'random:%s': the seed must be a whole number", text);
    return EXIT_USAGE;
  }
  float *floats = data;
  uint8_t *bytes = data;
  for (int64_t i = 0; i < n; i++) {
    uint64_t random = next_random(&state);
    if (elem == ELEM_U8)
      bytes[i] = (uint8_t)(random >> 56);
    else
      floats[i] = (float)((int64_t)(random >> 40) - (1 << 23)) / (float)(1 << 23);
  }
  return EXIT_FINE;
}

/* Checks the header of an .npy file against the shape; returns the offset of the data, 0 after an error. */
static size_t npy_data(Diag *diag, const char *path, const char *bytes, size_t len, Elem elem, int64_t elems) {
  if (len < 12 || memcmp(bytes, npy_magic, 6) != 0) {
    diag_error(diag, nowhere, "'%s' is not a NumPy file", path);
    return 0;
  }
  size_t start = bytes[6] == 1 ? 10 : 12;
  size_t header = (size_t)(unsigned char)bytes[8] | (size_t)(unsigned char)bytes[9] << 8;
  if (bytes[6] != 1)
    header |= (size_t)(unsigned char)bytes[10] << 16 | (size_t)(unsigned char)bytes[11] << 24;
  if (header > len - start) {
    diag_error(diag, nowhere, "'%s': the header is longer than the file", path);
    return 0;
  }
  char *text = calloc(1, header + 1);
  if (!text)
    BUG("out of memory");
  memcpy(text, bytes + start, header);
  bool u8 = elem == ELEM_U8;
  size_t elem_size = (size_t)elem_bytes(elem);
  bool fine = strstr(text, u8 ? "'|u1'" : "'<f4'") && strstr(text, "'fortran_order': False");
  free(text);
  if (!fine) {
    diag_error(diag, nowhere, "'%s' must hold %s in C order ('%s', fortran_order False)", path,
               u8 ? "u8" : "little-endian f32", u8 ? "|u1" : "<f4");
    return 0;
  }
  if ((len - start - header) != (size_t)elems * elem_size) {
    diag_error(diag, nowhere, "'%s' holds %zu numbers, but the input needs %lld", path,
               (len - start - header) / elem_size, (long long)elems);
    return 0;
  }
  return start + header;
}

int tensor_read(Diag *diag, const char *path, const char *name, const Shape *shape, void *data) {
  int64_t elems = shape_elems(shape);
  if (strncmp(path, "random:", 7) == 0)
    return read_random(diag, path + 7, shape->elem, elems, data);
  char *bytes;
  size_t len;
  const char *problem = read_file(path, &bytes, &len);
  if (problem) {
    diag_error(diag, nowhere, "cannot read '%s': %s", path, problem);
    return EXIT_IO;
  }
  int status = EXIT_FINE;
  size_t start = 0;
  if (is_npy(path)) {
    start = npy_data(diag, path, bytes, len, shape->elem, elems);
    status = start ? EXIT_FINE : EXIT_USER;
  } else if (len != (size_t)shape_bytes(shape)) {
    Arena *scratch = arena_new();
    diag_error(diag, nowhere, "'%s' has %zu bytes, but input '%s' is %s: %lld bytes", path, len, name,
               shape_text(scratch, shape), (long long)shape_bytes(shape));
    arena_free(scratch);
    status = EXIT_USER;
  }
  if (status == EXIT_FINE)
    memcpy(data, bytes + start, (size_t)shape_bytes(shape));
  free(bytes);
  return status;
}

void tensor_write(Writer *w, const char *path, const Shape *shape, const void *data) {
  if (is_npy(path)) {
    char header[128];
    int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                     shape->elem == ELEM_I32 ? "<i4" : "<f4");
    for (int i = 0; i < shape->rank; i++)
      n += snprintf(header + n, sizeof header - (size_t)n, "%lld, ", (long long)shape->dims[i]);
    n += snprintf(header + n, sizeof header - (size_t)n, "), }");
    while ((n + 11) % 64)
      header[n++] = ' ';
    header[n++] = '\n';
    write_bytes(w, npy_magic, sizeof npy_magic);
    const char version[4] = {1, 0, (char)(n & 255), (char)(n >> 8)};
    write_bytes(w, version, sizeof version);
    write_bytes(w, header, (size_t)n);
  }
  write_bytes(w, data, (size_t)shape_bytes(shape));
}
