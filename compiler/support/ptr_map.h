/* A map keyed by address: of interned strings, or of whatever an arena holds. */
#ifndef MNCC_SUPPORT_PTR_MAP_H
#define MNCC_SUPPORT_PTR_MAP_H

#include <stddef.h>

#include "support/arena.h"

/* Empty when all but the arena, which it grows in, is zero. Keys are not null. */
typedef struct PtrMap {
  Arena *arena;
  const void **keys;
  void **values;
  size_t len, cap;
} PtrMap;

void *ptr_map_get(const PtrMap *map, const void *key); /* null if absent */
void ptr_map_put(PtrMap *map, const void *key, void *value);

#endif
