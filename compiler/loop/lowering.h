/* What lower.c and drivers.c share: the state of a lowering, kernels and the calls of them. */
#ifndef MNCC_LOOP_LOWERING_H
#define MNCC_LOOP_LOWERING_H

#include "loop/internal.h"
#include "loop/lower.h"

typedef struct Lowering {
  Arena *arena;
  const Regions *regions;
  Program *program;
  Buffer **buffers;         /* of each tensor, by id */
  int64_t *ring_rows;       /* likewise: rows that the tensor's buffer holds if it is a ring, else 0 */
  PtrMap names;             /* of the program's buffers and kernels */
  PtrMap next_number;       /* of a name that is taken: the number behind the last one that was given */
  PtrMap shared;            /* a kernel's text, interned -> its Users */
  VEC(struct Users *) users; /* of program->kernels, in their order */
} Lowering;

/* A call site's arguments, in the order of the kernel's buffer parameters. */
typedef struct Arguments {
  Buffer *at[COMPUTE_MAX_OPERANDS + 1];
  int n;
} Arguments;

/* What one kernel makes: `rows` rows from row first_lo … first_hi on; and of those, if the stage is divided by itself, the
 * parts part_lo … part_hi, of which each has `size` pixels or channels. */
typedef struct Piece {
  int64_t rows, first_lo, first_hi;
  Cut cut;
  int64_t size, part_lo, part_hi;
} Piece;

/* ---- lower.c ---- */

/* `wanted` as an identifier that no buffer, kernel or loop of the entry has yet. */
const char *lower_unique_name(Lowering *l, const char *wanted);
/* The stage's buffer from here on: one, or a ring for each part of a region that is divided by rows. */
void lower_stage_buffer(Lowering *l, const Stage *stage, int part);
Buffer *lower_weight_buffer(Lowering *l, const Stage *stage, const Operand *operand);
/* The kernel that makes the piece, shared with whoever has an equal one, and the arguments of its calls. `weights`: a buffer
 * for each operand that is one. The kernel has an integer parameter if the piece begins at one of several places. */
Kernel *lower_kernel(Lowering *l, const Stage *stage, Buffer *const *weights, const Piece *piece, Arguments *arguments);

/* "depthwise | relu6, 4x4x8" */
const char *lower_describe(Arena *arena, const Stage *stage);

/* ---- drivers.c ---- */

void lower_region(Lowering *l, const Region *region);

#endif
