/* Weights: one interface over a safetensors file and over random numbers.
 *
 * The random source is a counter-based generator: element i of tensor t is a
 * hash of (seed, name of t, i), so that nothing depends on the order in which
 * tensors are asked for, and only integer arithmetic and powers of two stand
 * between the hash and the value. */
#include "weights/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/output.h"
#include "support/vec.h"
#include "weights/safetensors.h"

/* A tensor of either source. `pub` comes first: weights_find hands out its address. */
typedef struct Tensor {
  WeightTensor pub;
  /* A file's: */
  const SafetensorsType *type;
  const unsigned char *data;
  /* Random: value = offset + (hash >> shift) * unit, a power of two. */
  uint64_t key;
  int shift;
  double unit;
  double offset;
} Tensor;

struct Weights {
  const char *path; /* null: random */
  SafetensorsFile file;
  Tensor *tensors;
  size_t n;
  const Tensor **by_name; /* the same, sorted */
};

/* ---- finding ---- */

static int compare_names(const void *a, const void *b) {
  const Tensor *const *x = a, *const *y = b;
  return strcmp((*x)->pub.name, (*y)->pub.name);
}

static void index_names(Arena *arena, Weights *weights) {
  weights->by_name = ARENA_ARRAY(arena, const Tensor *, weights->n);
  for (size_t i = 0; i < weights->n; i++)
    weights->by_name[i] = &weights->tensors[i];
  qsort(weights->by_name, weights->n, sizeof *weights->by_name, compare_names);
}

const WeightTensor *weights_find(const Weights *weights, const char *name) {
  size_t lo = 0, hi = weights->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    int order = strcmp(name, weights->by_name[mid]->pub.name);
    if (order == 0)
      return &weights->by_name[mid]->pub;
    if (order < 0)
      hi = mid;
    else
      lo = mid + 1;
  }
  return NULL;
}

size_t weights_count(const Weights *weights) { return weights->n; }

const WeightTensor *weights_at(const Weights *weights, size_t i) {
  return &weights->tensors[i].pub;
}

/* ---- a file ---- */

/* PyTorch's batchnorm counts its training steps in an i64; it is of no use to inference. */
static bool is_ignored(const char *name) {
  static const char suffix[] = "num_batches_tracked";
  size_t len = strlen(name), suffix_len = sizeof suffix - 1;
  return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0 &&
         (len == suffix_len || name[len - suffix_len - 1] == '.');
}

Weights *weights_open(Arena *arena, Diag *diag, Loc loc, const char *path) {
  Weights *weights = ARENA_NEW(arena, Weights);
  if (!safetensors_open(&weights->file, arena, diag, loc, path))
    return NULL;
  weights->path = arena_strndup(arena, path, strlen(path));
  weights->tensors = ARENA_ARRAY(arena, Tensor, weights->file.n);
  for (size_t i = 0; i < weights->file.n; i++) {
    const SafetensorsTensor *from = &weights->file.tensors[i];
    if (is_ignored(from->name))
      continue;
    Tensor *to = &weights->tensors[weights->n++];
    to->pub = (WeightTensor){.name = from->name, .rank = from->rank, .elems = from->elems};
    memcpy(to->pub.dims, from->dims, sizeof to->pub.dims);
    to->type = from->type;
    to->data = from->data;
  }
  index_names(arena, weights);
  return weights;
}

void weights_close(Weights *weights) {
  if (weights)
    safetensors_close(&weights->file);
}

/* ---- random numbers ---- */

/* The output function of splitmix64: a bijection that scatters consecutive numbers. */
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

static const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);

/* FNV-1a. */
static uint64_t hash_name(const char *name) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (; *name; name++)
    hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
  return hash;
}

/* How the hash becomes a value. Every result is a multiple of its unit below 2^24 units: exact in
 * f32. */
