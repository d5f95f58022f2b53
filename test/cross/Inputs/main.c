/* Runs the network on inputs read from standard input and writes its outputs. */
#include <stdio.h>
#include <stdlib.h>

#include "cross.h"

static float image[CROSS_IN_IMAGE_ELEMS], logits[CROSS_OUT_LOGITS_ELEMS], scores[CROSS_OUT_SCORES_ELEMS];

int main(void) {
  static unsigned char memory[CROSS_ARENA_BYTES + CROSS_ARENA_ALIGN];
  size_t ahead = (CROSS_ARENA_ALIGN - (size_t)memory % CROSS_ARENA_ALIGN) % CROSS_ARENA_ALIGN;
  if (fread(image, sizeof image, 1, stdin) != 1)
    return 1;
  cross_run(memory + ahead, image, logits, scores);
  return fwrite(logits, sizeof logits, 1, stdout) == 1 && fwrite(scores, sizeof scores, 1, stdout) == 1 ? 0 : 1;
}
