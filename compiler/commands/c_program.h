/* A program as C, compiled by the C compiler of this machine and loaded into
 * this process: what a user of the generated code runs. */
#ifndef MNCC_COMMANDS_C_PROGRAM_H
#define MNCC_COMMANDS_C_PROGRAM_H

#include "commands/session.h"

typedef struct CProgram CProgram;

/* Writes C, compiles it with $CC or cc in a folder of its own below $TMPDIR or /tmp, and loads it. Null after an error:
 * no compiler, or one that fails. The folder is gone when this returns. */
CProgram *c_program_new(Session *session, const Program *program);
/* Pointers as jit_run takes them. */
void c_program_run(CProgram *c, const void *const *inputs, void *const *outputs);
void c_program_free(CProgram *c); /* null is fine */

/* The compiler's command as it was given: "gcc-13". */
const char *c_program_compiler(void);

#endif
