/* Loop schedules: transformations of a kernel's loops, as data.
 *
 *     peel x; split x 4; split c 8; order y x c x.i c.i; unroll x.i; vector c.i
 *
 * split L N     L runs in steps of N around a new loop L.i of N iterations; what
 *               remains runs in a loop pair of its own
 * deal L N      the iterations of L are dealt out to N loops one behind the other
 * peel L        L is cut where a bound inside that is a maximum or minimum, or a
 *               condition, is decided differently
 * order L1 L2 … nests the loops with these labels in this order, outermost first
 * unroll L      marks L for the unroll pass
 * vector L      marks L for the vectorize pass
 *
 * A directive applies to every loop with the label. Only loops that carry no
 * reduction may be reordered or made vectors, so that the order of every sum stays
 * as lowered. A directive that does not apply to a loop (a label that
 * does not occur, bounds that depend on what would move inside) leaves it as it is. */
#ifndef MNCC_LOOP_SCHEDULE_H
#define MNCC_LOOP_SCHEDULE_H

#include "loop/loop.h"

/* Null, or what is wrong with the text (arena). */
const char *schedule_check(Arena *arena, const char *text);

/* Pass: applies each kernel's schedule and clears it. */
void loop_schedule(Program *program);

#endif
