/* What the files of this folder share and nobody else needs:
 * copying with substitution, and questions about blocks. */
#ifndef MNCC_LOOP_INTERNAL_H
#define MNCC_LOOP_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "support/ptr_map.h"

/* ---- small facts ---- */

/* The values an integer element can take; mask is 0..1. */
void elem_limits(Elem elem, int64_t *min, int64_t *max);
/* Integer division towards minus infinity and its remainder; k > 0. */
int64_t floor_div(int64_t a, int64_t k);
int64_t floor_mod(int64_t a, int64_t k);
int64_t greatest_divisor(int64_t a, int64_t b); /* of both; of 0 and b: |b| */
/* What every value of the term is a multiple of, because of its coefficient and, if it is the variable of `loop` (else null),
 * of where that starts and steps: 8 for c in 0..64 by 8. */
int64_t term_multiple(const Term *t, const Stmt *loop);
/* The label that a loop has when nothing is said: the name without its numeric suffixes. */
const char *loop_default_label(Arena *arena, const char *name);
/* True and how often a loop runs and its first value, if the number does not depend on variables.
 */
bool loop_trip_count(Arena *arena, const Stmt *loop, const Affine **start, int64_t *count);
/* Null, or loop_expr_type_error's text with the operation's name where it lacks it. */
const char *loop_expr_error(Arena *arena, const Expr *e);
/* The operands first..last of an operation have one type; with_result: it is the result's too. last < first: none. */
typedef struct OperandAgreement {
  int first, last;
  bool with_result;
} OperandAgreement;
OperandAgreement loop_operand_agreement(LoopOp op);
int stmt_rank(const Stmt *stmt); /* how many of `index` are used */

/* ---- copying with substitution (rewrite.c) ---- */

/* `map` holds Var -> Affine and Value -> Value. Definitions met while copying a
 * block get fresh copies, named with `suffix`; with `names` (the interned names
 * of the kernel) the new names are kept distinct from all others. */
typedef struct Rewrite {
  Arena *arena;
  PtrMap map;
  const char *suffix;
  PtrMap *names;
} Rewrite;

const Affine *rewrite_affine(Rewrite *r, const Affine *a);
Expr *rewrite_expr(Rewrite *r, Expr *e);
Stmt *rewrite_stmt(Rewrite *r, const Stmt *stmt);
void rewrite_block(Rewrite *r, const Block *block, Block *out); /* appends */
/* Enters `value` into the map with a fresh copy, which is returned. */
Value *rewrite_value(Rewrite *r, Value *value);

/* Every name of the kernel, interned in `arena`. */
void collect_names(Arena *arena, const Kernel *kernel, PtrMap *names);

/* ---- questions about blocks (rewrite.c) ---- */

bool expr_uses_var(const Expr *e, const Var *var);
/* Two loads of the same elements. */
bool same_load(const Expr *a, const Expr *b);
bool loop_bounds_use(const Stmt *loop, const Var *var);
bool conditions_use(const Stmt *branch, const Var *var);
/* True if the loop's iterations touch memory in a way that allows them to be
 * interleaved statement by statement: what one of them stores, no other one
 * loads or stores. */
bool iterations_independent(const Stmt *loop);
/* True if a `set` in the body assigns a value that is defined outside. */
bool sets_outer_value(Arena *scratch, const Block *body);
/* Null if the branches of a parallel statement may run at the same time, else which of them touch what another one writes
 * (branches.c). Calls are complete. */
const char *branches_conflict(Arena *arena, const Stmt *parallel);
size_t block_size(const Block *block); /* statements, those inside included */

#endif
