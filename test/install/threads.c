/* A model that is divided for threads, on a pool of the runtime and alone. */
#include <mnrt.h>
#include <string.h>

#include "divided.h"

int main(void) {
  float image[64] = {0}, logits[10], scores[10], alone[10];
  image[27] = 1;
  void *arena = mnrt_arena_new(DIVIDED_ARENA_BYTES, DIVIDED_ARENA_ALIGN);
  MnrtPool *pool = mnrt_pool_new(DIVIDED_THREADS, MNRT_POOL_PIN);
  if (!arena || !pool)
    return 1;
  divided_parallel parallel = mnrt_pool_parallel(pool);
  divided_run(NULL, arena, image, logits, alone);
  divided_run(&parallel, arena, image, logits, scores);
  mnrt_pool_free(pool);
  mnrt_arena_free(arena);
  return memcmp(scores, alone, sizeof scores) != 0;
}
