/* A map keyed by address: open addressing, at most half full. */
#include "support/ptr_map.h"

#include <stdint.h>

static size_t slot_of(const PtrMap *map, const void *key) {
  size_t slot = (size_t)(((uint64_t)(uintptr_t)key >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
  for (slot &= map->cap - 1; map->keys[slot] && map->keys[slot] != key;)
    slot = (slot + 1) & (map->cap - 1);
  return slot;
}

void *ptr_map_get(const PtrMap *map, const void *key) {
  return map->len == 0 ? NULL : map->values[slot_of(map, key)];
}

void ptr_map_put(PtrMap *map, const void *key, void *value) {
  if (2 * map->len >= map->cap) {
    PtrMap bigger = {.arena = map->arena, .cap = map->cap ? 2 * map->cap : 16};
    bigger.keys = ARENA_ARRAY(map->arena, const void *, bigger.cap);
    bigger.values = ARENA_ARRAY(map->arena, void *, bigger.cap);
    for (size_t i = 0; i < map->cap; i++)
      if (map->keys[i])
        ptr_map_put(&bigger, map->keys[i], map->values[i]);
    *map = bigger;
  }
  size_t slot = slot_of(map, key);
  if (!map->keys[slot])
    map->len++;
  map->keys[slot] = key;
  map->values[slot] = value;
}