static void set_distribution(Tensor *tensor, WeightRole role, int64_t fan_in) {
  switch (role) {
  case ROLE_KERNEL: {
    /* 2^(2k - 1) <= fan_in < 2^(2k + 1), so that a sum keeps the size of its inputs. */
    int bits = 0;
    while (fan_in >> bits > 1)
      bits++;
    int k = (bits + 1) / 2;
    tensor->shift = 64 - 24;
    tensor->unit = ldexp(1, -23 - k);
    tensor->offset = -ldexp(1, -k);
    return;
  }
  case ROLE_BIAS:
  case ROLE_MEAN:
    tensor->shift = 64 - 24;
    tensor->unit = 0x1p-26;
    tensor->offset = -0.125;
    return;
  case ROLE_SCALE:
  case ROLE_VARIANCE: /* 23 bits: above 1 an f32 has no more behind the point */
    tensor->shift = 64 - 23;
    tensor->unit = 0x1p-23;
    tensor->offset = 0.5;
    return;
  }
  BUG("weight role %d", (int)role);
}

Weights *weights_random(Arena *arena, uint64_t seed, const WeightDecl *const *decls, size_t n) {
  Weights *weights = ARENA_NEW(arena, Weights);
  weights->tensors = ARENA_ARRAY(arena, Tensor, n);
  weights->n = n;
  for (size_t i = 0; i < n; i++) {
    Tensor *tensor = &weights->tensors[i];
    const WeightDecl *decl = decls[i];
    tensor->pub = (WeightTensor){.name = decl->name, .rank = decl->rank, .elems = 1};
    memcpy(tensor->pub.dims, decl->dims, sizeof tensor->pub.dims);
    for (int d = 0; d < decl->rank; d++)
      tensor->pub.elems *= decl->dims[d];
    tensor->key = mix(hash_name(decl->name) ^ mix(seed + golden));
    set_distribution(tensor, decl->role, decl->fan_in);
  }
  index_names(arena, weights);
  return weights;
}

/* ---- values ---- */

static double get(const Tensor *tensor, int64_t i) {
  if (tensor->data)
    return tensor->type->read(tensor->data + i * tensor->type->bytes);
  uint64_t hash = mix(tensor->key + (uint64_t)(i + 1) * golden) >> tensor->shift;
  return tensor->offset + (double)hash * tensor->unit;
}

double weights_get(const Weights *weights, const WeightTensor *tensor, int64_t i) {
  (void)weights;
  const Tensor *from = (const Tensor *)(const void *)tensor;
  if (i < 0 || i >= tensor->elems)
    BUG("element %" PRId64 " of '%s', which has %" PRId64, i, tensor->name, tensor->elems);
  if (from->data && !from->type->read)
    BUG("'%s' has dtype %s", tensor->name, from->type->name);
  return get(from, i);
}

/* ---- checking ---- */

static const char *dims_text(Arena *arena, int rank, const int64_t *dims) {
  Writer w;
  writer_init(&w);
  write_text(&w, "[");
  for (int i = 0; i < rank; i++)
    write_f(&w, i ? ", %" PRId64 : "%" PRId64, dims[i]);
  write_text(&w, "]");
  return writer_take(&w, arena);
}

/* What is wrong with the tensor for this declaration, or null. */
static const char *problem(Arena *arena, const Tensor *tensor, const WeightDecl *decl) {
  const char *name = decl->name;
  if (!tensor)
    return arena_printf(arena, "tensor '%s' %s is missing", name,
                        dims_text(arena, decl->rank, decl->dims));
  if (tensor->pub.rank != decl->rank ||
      memcmp(tensor->pub.dims, decl->dims, (size_t)decl->rank * sizeof *decl->dims) != 0)
    return arena_printf(arena, "tensor '%s' is %s; the network needs %s", name,
                        dims_text(arena, tensor->pub.rank, tensor->pub.dims),
                        dims_text(arena, decl->rank, decl->dims));
  if (tensor->data && !tensor->type->read)
    return arena_printf(arena, "tensor '%s' has dtype %s; F32, F64, F16 and BF16 are supported",
                        name, tensor->type->name);
  for (int64_t i = 0; i < tensor->pub.elems; i++) {
    double value = get(tensor, i);
    if (!isfinite(value))
      return arena_printf(arena, "element %" PRId64 " of tensor '%s' is not finite", i, name);
    if (decl->role == ROLE_VARIANCE && value < 0)
      return arena_printf(arena, "element %" PRId64 " of tensor '%s', a variance, is negative", i,
                          name);
  }
  return NULL;
}

