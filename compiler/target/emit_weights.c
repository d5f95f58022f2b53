/* Weight buffers as bytes, for every output language.
 *
 * The layout puts the buffers one behind another in program order, each
 * aligned. Buffers that are sure to hold the same bytes (same element type,
 * equal recipes or equal values) share one place; a hash of the recipe keeps
 * that search cheap. The bytes themselves are made one buffer at a time, when
 * a back end is about to write them. */
#include "target/target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weights/recipe.h"

/* ---- layout ---- */

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
  return hash;
}

static uint64_t hash_int(uint64_t hash, int64_t value) {
  return hash_bytes(hash, &value, sizeof value);
}

/* Follows `a` in a loop and `b` by recursion: folded recipes lean to the left. */
static uint64_t hash_recipe(uint64_t hash, const Recipe *recipe) {
  for (; recipe; recipe = recipe->a) {
    hash = hash_int(hash, (int64_t)recipe->kind);
    for (int i = 0; i < recipe->rank; i++)
      hash = hash_int(hash, recipe->dims[i]);
    if (recipe->kind == RECIPE_TENSOR)
      hash = hash_bytes(hash, recipe->name, strlen(recipe->name));
    if (recipe->kind == RECIPE_CONST)
      hash = hash_int(hash_int(hash, recipe->value.num), recipe->value.den);
    if (recipe->b)
      hash = hash_recipe(hash, recipe->b);
  }
  return hash;
}

static uint64_t hash_contents(const Buffer *buffer) {
  uint64_t hash = hash_int(UINT64_C(14695981039346656037), (int64_t)buffer->elem);
  if (buffer->recipe)
    return hash_recipe(hash, buffer->recipe);
  return hash_bytes(hash, buffer->values, (size_t)buffer_elems(buffer) * sizeof(double));
}

static bool same_contents(const Buffer *a, const Buffer *b) {
  if (a->elem != b->elem || buffer_elems(a) != buffer_elems(b))
    return false;
  if (a->recipe || b->recipe)
    return a->recipe && b->recipe && recipe_equal(a->recipe, b->recipe);
  return memcmp(a->values, b->values, (size_t)buffer_elems(a) * sizeof(double)) == 0;
}

WeightLayout weight_layout(Arena *arena, const Program *program, int align) {
  WeightLayout layout = {0};
  layout.places = ARENA_ARRAY(arena, WeightPlace, program->buffers.len);
  uint64_t *hashes = ARENA_ARRAY(arena, uint64_t, program->buffers.len);
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *buffer = program->buffers.at[i];
    if (buffer->kind != BUFFER_WEIGHT)
      continue;
    if (!buffer->recipe && !buffer->values)
      BUG("weight buffer '%s' has neither a recipe nor values", buffer->name);
    WeightPlace *place = &layout.places[layout.n];
    place->buffer = buffer;
    place->bytes = buffer_bytes(buffer);
    place->offset = -1;
    hashes[layout.n] = hash_contents(buffer);
    for (size_t k = 0; k < layout.n && place->offset < 0; k++)
      if (hashes[k] == hashes[layout.n] && layout.places[k].offset % buffer->align == 0 &&
          same_contents(layout.places[k].buffer, buffer))
        place->offset = layout.places[k].offset;
    if (place->offset < 0) {
      int64_t to = align > buffer->align ? align : buffer->align;
      place->offset = (layout.total_bytes + to - 1) / to * to;
      layout.total_bytes = place->offset + place->bytes;
    }
    layout.n++;
  }
  return layout;
}

const WeightPlace *weight_place(const WeightLayout *layout, const Buffer *buffer) {
  for (size_t i = 0; i < layout->n; i++)
    if (layout->places[i].buffer == buffer)
      return &layout->places[i];
  return NULL;
}

/* ---- contents ---- */

typedef struct IntRange {
  double min, max;
} IntRange;

static IntRange int_range(Elem elem) {
  switch (elem) {
  case ELEM_I8:
    return (IntRange){-128, 127};
  case ELEM_U8:
    return (IntRange){0, 255};
  case ELEM_I16:
    return (IntRange){-32768, 32767};
  case ELEM_I32:
    return (IntRange){-2147483648.0, 2147483647.0};
  case ELEM_F32:
  case ELEM_I64:
  case ELEM_MASK:
    break;
  }
  BUG("a weight buffer cannot hold %s", elem_name(elem));
}

/* From here on a double rounds to an f32 infinity: the largest f32 and half a unit. */
#define F32_LIMIT 0x1.ffffffp127

static void store_bytes(unsigned char *out, uint32_t bits, int bytes, bool big_endian) {
  for (int i = 0; i < bytes; i++)
    out[big_endian ? bytes - 1 - i : i] = (unsigned char)(bits >> (8 * i));
}

bool weight_bytes(const Buffer *buffer, const Weights *weights, Diag *diag, bool big_endian,
                  void *out) {
  int64_t n = buffer_elems(buffer);
  int bytes = elem_bytes(buffer->elem);
  double *own = NULL;
  const double *values = buffer->values;
  if (buffer->recipe) {
    if (recipe_elems(buffer->recipe) != n)
      BUG("recipe of '%s' has %lld elements, the buffer %lld", buffer->name,
          (long long)recipe_elems(buffer->recipe), (long long)n);
    own = calloc((size_t)n, sizeof *own);
    if (!own) {
      diag_error(diag, (Loc){0}, "out of memory for the %lld values of weight buffer '%s'",
                 (long long)n, buffer->name);
      return false;
    }
    recipe_evaluate(buffer->recipe, weights, own);
    values = own;
  }

  bool ok = true;
  unsigned char *at = out;
  for (int64_t i = 0; i < n && ok; i++, at += bytes) {
    uint32_t bits = 0;
    if (buffer->elem == ELEM_F32) {
      ok = fabs(values[i]) < F32_LIMIT; /* false for a NaN */
      float rounded = ok ? (float)values[i] : 0.0f;
      memcpy(&bits, &rounded, sizeof bits);
    } else {
      IntRange range = int_range(buffer->elem);
      double rounded = rint(values[i]);
      ok = rounded >= range.min && rounded <= range.max; /* false for a NaN */
      bits = ok ? (uint32_t)(int64_t)rounded : 0;
    }
    store_bytes(at, bits, bytes, big_endian);
    if (!ok)
      diag_error(diag, (Loc){0}, "value %g of element %lld of weight buffer '%s'%s%s%s %s %s",
                 values[i], (long long)i, buffer->name, buffer->note ? " (" : "",
                 buffer->note ? buffer->note : "", buffer->note ? ")" : "",
                 isfinite(values[i]) ? "does not fit" : "is not a finite", elem_name(buffer->elem));
  }
  free(own);
  return ok;
}
