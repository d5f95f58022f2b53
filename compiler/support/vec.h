/* Growing arrays on an arena.
 *
 *     VEC(Layer *) layers;              // zero is empty
 *     VEC_PUSH(arena, layers, layer);
 *     for (size_t i = 0; i < layers.len; i++) use(layers.at[i]);
 *
 * Outgrown storage stays in the arena until it is freed. */
#ifndef MNCC_SUPPORT_VEC_H
#define MNCC_SUPPORT_VEC_H

#include "support/arena.h"

#define VEC(T)                                                                                     \
  struct {                                                                                         \
    T *at;                                                                                         \
    size_t len;                                                                                    \
    size_t cap;                                                                                    \
  }

#define VEC_PUSH(arena, vec, value)                                                                \
  do {                                                                                             \
    if ((vec).len == (vec).cap)                                                                    \
      (vec).at = vec_grow((arena), (vec).at, &(vec).cap, sizeof *(vec).at);                        \
    (vec).at[(vec).len++] = (value);                                                               \
  } while (0)

/* Doubles `*cap` (from 0 to 8) and returns a copy with room; used by VEC_PUSH. */
void *vec_grow(Arena *arena, void *at, size_t *cap, size_t elem_size);

#endif
