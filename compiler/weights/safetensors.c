/* The safetensors reader: map, check the header against the file, remember
 * where each tensor lies. Nothing that the header says is believed before it
 * has been compared with the size of the file. */
#include "weights/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

/* The bound that the reference implementation uses. */
enum { MAX_HEADER_BYTES = 100 * 1000 * 1000 };

/* ---- element types ---- */

/* Bytes are put together by hand: data need not be aligned, and the host may be big endian. */
static uint64_t little_endian(const unsigned char *at, int bytes) {
  uint64_t bits = 0;
  for (int i = bytes; i-- > 0;)
    bits = bits << 8 | at[i];
  return bits;
}

static double bits_to_f32(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}

static double read_f64(const unsigned char *at) {
  uint64_t bits = little_endian(at, 8);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static double read_f32(const unsigned char *at) {
  return bits_to_f32((uint32_t)little_endian(at, 4));
}

static double read_bf16(const unsigned char *at) {
  return bits_to_f32((uint32_t)little_endian(at, 2) << 16);
}

static double read_f16(const unsigned char *at) {
  uint32_t bits = (uint32_t)little_endian(at, 2);
  int exponent = (int)(bits >> 10 & 31);
  double fraction = (double)(bits & 1023);
  double value;
  if (exponent == 31)
    value = fraction > 0 ? (double)NAN : (double)INFINITY;
  else if (exponent == 0)
    value = ldexp(fraction, -24);
  else
    value = ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 ? -value : value;
}

static const SafetensorsType types[] = {
    {"F32", 4, read_f32}, {"F16", 2, read_f16}, {"BF16", 2, read_bf16}, {"F64", 8, read_f64},
    {"I64", 8, NULL},     {"U64", 8, NULL},     {"I32", 4, NULL},       {"U32", 4, NULL},
    {"I16", 2, NULL},     {"U16", 2, NULL},     {"I8", 1, NULL},        {"U8", 1, NULL},
    {"BOOL", 1, NULL},    {"C64", 8, NULL},     {"F8_E4M3", 1, NULL},   {"F8_E5M2", 1, NULL},
    {"F8_E8M0", 1, NULL},
};

static const SafetensorsType *find_type(const char *name) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i].name, name) == 0)
      return &types[i];
  return NULL;
}

/* ---- the header ---- */

typedef struct Reader {
  Arena *arena;
  Diag *diag;
  Loc loc;
  const char *path;
  uint64_t data_bytes; /* of the file behind the header */
  const unsigned char *data;
} Reader;

/* Where a tensor's bytes are, for the check that none is used twice or not at all. */
typedef struct Span {
  uint64_t begin, end;
  const char *name;
} Span;

/* A whole number >= 0 from JSON. */
static bool get_size(const json_t *value, uint64_t *size) {
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return false;
  *size = (uint64_t)json_integer_value(value);
  return true;
}

static bool read_shape(const Reader *r, const json_t *shape, SafetensorsTensor *tensor) {
  if (!json_is_array(shape)) {
    diag_error(r->diag, r->loc, "%s: tensor '%s' has no shape", r->path, tensor->name);
    return false;
  }
  size_t rank = json_array_size(shape);
  if (rank > SAFETENSORS_MAX_RANK) {
    diag_error(r->diag, r->loc, "%s: tensor '%s' has %zu dimensions; at most %d are supported",
               r->path, tensor->name, rank, (int)SAFETENSORS_MAX_RANK);
    return false;
  }
  tensor->rank = (int)rank;
  /* A zero anywhere makes the product zero, whatever the rest would overflow to. */
  bool overflow = false, empty = false;
  tensor->elems = 1;
  for (size_t i = 0; i < rank; i++) {
    uint64_t dim;
    if (!get_size(json_array_get(shape, i), &dim)) {
      diag_error(r->diag, r->loc, "%s: a dimension of tensor '%s' is not a whole number >= 0",
                 r->path, tensor->name);
      return false;
    }
    tensor->dims[i] = (int64_t)dim;
    if (dim == 0)
      empty = true;
    else if (!overflow && tensor->elems > INT64_MAX / (int64_t)dim)
      overflow = true;
    else if (!overflow)
      tensor->elems *= (int64_t)dim;
  }
  if (empty)
    tensor->elems = 0;
  else if (overflow || tensor->elems > INT64_MAX / tensor->type->bytes) {
    diag_error(r->diag, r->loc, "%s: the shape of tensor '%s' is too large", r->path, tensor->name);
    return false;
  }
  return true;
}

/* One entry of the header. False after an error. */
static bool read_tensor(const Reader *r, const char *name, const json_t *entry,
                        SafetensorsTensor *tensor, Span *span) {
  tensor->name = span->name = intern(r->arena, name);
  if (!json_is_object(entry)) {
    diag_error(r->diag, r->loc, "%s: the entry of tensor '%s' is not an object", r->path, name);
    return false;
  }
  const json_t *type = json_object_get(entry, "dtype");
  if (!json_is_string(type)) {
    diag_error(r->diag, r->loc, "%s: tensor '%s' has no dtype", r->path, name);
    return false;
  }
  tensor->type = find_type(json_string_value(type));
  if (!tensor->type) {
    diag_error(r->diag, r->loc, "%s: tensor '%s' has unknown dtype '%s'", r->path, name,
               json_string_value(type));
    return false;
  }
  if (!read_shape(r, json_object_get(entry, "shape"), tensor))
    return false;

  const json_t *offsets = json_object_get(entry, "data_offsets");
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
      !get_size(json_array_get(offsets, 0), &span->begin) ||
      !get_size(json_array_get(offsets, 1), &span->end)) {
    diag_error(r->diag, r->loc, "%s: the data_offsets of tensor '%s' are not two whole numbers",
               r->path, name);
    return false;
  }
  if (span->begin > span->end) {
    diag_error(r->diag, r->loc, "%s: tensor '%s' ends (%" PRIu64 ") before it begins (%" PRIu64 ")",
               r->path, name, span->end, span->begin);
    return false;
  }
  if (span->end > r->data_bytes) {
    diag_error(r->diag, r->loc,
               "%s: tensor '%s' ends at byte %" PRIu64 " of %" PRIu64 " bytes of data; is the file "
               "incomplete?",
               r->path, name, span->end, r->data_bytes);
    return false;
  }
  uint64_t bytes = (uint64_t)tensor->elems * (uint64_t)tensor->type->bytes;
  if (span->end - span->begin != bytes) {
    diag_error(r->diag, r->loc,
               "%s: tensor '%s' has %" PRIu64 " bytes of data; its shape and dtype %s need "
               "%" PRIu64,
               r->path, name, span->end - span->begin, tensor->type->name, bytes);
    return false;
  }
  tensor->data = r->data + span->begin;
  return true;
}

