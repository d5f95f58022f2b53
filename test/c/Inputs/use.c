/* Two generated models in one program, in C and in C++: one with its weights in the text, the other
 * with a blob that is linked. Counts the profile hooks of the first. */
#include <stdio.h>
#include <string.h>

#include "one.h"
#include "two.h"

ONE_ARENA(arena_one);
TWO_ARENA(arena_two);

int one_begun, one_ended;

int main(void) {
  float x[ONE_IN_X_ELEMS], a[2][ONE_OUT_A_ELEMS], y[2][ONE_OUT_Y_ELEMS];
  for (int i = 0; i < ONE_IN_X_ELEMS; i++)
    x[i] = (float)(i % 7) * 0.25f;
  one_run(arena_one, x, a[0], y[0]);
  two_run(two_weights, arena_two, x, a[1], y[1]);
  int aligned = (uintptr_t)arena_one % ONE_ARENA_ALIGN == 0 && (uintptr_t)arena_two % TWO_ARENA_ALIGN == 0 &&
                (uintptr_t)two_weights % TWO_WEIGHT_ALIGN == 0;
  printf("%s, %d of %d calls, %s\n",
         memcmp(a[0], a[1], sizeof a[0]) == 0 && memcmp(y[0], y[1], sizeof y[0]) == 0 ? "same" : "different",
         one_ended, one_begun, aligned ? "aligned" : "askew");
  return 0;
}
