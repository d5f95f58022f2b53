/* Weight buffers as bytes, for every output language.
 *
 * The layout puts the buffers one behind another in program order, each
 * aligned, those of the variants one after the other. Buffers that are sure to hold the same bytes (same element type,
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

/* Places by the hash of their contents: open addressing, at most half full. */
typedef struct PlaceTable {
  uint64_t *hashes;
  size_t *numbers; /* of places, from 1; 0: free */
  size_t mask;
} PlaceTable;

static PlaceTable table_new(Arena *arena, size_t most) {
  size_t cap = 16;
  while (cap < 2 * most)
    cap *= 2;
  return (PlaceTable){ARENA_ARRAY(arena, uint64_t, cap), ARENA_ARRAY(arena, size_t, cap), cap - 1};
}

/* The first place with the buffer's contents and alignment, or `number`, which is entered. */
static size_t find_or_enter(PlaceTable *table, const WeightPlace *places, size_t number) {
  const Buffer *buffer = places[number].buffer;
  uint64_t hash = hash_contents(buffer);
  size_t slot = (size_t)(hash ^ hash >> 32) & table->mask;
  for (; table->numbers[slot]; slot = (slot + 1) & table->mask) {
    const WeightPlace *known = &places[table->numbers[slot] - 1];
    if (table->hashes[slot] == hash && known->offset % buffer->align == 0 && same_contents(known->buffer, buffer))
      return table->numbers[slot] - 1;
  }
  table->hashes[slot] = hash;
  table->numbers[slot] = number + 1;
  return number;
}

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t)(*(const WeightPlace *const *)a)->buffer, y = (uintptr_t)(*(const WeightPlace *const *)b)->buffer;
  return (x > y) - (x < y);
}

/* Appends the places of one variant's buffers. */
static void add_places(WeightLayout *layout, PlaceTable *table, const Variants *variants, size_t variant) {
  const Program *program = variants->at[variant].program;
  int align = variants_buffer_align(variants);
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *buffer = program->buffers.at[i];
    if (buffer->kind != BUFFER_WEIGHT)
      continue;
    if (!buffer->recipe && !buffer->values)
      BUG("weight buffer '%s' has neither a recipe nor values", buffer->name);
    WeightPlace *place = &layout->places[layout->n];
    *place = (WeightPlace){.buffer = buffer, .bytes = buffer_bytes(buffer), .variant = variant};
    place->first = find_or_enter(table, layout->places, layout->n);
    if (place->first == layout->n) {
      int to = align > buffer->align ? align : buffer->align;
      layout->align = to > layout->align ? to : layout->align;
      place->offset = (layout->total_bytes + to - 1) / to * to;
      layout->total_bytes = place->offset + place->bytes;
    } else {
      place->offset = layout->places[place->first].offset;
    }
    layout->n++;
  }
}

WeightLayout weight_layout(Arena *arena, const Variants *variants) {
  WeightLayout layout = {.align = variants_buffer_align(variants)};
  size_t most = 0;
  for (size_t i = 0; i < variants->n; i++)
    most += variants->at[i].program->buffers.len;
  layout.places = ARENA_ARRAY(arena, WeightPlace, most);
  PlaceTable table = table_new(arena, most);
  for (size_t i = 0; i < variants->n; i++)
    add_places(&layout, &table, variants, i);
  layout.by_buffer = ARENA_ARRAY(arena, const WeightPlace *, layout.n);
  for (size_t i = 0; i < layout.n; i++)
    layout.by_buffer[i] = &layout.places[i];
  if (layout.n)
    qsort(layout.by_buffer, layout.n, sizeof *layout.by_buffer, by_address);
  return layout;
}

const WeightPlace *weight_place(const WeightLayout *layout, const Buffer *buffer) {
  size_t low = 0, high = layout->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const WeightPlace *place = layout->by_buffer[middle];
    if (place->buffer == buffer)
      return place;
    if ((uintptr_t)place->buffer < (uintptr_t)buffer)
      low = middle + 1;
    else
      high = middle;
  }
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

/* One element as the bits of the buffer's type; false where it does not fit. */
static bool element_bits(Elem elem, double value, uint32_t *bits) {
  if (elem == ELEM_F32) {
    bool fits = fabs(value) < F32_LIMIT; /* false for a NaN */
    float rounded = fits ? (float)value : 0.0f;
    memcpy(bits, &rounded, sizeof *bits);
    return fits;
  }
  IntRange range = int_range(elem);
  double rounded = rint(value);
  bool fits = rounded >= range.min && rounded <= range.max; /* false for a NaN */
  *bits = fits ? (uint32_t)(int64_t)rounded : 0;
  return fits;
}

static void say_misfit(Diag *diag, const Buffer *buffer, int64_t i, double value) {
  diag_error(diag, (Loc){0}, "value %g of element %lld of weight buffer '%s'%s%s%s %s %s", value, (long long)i, buffer->name,
             buffer->note ? " (" : "", buffer->note ? buffer->note : "", buffer->note ? ")" : "",
             isfinite(value) ? "does not fit" : "is not a finite", elem_name(buffer->elem));
}

/* Elements [begin, begin + n) from their values. */
static bool store_values(const Buffer *buffer, Diag *diag, bool big_endian, const double *values, int64_t begin, int64_t n,
                         unsigned char *out) {
  int bytes = elem_bytes(buffer->elem);
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits = 0;
    if (!element_bits(buffer->elem, values[i], &bits)) {
      say_misfit(diag, buffer, begin + i, values[i]);
      return false;
    }
    store_bytes(out + i * bytes, bits, bytes, big_endian);
  }
  return true;
}

WeightReader weight_reader(Arena *arena, const Buffer *buffer, const Weights *weights, Diag *diag, bool big_endian) {
  WeightReader reader = {buffer, diag, big_endian, NULL};
  if (!buffer->recipe)
    return reader;
  if (recipe_elems(buffer->recipe) != buffer_elems(buffer))
    BUG("recipe of '%s' has %lld elements, the buffer %lld", buffer->name, (long long)recipe_elems(buffer->recipe),
        (long long)buffer_elems(buffer));
  reader.recipe = recipe_reader(arena, buffer->recipe, weights);
  return reader;
}

bool weight_read(const WeightReader *reader, int64_t begin, int64_t n, void *out) {
  enum { AT_A_TIME = 4096 };
  const Buffer *buffer = reader->buffer;
  unsigned char *bytes = out;
  if (!reader->recipe)
    return store_values(buffer, reader->diag, reader->big_endian, buffer->values + begin, begin, n, bytes);
  double values[AT_A_TIME];
  for (int64_t done = 0; done < n; done += AT_A_TIME) {
    int64_t now = n - done < AT_A_TIME ? n - done : AT_A_TIME;
    recipe_read(reader->recipe, begin + done, now, values);
    if (!store_values(buffer, reader->diag, reader->big_endian, values, begin + done, now,
                      bytes + done * elem_bytes(buffer->elem)))
      return false;
  }
  return true;
}

bool weight_bytes(const Buffer *buffer, const Weights *weights, Diag *diag, bool big_endian, void *out) {
  Arena *scratch = arena_new();
  WeightReader reader = weight_reader(scratch, buffer, weights, diag, big_endian);
  bool ok = weight_read(&reader, 0, buffer_elems(buffer), out);
  arena_free(scratch);
  return ok;
}
