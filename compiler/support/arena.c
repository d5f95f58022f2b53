/* A bump allocator over calloc'd chunks, the table of interned strings, and the
 * two ways in which the process may end early: no memory, and a bug of ours.
 *
 * Chunks double from 64 KiB to 4 MiB, so that a compilation takes a handful of
 * them; something bigger than a chunk gets one of its own. */
#include "support/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/vec.h"

enum { FIRST_CHUNK_BYTES = 64 * 1024, LAST_CHUNK_BYTES = 4 * 1024 * 1024 };

typedef struct Chunk {
  struct Chunk *next;
  size_t used, size; /* of data, in bytes */
  alignas(max_align_t) unsigned char data[];
} Chunk;

struct Arena {
  Chunk *chunks; /* the first is the one being filled */
  size_t next_chunk_bytes;
  size_t used_bytes;
  /* Open addressing, linear probing, at most half full. */
  const char **interned;
  size_t interned_len, interned_cap; /* cap: zero or a power of two */
};

void out_of_memory(void) {
  fputs("mncc: error: out of memory\n", stderr);
  exit(3);
}

void bug_at(const char *file, int line, const char *format, ...) {
  va_list args;
  fflush(stdout);
  fprintf(stderr, "mncc: internal error: %s:%d: ", file, line);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputs("\nthis is a bug in mncc: please report it together with its input\n", stderr);
  exit(70);
}

Arena *arena_new(void) {
  Arena *arena = calloc(1, sizeof *arena);
  if (!arena)
    out_of_memory();
  arena->next_chunk_bytes = FIRST_CHUNK_BYTES;
  return arena;
}

void arena_free(Arena *arena) {
  if (!arena)
    return;
  for (Chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  free(arena->interned);
  free(arena);
}

static Chunk *new_chunk(size_t size) {
  if (size > SIZE_MAX - sizeof(Chunk))
    out_of_memory();
  Chunk *chunk = calloc(1, sizeof(Chunk) + size);
  if (!chunk)
    out_of_memory();
  chunk->size = size;
  return chunk;
}

void *arena_alloc(Arena *arena, size_t size) {
  const size_t align = alignof(max_align_t);
  if (size == 0)
    size = 1;
  if (size > SIZE_MAX - align)
    out_of_memory();
  size = (size + align - 1) / align * align;
  Chunk *chunk = arena->chunks;
  if (!chunk || chunk->size - chunk->used < size) {
    if (chunk && size > arena->next_chunk_bytes / 4) {
      /* Too big to share: its own chunk, behind the one that still has room. */
      Chunk *own = new_chunk(size);
      own->next = chunk->next;
      chunk->next = own;
      chunk = own;
    } else {
      size_t bytes = arena->next_chunk_bytes;
      chunk = new_chunk(size > bytes ? size : bytes);
      chunk->next = arena->chunks;
      arena->chunks = chunk;
      if (bytes < LAST_CHUNK_BYTES)
        arena->next_chunk_bytes = bytes * 2;
    }
  }
  void *result = chunk->data + chunk->used;
  chunk->used += size;
  arena->used_bytes += size;
  return result;
}

void *arena_alloc_array(Arena *arena, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size)
    out_of_memory();
  return arena_alloc(arena, count * size);
}

char *arena_strndup(Arena *arena, const char *text, size_t len) {
  if (len == SIZE_MAX)
    out_of_memory();
  char *copy = arena_alloc(arena, len + 1);
  if (len)
    memcpy(copy, text, len);
  return copy;
}

char *arena_vprintf(Arena *arena, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (len < 0)
    BUG("cannot format '%s'", format);
  char *text = arena_alloc(arena, (size_t)len + 1);
  vsnprintf(text, (size_t)len + 1, format, args);
  return text;
}

char *arena_printf(Arena *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *text = arena_vprintf(arena, format, args);
  va_end(args);
  return text;
}

size_t arena_used_bytes(const Arena *arena) { return arena->used_bytes; }

/* FNV-1a. */
static uint64_t hash_bytes(const char *text, size_t len) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
  return hash ^ (hash >> 32);
}

static void grow_interned(Arena *arena) {
  size_t cap = arena->interned_cap ? arena->interned_cap * 2 : 256;
  const char **table = calloc(cap, sizeof *table);
  if (!table)
    out_of_memory();
  for (size_t i = 0; i < arena->interned_cap; i++) {
    const char *text = arena->interned[i];
    if (!text)
      continue;
    size_t slot = (size_t)hash_bytes(text, strlen(text)) & (cap - 1);
    while (table[slot])
      slot = (slot + 1) & (cap - 1);
    table[slot] = text;
  }
  free(arena->interned);
  arena->interned = table;
  arena->interned_cap = cap;
}

const char *intern_n(Arena *arena, const char *text, size_t len) {
  /* A C string ends at its first NUL, and so must the key. */
  const char *nul = len ? memchr(text, 0, len) : NULL;
  if (nul)
    len = (size_t)(nul - text);
  if (arena->interned_len * 2 >= arena->interned_cap)
    grow_interned(arena);
  size_t mask = arena->interned_cap - 1;
  size_t slot = (size_t)hash_bytes(text, len) & mask;
  for (; arena->interned[slot]; slot = (slot + 1) & mask) {
    const char *known = arena->interned[slot];
    if (strncmp(known, text, len) == 0 && known[len] == 0)
      return known;
  }
  arena->interned_len++;
  return arena->interned[slot] = arena_strndup(arena, text, len);
}

const char *intern(Arena *arena, const char *text) { return intern_n(arena, text, strlen(text)); }

void *vec_grow(Arena *arena, void *at, size_t *cap, size_t elem_size) {
  size_t old = *cap;
  if (old > SIZE_MAX / 2)
    out_of_memory();
  size_t larger = old ? old * 2 : 8;
  void *copy = arena_alloc_array(arena, larger, elem_size);
  if (old)
    memcpy(copy, at, old * elem_size);
  *cap = larger;
  return copy;
}
