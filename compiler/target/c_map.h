/* A map keyed by address. */
#ifndef MNCC_TARGET_C_MAP_H
#define MNCC_TARGET_C_MAP_H

#include <stddef.h>

#include "support/arena.h"

typedef struct CMapEntry {
  const void *key;
  void *value;
} CMapEntry;

typedef struct CMap {
  CMapEntry *slots; /* open addressing, a power of two, at most half full */
  size_t n_slots, n;
} CMap;

/* Null if there is none. */
void *c_map_get(const CMap *map, const void *key);
void c_map_put(Arena *arena, CMap *map, const void *key, void *value);
/* Forgets the entries and keeps the room. */
void c_map_clear(CMap *map);

#endif
