/* What the parts of the C printer share: the emitter and what each part offers the others.
 *
 *   emit_c.c     the file: functions, weights, opening
 *   c_dispatch.c what a file for several targets has beyond that: which code is for which, and the choice
 *   c_survey.c   names; what is used, and how large indices become
 *   c_stmt.c     statements, and the temporaries that they need
 *   c_parallel.c functions for the branches of parallel statements
 *   c_expr.c     indices, and expression trees printed for one lane
 *   c_vector.c   trees over vector types, for targets whose C has them
 *   c_helper.c   the small functions that expressions call */
#ifndef MNCC_TARGET_C_EMITTER_H
#define MNCC_TARGET_C_EMITTER_H

#include "support/vec.h"
#include "target/c_map.h"
#include "target/c_text.h"
#include "target/target.h"

typedef struct Interval {
  double lo, hi;
} Interval;

/* Everything a helper function may be chosen by. */
typedef struct Helper {
  const char *key;  /* "max_f32" */
  const char *name; /* as claimed: "P_max_f32" */
} Helper;

/* A vector type or a function on it at the head of the file. */
typedef struct Prelude {
  const char *what; /* "": the type; "mem": as it lies in memory; "unsigned"; "splat", "fma", ... */
  Type type;
  const char *name;
} Prelude;

typedef struct Emitter {
  Arena *arena;
  const Variants *variants;
  const EmitOptions *options;
  Diag *diag;
  const char *prefix, *upper; /* of the file and its macros */
  const char **own_prefixes;  /* by variant */
  WeightLayout layout;
  CNames *file_names;
  CMap names;     /* Buffer, Var, Value, Kernel -> its C name */
  CMap used;      /* those of them that are mentioned anywhere */
  CMap repeats;   /* vector Values that are kept as a scalar */
  CMap ranges;    /* Var -> Interval */
  double largest; /* magnitude that an index calculation may reach */
  const char *index_type;
  bool needs_string, needs_math, needs_intrinsics, needs_lane_loop, needs_vector_loop;

  /* of the variant being written */
  const Program *program;
  const Target *target;
  const char *own; /* the prefix of its names */
  VEC(Helper) helpers;
  VEC(Prelude) prelude;
  Writer *w; /* functions */
  /* within a function */
  CNames *local_names;
  const char *lane;
  const char *arena_name; /* of PREFIX_run's parameter */
  int n_temps;
  /* of a program with parallel statements */
  const char *frame_type, *fork; /* at file scope */
  const char *parallel, *frame;  /* in the run function */
  /* within a statement */
  CMap visits; /* Expr -> number of times it occurs, at most 2 */
  CMap temps;  /* Expr -> the name of the temporary that holds it */
} Emitter;

/* ---- names and the survey (c_survey.c) ---- */

const char *c_name_of(const Emitter *e, const void *thing);
void c_set_name(Emitter *e, const void *thing, const char *name);
void c_mark_used(Emitter *e, const void *thing);
/* A name at file scope: with the variant's prefix, so that it meets no macro and no library function. */
const char *c_claim_global(Emitter *e, const char *name);
const char *c_new_temp(Emitter *e);
/* Marks what the entry and the kernels that it calls use, and finds e->largest. */
void c_survey(Emitter *e, const Block *entry);
/* The row-major position of an element as one flat sum. */
const Affine *c_flat_index(Emitter *e, const Buffer *buffer, const Affine *const *index);

/* ---- functions (emit_c.c) ---- */

/* What is asked for from now on is for variant i. */
void c_begin_variant(Emitter *e, size_t i);
/* Names of what follows are apart from the file's only. */
void c_begin_function(Emitter *e);
/* Names in order of appearance, before temporaries take any. */
void c_name_block(Emitter *e, const Block *block);
/* A local pointer to a buffer: `base` + offset bytes. */
void c_place_pointer(Emitter *e, const Buffer *buffer, const char *base, int64_t offset, const char *qualifier);

/* ---- several targets in one file (c_dispatch.c); with one target these do nothing ---- */

/* The code between these may use what the current variant's target has. */
void c_open_target(Emitter *e, Writer *w);
void c_close_target(Emitter *e, Writer *w);
/* Is the macro sure to be true of such code, whatever the preprocessor finds? */
bool c_target_defines(const Emitter *e, const char *macro);
/* PREFIX_target, and PREFIX_run, which calls the run function of the variant that the processor can execute. */
void c_dispatch(Emitter *e, Writer *w);

/* ---- parallel statements (c_parallel.c) ---- */

bool c_has_parallel(const Program *program);
/* Enters the buffers that calls in the block pass, those in parallel statements inside it left out. */
void c_buffers_of_calls(Emitter *e, const Block *block, CMap *seen);
/* Before the run function: the frame's type and a function for each parallel statement. */
void c_parallel_functions(Emitter *e);
/* At the head of the run function: the frame, filled. */
void c_parallel_frame(Emitter *e, const CSignature *signature);
void c_parallel_stmt(Emitter *e, const Stmt *parallel);

/* ---- helper functions (c_helper.c) ---- */

/* The C name of a helper; the first call has it written. */
const char *c_helper(Emitter *e, const char *key);
bool c_helper_uses_memcpy(const Helper *h);
/* All that were asked for. */
void c_write_helpers(Emitter *e, Writer *w);

/* ---- expressions (c_expr.c) ---- */

/* How tightly a piece of C holds together; an operand that is looser than wanted goes into
 * parentheses. gcc's -Wparentheses is stricter than the language, and so is this. */
typedef enum Tightness { LOOSE, SUM, PRODUCT, UNARY, PRIMARY } Tightness;

void c_affine(Emitter *e, const Affine *a, Tightness wanted);

/* Which lane a tree is printed for: `scale * l + offset`, or the constant `offset` if scale is 0.
 * Scalars are printed for lane 0. */
typedef struct Lane {
  int scale, offset;
} Lane;

static const Lane C_LANE_0 = {0, 0};
static const Lane C_EACH_LANE = {1, 0};

/* "buffer[i * 8 + l]" */
void c_element(Emitter *e, const Buffer *buffer, const Affine *const *index, Lane lane);
/* Prints the tree for one lane. Arithmetic on narrow types is in int and in range; whoever keeps
 * the value converts it. */
void c_expr(Emitter *e, const Expr *expr, Lane lane, Tightness wanted);
/* As the right-hand side of an assignment to something of the element type. */
void c_kept(Emitter *e, const Expr *expr, Lane lane);
/* A name or a number, which may be printed more than once. */
bool c_is_plain(Emitter *e, const Expr *expr);
const Expr *c_below_splat(const Expr *expr);
/* A shuffle that takes neighbouring lanes of one operand, which a lane loop can do. */
bool c_is_slice(const Expr *expr);

/* ---- vector types (c_vector.c) ---- */

/* Is a value of this type held in one? */
bool c_is_vector(const Emitter *e, Type type);
const char *c_vector_type(Emitter *e, Type type);
/* Can the operation be printed on whole vectors? Operands that cannot must have temporaries. */
bool c_spells(const Emitter *e, const Expr *expr);
void c_vector(Emitter *e, const Expr *expr);
/* As what a let is defined as: what it loads is to stay in a register. */
void c_vector_let(Emitter *e, const Expr *expr);
void c_vector_store(Emitter *e, const Stmt *stmt);
/* The types and functions that were asked for. */
void c_write_prelude(Emitter *e, Writer *w);

/* ---- statements (c_stmt.c) ---- */

void c_stmt(Emitter *e, const Stmt *stmt);
void c_block(Emitter *e, const Block *block);

#endif
