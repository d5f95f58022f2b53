/* Memory plan: every arena buffer an offset in one arena.
 *
 * A buffer lives from the first to the last top-level statement of the entry
 * that touches it. Buffers that live at the same time do not overlap; largest
 * first, each takes the lowest free offset. */
#ifndef MNCC_PLAN_PLAN_H
#define MNCC_PLAN_PLAN_H

#include "loop/loop.h"
#include "target/target.h"

/* Sets offsets and live ranges of the arena buffers, arena_bytes and arena_align. Arena buffers that nothing touches
 * are dropped. */
void plan_arena(Program *program, const Target *target);

/* Who lives where and when. */
void plan_print(Writer *w, const Program *program);

#endif