typedef struct Note {
  Loc loc;
  const char *text;
} Note;

bool weights_check(Weights *weights, Diag *diag, Loc loc, const WeightDecl *const *decls,
                   size_t n) {
  Arena *scratch = arena_new();
  VEC(Note) notes = {0};
  bool *used = ARENA_ARRAY(scratch, bool, weights->n);
  for (size_t i = 0; i < n; i++) {
    const Tensor *tensor = (const Tensor *)(const void *)weights_find(weights, decls[i]->name);
    if (tensor)
      used[tensor - weights->tensors] = true;
    const char *text = problem(scratch, tensor, decls[i]);
    if (text)
      VEC_PUSH(scratch, notes, ((Note){decls[i]->loc, text}));
  }
  for (size_t i = 0; i < weights->n; i++) {
    if (!used[i]) {
      const WeightTensor *tensor = &weights->tensors[i].pub;
      const char *text = arena_printf(scratch, "tensor '%s' %s is not used by the network",
                                      tensor->name, dims_text(scratch, tensor->rank, tensor->dims));
      VEC_PUSH(scratch, notes, ((Note){{0}, text}));
    }
  }
  if (notes.len)
    diag_error(diag, loc, "weights '%s' do not fit the network",
               weights->path ? weights->path : "random");
  for (size_t i = 0; i < notes.len; i++)
    diag_note(diag, notes.at[i].loc, "%s", notes.at[i].text);
  bool ok = notes.len == 0;
  arena_free(scratch);
  return ok;
}

/* ---- writing ---- */

/* A string as JSON. */
static void write_json_string(Writer *w, const char *text) {
  write_bytes(w, "\"", 1);
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\' || c < ' ')
      write_f(w, "\\u%04x", c);
    else
      write_bytes(w, text, 1);
  }
  write_bytes(w, "\"", 1);
}

static void append_f32(unsigned char *at, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  for (int i = 0; i < 4; i++)
    at[i] = (unsigned char)(bits >> 8 * i);
}

const char *weights_save(const Weights *weights, const char *path) {
  for (size_t i = 0; i < weights->n; i++)
    if (weights->tensors[i].data && !weights->tensors[i].type->read)
      return "a tensor has a dtype that cannot be converted to F32";
  Writer w, header;
  writer_init(&header);
  int64_t end = 0;
  for (size_t i = 0; i < weights->n; i++) {
    const WeightTensor *tensor = &weights->tensors[i].pub;
    write_text(&header, i ? "," : "{");
    write_json_string(&header, tensor->name);
    write_text(&header, ":{\"dtype\":\"F32\",\"shape\":[");
    for (int d = 0; d < tensor->rank; d++)
      write_f(&header, d ? ",%" PRId64 : "%" PRId64, tensor->dims[d]);
    write_f(&header, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", end, end + 4 * tensor->elems);
    end += 4 * tensor->elems;
  }
  write_text(&header, weights->n ? "}" : "{}");
  /* The data begin at a multiple of 8, as the format's other writers have it. */
  while (header.len % 8)
    write_bytes(&header, " ", 1);

  writer_init(&w);
  unsigned char length[8];
  for (int i = 0; i < 8; i++)
    length[i] = (unsigned char)((uint64_t)header.len >> 8 * i);
  write_bytes(&w, length, sizeof length);
  write_bytes(&w, header.data, header.len);
  writer_free(&header);
  for (size_t i = 0; i < weights->n; i++) {
    const Tensor *tensor = &weights->tensors[i];
    for (int64_t e = 0; e < tensor->pub.elems; e++) {
      unsigned char bytes[4];
      append_f32(bytes, (float)get(tensor, e));
      write_bytes(&w, bytes, sizeof bytes);
    }
  }
  const char *error = write_file(path, w.data, w.len);
  writer_free(&w);
  return error;
}
