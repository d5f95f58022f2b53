/* Runs the network on inputs read from standard input and writes its outputs. */
#include <stdio.h>
#include <stdlib.h>

#include "cross.h"

#ifdef CROSS_THREADS
#include <string.h>

#include "mnrt.h"
#endif

#ifdef CROSS_THREADS
/* By a pool and without it; the results must be the same. */
static int run(void *arena, const float *image, float *logits, float *scores) {
  static float alone[CROSS_OUT_LOGITS_ELEMS];
  MnrtPool *pool = mnrt_pool_new(CROSS_THREADS, 0);
  if (!pool)
    return 0;
  cross_parallel parallel = mnrt_pool_parallel(pool);
  cross_run(NULL, arena, image, alone, scores);
  cross_run(&parallel, arena, image, logits, scores);
  mnrt_pool_free(pool);
  return memcmp(alone, logits, sizeof alone) == 0;
}
#else
static int run(void *arena, const float *image, float *logits, float *scores) {
  cross_run(arena, image, logits, scores);
  return 1;
}
#endif

static float image[CROSS_IN_IMAGE_ELEMS], logits[CROSS_OUT_LOGITS_ELEMS], scores[CROSS_OUT_SCORES_ELEMS];

int main(void) {
  static unsigned char memory[CROSS_ARENA_BYTES + CROSS_ARENA_ALIGN];
  size_t ahead = (CROSS_ARENA_ALIGN - (size_t)memory % CROSS_ARENA_ALIGN) % CROSS_ARENA_ALIGN;
  if (fread(image, sizeof image, 1, stdin) != 1)
    return 1;
  if (!run(memory + ahead, image, logits, scores))
    return 1;
  return fwrite(logits, sizeof logits, 1, stdout) == 1 && fwrite(scores, sizeof scores, 1, stdout) == 1 ? 0 : 1;
}
