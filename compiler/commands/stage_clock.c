/* A thread is known by the address of a variable of its own, and takes the first lane that is free
 * when it is first seen. Threads that are there stay until the program's pool is freed, so that
 * there are never more than the program is divided for. */
#include "commands/stage_clock.h"

#include <stdatomic.h>
#include <string.h>

#include "pipeline.h"

typedef struct StageTime {
  double begun, spent;
  int64_t calls;
} StageTime;

typedef struct Lane {
  atomic_uintptr_t thread; /* 0: free */
  StageTime *times;        /* by stage */
} Lane;

struct StageClock {
  size_t stages;
  int threads;
  Lane *lanes;
};

StageClock *stage_clock_new(Arena *arena, size_t stages, int threads) {
  enum { APART = 8 }; /* elements: no two lanes share a line of the cache */
  StageClock *clock = ARENA_NEW(arena, StageClock);
  *clock = (StageClock){stages, threads, ARENA_ARRAY(arena, Lane, threads)};
  for (int i = 0; i < threads; i++)
    clock->lanes[i].times = ARENA_ARRAY(arena, StageTime, stages + APART);
  return clock;
}

static StageTime *stage_time(StageClock *clock, int stage) {
  static _Thread_local char mark;
  uintptr_t self = (uintptr_t)&mark;
  for (int i = 0; i < clock->threads; i++) {
    Lane *lane = &clock->lanes[i];
    uintptr_t owner = atomic_load_explicit(&lane->thread, memory_order_relaxed);
    if (owner == self || (!owner && atomic_compare_exchange_strong(&lane->thread, &owner, self)))
      return &lane->times[stage];
  }
  BUG("a profiled run on more than %d threads", clock->threads);
}

static void stage_begins(void *user, int stage) {
  StageTime *time = stage_time(user, stage);
  time->begun = pipeline_seconds();
}

static void stage_ends(void *user, int stage) {
  double now = pipeline_seconds();
  StageTime *time = stage_time(user, stage);
  time->spent += now - time->begun;
  time->calls++;
}

JitHooks stage_clock_hooks(StageClock *clock) { return (JitHooks){stage_begins, stage_ends, clock}; }

void stage_clock_reset(StageClock *clock) {
  for (int i = 0; i < clock->threads; i++)
    memset(clock->lanes[i].times, 0, clock->stages * sizeof *clock->lanes[i].times);
}

double stage_clock_seconds(const StageClock *clock, size_t stage) {
  double most = 0;
  for (int i = 0; i < clock->threads; i++) {
    double spent = clock->lanes[i].times[stage].spent;
    most = spent > most ? spent : most;
  }
  return most;
}

int64_t stage_clock_calls(const StageClock *clock, size_t stage) {
  int64_t calls = 0;
  for (int i = 0; i < clock->threads; i++)
    calls += clock->lanes[i].times[stage].calls;
  return calls;
}
