/* The most arithmetic that this machine does on a target, on one thread or on as many
 * as --threads says: on each a loop of independent multiply-adds, written as loops like everything else and compiled
 * by the same back end. The yardstick of `mncc bench`. */
#ifndef MNCC_COMMANDS_PEAK_H
#define MNCC_COMMANDS_PEAK_H

#include "commands/session.h"

typedef struct Peak Peak;

/* Compiles the loop in a few shapes and keeps the fastest. Null after an error. */
Peak *peak_new(Session *session);
void peak_free(Peak *peak); /* null is fine */

/* Runs it once, some hundred microseconds; returns operations a second. */
double peak_measure(Peak *peak);

/* "fma, 16 lanes", in the session's arena. */
const char *peak_text(const Peak *peak);

#endif
