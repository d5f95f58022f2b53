/* A map keyed by address. */
#include "target/c_map.h"

#include <stdint.h>
#include <string.h>

static CMapEntry *map_slot(const CMap *map, const void *key) {
  size_t at = (size_t)(((uintptr_t)key >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20);
  for (;; at++) {
    CMapEntry *slot = &map->slots[at & (map->n_slots - 1)];
    if (!slot->key || slot->key == key)
      return slot;
  }
}

void *c_map_get(const CMap *map, const void *key) {
  return map->n_slots ? map_slot(map, key)->value : NULL;
}

void c_map_put(Arena *arena, CMap *map, const void *key, void *value) {
  if (2 * (map->n + 1) > map->n_slots) {
    CMap grown = {NULL, map->n_slots ? 2 * map->n_slots : 64, map->n};
    grown.slots = ARENA_ARRAY(arena, CMapEntry, grown.n_slots);
    for (size_t i = 0; i < map->n_slots; i++)
      if (map->slots[i].key)
        *map_slot(&grown, map->slots[i].key) = map->slots[i];
    *map = grown;
  }
  CMapEntry *slot = map_slot(map, key);
  map->n += !slot->key;
  *slot = (CMapEntry){key, value};
}

void c_map_clear(CMap *map) {
  if (map->n)
    memset(map->slots, 0, map->n_slots * sizeof *map->slots);
  map->n = 0;
}
