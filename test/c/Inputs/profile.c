/* Counts how often each stage begins and ends. */
#include <stdio.h>

#include "net.h"

static const char *const names[NET_STAGES] = {NET_STAGE_NAMES};
static const int64_t macs[NET_STAGES] = {NET_STAGE_MACS};
static int begun[NET_STAGES], ended[NET_STAGES], strangers;

NET_ARENA(ours);

void net_profile_begin(void *arena, int32_t stage) {
  strangers += arena != (void *)ours;
  begun[stage]++;
}

void net_profile_end(void *arena, int32_t stage) {
  strangers += arena != (void *)ours;
  ended[stage]++;
}

int main(void) {
  static float x[NET_IN_ARENA_ELEMS], y[NET_OUT_Y_ELEMS];
  net_run(ours, x, y);
  for (int i = 0; i < NET_STAGES; i++)
    printf("%d %d of %d, %ld MACs, %s\n", i, ended[i], begun[i], (long)macs[i], names[i]);
  printf("arena was %s\n", strangers ? "another" : "ours");
  return 0;
}