static int by_begin(const void *a, const void *b) {
  const Span *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end; /* empty ones first */
}

/* The format wants the data covered exactly: no byte used twice, none left over. */
static bool check_cover(const Reader *r, Span *spans, size_t n) {
  qsort(spans, n, sizeof *spans, by_begin);
  uint64_t end = 0;
  for (size_t i = 0; i < n; i++) {
    if (spans[i].begin < end) {
      diag_error(r->diag, r->loc, "%s: tensors '%s' and '%s' overlap", r->path, spans[i - 1].name,
                 spans[i].name);
      return false;
    }
    if (spans[i].begin > end)
      break;
    end = spans[i].end;
  }
  if (end != r->data_bytes) {
    diag_error(r->diag, r->loc, "%s: the data from byte %" PRIu64 " on belong to no tensor",
               r->path, end);
    return false;
  }
  return true;
}

static bool read_header(const Reader *r, const json_t *header, SafetensorsFile *file) {
  if (!json_is_object(header)) {
    diag_error(r->diag, r->loc, "%s: the header is not a JSON object", r->path);
    return false;
  }
  size_t entries = json_object_size(header);
  file->tensors = ARENA_ARRAY(r->arena, SafetensorsTensor, entries);
  Span *spans = ARENA_ARRAY(r->arena, Span, entries);
  /* jansson iterates in the order of the text. */
  void *at = json_object_iter((json_t *)(uintptr_t)header);
  for (; at; at = json_object_iter_next((json_t *)(uintptr_t)header, at)) {
    const char *name = json_object_iter_key(at);
    if (strcmp(name, "__metadata__") == 0)
      continue;
    if (!read_tensor(r, name, json_object_iter_value(at), &file->tensors[file->n], &spans[file->n]))
      return false;
    file->n++;
  }
  return check_cover(r, spans, file->n);
}

/* ---- the file ---- */

/* Maps a regular file of at least 8 bytes. */
static bool map_file(SafetensorsFile *file, Diag *diag, Loc loc, const char *path) {
  /* O_NONBLOCK so that a pipe in the place of a file is refused below instead of waited for. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) {
    diag_error(diag, loc, "cannot open weights '%s': %s", path, strerror(errno));
    if (fd >= 0)
      close(fd);
    return false;
  }
  if (!S_ISREG(status.st_mode)) {
    diag_error(diag, loc, "cannot read weights '%s': not a regular file", path);
  } else if (status.st_size < 8) {
    diag_error(diag, loc, "%s: not a safetensors file: shorter than 8 bytes", path);
  } else if ((uintmax_t)status.st_size > SIZE_MAX) {
    diag_error(diag, loc, "%s: too large to be mapped", path);
  } else {
    file->map_bytes = (size_t)status.st_size;
    file->map = mmap(NULL, file->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file->map == MAP_FAILED) {
      file->map = NULL;
      diag_error(diag, loc, "cannot map weights '%s': %s", path, strerror(errno));
    }
  }
  close(fd);
  return file->map != NULL;
}

bool safetensors_open(SafetensorsFile *file, Arena *arena, Diag *diag, Loc loc, const char *path) {
  *file = (SafetensorsFile){0};
  if (!map_file(file, diag, loc, path))
    return false;

  const unsigned char *bytes = file->map;
  uint64_t header_bytes = little_endian(bytes, 8), rest = file->map_bytes - 8;
  bool ok = false;
  if (header_bytes > rest) {
    diag_error(diag, loc,
               "%s: not a safetensors file, or incomplete: a header of %" PRIu64 " bytes in a file "
               "of %zu",
               path, header_bytes, file->map_bytes);
  } else if (header_bytes > MAX_HEADER_BYTES) {
    diag_error(diag, loc, "%s: the header has %" PRIu64 " bytes; at most %d are supported", path,
               header_bytes, (int)MAX_HEADER_BYTES);
  } else {
    json_error_t error;
    json_t *header =
        json_loadb((const char *)bytes + 8, (size_t)header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (header) {
      Reader reader = {.arena = arena,
                       .diag = diag,
                       .loc = loc,
                       .path = path,
                       .data_bytes = rest - header_bytes,
                       .data = bytes + 8 + header_bytes};
      ok = read_header(&reader, header, file);
      json_decref(header);
    } else {
      diag_error(diag, loc, "%s: the header is not valid JSON: %s", path, error.text);
    }
  }
  if (!ok)
    safetensors_close(file);
  return ok;
}

void safetensors_close(SafetensorsFile *file) {
  if (file->map)
    munmap(file->map, file->map_bytes);
  *file = (SafetensorsFile){0};
}
