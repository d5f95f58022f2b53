/* Uses a model and the runtime by nothing but what the installation says of them. */
#include <mnrt.h>
#include <stdio.h>

#include "narrow.h"

int main(void) {
  float image[64] = {0}, logits[10], scores[10], sum = 0;
  void *arena = mnrt_arena_new(NARROW_ARENA_BYTES, NARROW_ARENA_ALIGN);
  if (!arena)
    return 1;
  narrow_run(arena, image, logits, scores);
  mnrt_arena_free(arena);
  for (int i = 0; i < 10; i++)
    sum += scores[i];
  printf("scores sum to %.3f\n", (double)sum);
  return !(sum > 0.999f && sum < 1.001f);
}
