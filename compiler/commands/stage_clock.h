/* The time that each stage of a profiled network takes. The hooks may be called from several
 * threads at once; each thread has counters of its own. */
#ifndef MNCC_COMMANDS_STAGE_CLOCK_H
#define MNCC_COMMANDS_STAGE_CLOCK_H

#include "target/target.h"

typedef struct StageClock StageClock;

/* For a program with that many stages that is divided for that many threads. In the arena, all 0. */
StageClock *stage_clock_new(Arena *arena, size_t stages, int threads);
/* For jit_set_hooks. */
JitHooks stage_clock_hooks(StageClock *clock);
/* Back to 0; no run may be under way here or below. */
void stage_clock_reset(StageClock *clock);
/* Seconds in the stage of the thread that has spent the most there: parts of a stage run at the same time. */
double stage_clock_seconds(const StageClock *clock, size_t stage);
/* By all threads. */
int64_t stage_clock_calls(const StageClock *clock, size_t stage);

#endif
