/* The loop IR: explicit loop nests over explicit buffers.
 *
 * It knows no operators, only loads, stores and arithmetic; a back end decides
 * nothing, it spells. The text form (printed by loop_print, read by loop_read,
 * files *.mnl) carries everything: print(read(x)) == x.
 *
 * SEMANTICS
 *
 * Types. f32, i8, u8, i16, i32, i64 and mask, as scalars (lanes 1) or vectors
 *   (lanes 2..64). Written f32, f32x8, i32x4, mask, maskx4. A mask is true or
 *   false per lane. Buffers hold f32, i8, u8, i16, i32.
 *
 * Buffers. Dense, row-major, of rank 0..6, dimensions >= 1. Kinds:
 *     input    caller's memory, read only         output  caller's memory
 *     weight   constant, with a recipe or values  arena   planned storage
 *   No access leaves the declared extent; there is no over-read.
 *
 * Indices are quasi-affine: an integer constant plus integer multiples of
 *   atoms, an atom being a variable, or floor(affine / k), or affine mod k
 *   with k > 0 (result in 0..k-1). The operand of / and mod is never negative
 *   (verified), so C's operators agree. Variables are loop variables and the
 *   integer parameters of the kernel, which have a declared range [lo, hi).
 *
 * Loops. `for v in max(a, b)..min(c, d) by s` runs v = max(a,b), +s, ... while
 *   v < min(c, d). The bounds are affine in variables around it; s >= 1.
 *   Modes: serial; `unroll`: the passes unroll and jam it; `vector`: the
 *   passes turn it into lanes. A loop that keeps its mode to the end of the
 *   passes is executed serially with the same result.
 *   Loops that write memory run their iterations in order.
 *
 * Parallel. `parallel { branch { … } branch { … } }` stands at the top level of
 *   the entry. Its branches may run at the same time and in any order, and all of
 *   them have ended before the next statement begins: what one writes, no other
 *   reads or writes, which the verifier proves from the ranges of the indices.
 *   Branches hold for, if and call. There are at most Program.threads of them.
 *
 * Values. `let` defines an immutable value, `var` a mutable register, `set`
 *   assigns it. Names are unique in a kernel; a definition reaches to the end of its block and
 *   precedes its uses.
 *
 * Arithmetic. f32 is IEEE binary32, round to nearest even, never contracted,
 *   never reassociated. fma is one rounding. min(a,b) is a < b ? a : b, max is
 *   a > b ? a : b, per lane, for every type (so the second operand answers for
 *   NaN and for equal zeros).
 *   i8, u8, i16, i32, i64: two's complement of that width. add, sub, mul, shl
 *   must not leave the type's range (whoever makes the code has proved it; the
 *   back ends rely on it). and, or, xor, not are bitwise. shr is arithmetic
 *   for signed, logical for u8. Shift counts lie in 0..width-1.
 *   div is f32 only. Operands and result have one type unless said otherwise.
 *
 * Reductions have the order in which the loops are written. Horizontal sums
 *   are explicit trees of shuffles and adds.
 */
#ifndef MNCC_LOOP_LOOP_H
#define MNCC_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/diag.h"
#include "support/vec.h"
#include "support/writer.h"

struct Recipe; /* weights/recipe.h: what a weight buffer holds, evaluated on demand */

/* ---- types ---- */

typedef enum Elem { ELEM_F32, ELEM_I8, ELEM_U8, ELEM_I16, ELEM_I32, ELEM_I64, ELEM_MASK } Elem;

const char *elem_name(Elem elem);
int elem_bytes(Elem elem); /* 4 1 1 2 4 8; mask 0 */
bool elem_is_int(Elem elem); /* neither f32 nor mask */

typedef struct Type {
  Elem elem;
  int lanes; /* 1: scalar */
} Type;

bool type_equal(Type a, Type b);

/* ---- buffers ---- */

enum { LOOP_MAX_RANK = 6 };

typedef enum BufferKind {
  BUFFER_INPUT,
  BUFFER_OUTPUT,
  BUFFER_WEIGHT,
  BUFFER_ARENA,
  BUFFER_PARAM /* a kernel's parameter, bound at each call */
} BufferKind;

typedef enum Access { ACCESS_IN = 1, ACCESS_OUT = 2, ACCESS_INOUT = 3 } Access;

typedef struct Buffer {
  const char *name; /* unique in its program (or kernel, for parameters), a C identifier */
  BufferKind kind;
  Elem elem;
  int rank;
  int64_t dims[LOOP_MAX_RANK];
  int align; /* bytes the start is aligned to; at least elem_bytes */

  /* BUFFER_PARAM */
  Access access;
  bool noalias; /* overlaps no other parameter of the kernel that is written, and, if it is written itself, none at all */

  /* BUFFER_WEIGHT: one of the two */
  const struct Recipe *recipe;
  const double *values; /* dims' product, exactly representable in elem */

  /* BUFFER_INPUT, BUFFER_OUTPUT: position among the inputs or outputs */
  int position;

  /* BUFFER_ARENA, after plan: byte offset, and first and last top-level
   * statement of the entry that touches it */
  int64_t offset; /* -1 before plan */
  int live_begin, live_end;

  const char *note; /* for the comment beside it in dumps and generated code: "separable0.depthwise0, ring of 3 rows"; of an input or
                       output, "[channels, height, width]" names its dimensions; may be null */
  Loc loc;          /* in loop text that was read */
} Buffer;

int64_t buffer_elems(const Buffer *buffer);
int64_t buffer_bytes(const Buffer *buffer);

/* ---- quasi-affine indices ---- */

typedef struct Var {
  const char *name; /* unique in its kernel or entry */
  bool is_param;
  int64_t lo, hi; /* is_param: declared range, lo <= v < hi */
} Var;

typedef enum AtomKind { ATOM_VAR, ATOM_DIV, ATOM_MOD } AtomKind;

typedef struct Affine Affine;

typedef struct Term {
  int64_t coef; /* never 0 */
  AtomKind kind;
  Var *var;             /* ATOM_VAR */
  const Affine *inside; /* ATOM_DIV, ATOM_MOD */
  int64_t divisor;
} Term;

/* constant + sum of terms; canonical: no two terms with equal atoms, order of
 * first appearance. Immutable once built. */
struct Affine {
  int64_t constant;
  int n;
  Term *terms;
};

const Affine *affine_const(Arena *arena, int64_t value);
const Affine *affine_var(Arena *arena, Var *var);
const Affine *affine_add(Arena *arena, const Affine *a, const Affine *b);
const Affine *affine_sub(Arena *arena, const Affine *a, const Affine *b);
const Affine *affine_scale(Arena *arena, const Affine *a, int64_t factor);
const Affine *affine_add_const(Arena *arena, const Affine *a, int64_t value);
const Affine *affine_div(Arena *arena, const Affine *a, int64_t divisor); /* folds constants, k = 1 */
const Affine *affine_mod(Arena *arena, const Affine *a, int64_t divisor);
bool affine_is_const(const Affine *a, int64_t *value);
bool affine_equal(const Affine *a, const Affine *b);
bool affine_uses(const Affine *a, const Var *var);
/* True and the coefficient if var appears only as a plain term (or not at all: 0). */
bool affine_coef(const Affine *a, const Var *var, int64_t *coef);
/* a with `with` in place of var, inside / and mod too. */
const Affine *affine_subst(Arena *arena, const Affine *a, const Var *var, const Affine *with);

/* ---- value expressions ---- */

typedef struct Value {
  const char *name; /* unique in its kernel */
  Type type;
  bool is_mutable; /* var */
} Value;

/* Operations: enumerator, spelling, number of operands. loop.c has the type rules
 * (loop_expr_type_error). T is the result's type. */
#define LOOP_OPS(X)                                                                                \
  /* leaves */                                                                                     \
  X(CONST, "const", 0)  /* fvalue or ivalue, splat to all lanes */                                 \
  X(VALUE, "value", 0)  /* a let or var */                                                         \
  X(LOAD, "load", 0)    /* buffer[index]; lanes > 1: consecutive along the last dimension */       \
  X(INDEX, "index", 0)  /* the affine `index[0]` as i32 (it fits) */                               \
  /* lanes */                                                                                      \
  X(SPLAT, "splat", 1)     /* scalar -> all lanes */                                               \
  X(LANE, "lane", 1)       /* lane `imm` as a scalar */                                            \
  X(SHUFFLE, "shuffle", 2) /* lanes[i] picks from a (0..n-1) or b (n..2n-1); |T| = n_lanes */      \
  /* f32 and integers */                                                                           \
  X(ADD, "add", 2)                                                                                 \
  X(SUB, "sub", 2)                                                                                 \
  X(MUL, "mul", 2)                                                                                 \
  X(MIN, "min", 2)                                                                                 \
  X(MAX, "max", 2)                                                                                 \
  /* f32 */                                                                                        \
  X(DIV, "div", 2)                                                                                 \
  X(FMA, "fma", 3)   /* a * b + c, one rounding */                                                 \
  X(NEG, "neg", 1)   /* sign bit flipped */                                                        \
  X(ABS, "abs", 1)   /* sign bit cleared */                                                        \
  X(SQRT, "sqrt", 1) /* correctly rounded */                                                       \
  /* integers; and, or, xor, not on masks too */                                                   \
  X(AND, "and", 2)                                                                                 \
  X(OR, "or", 2)                                                                                   \
  X(XOR, "xor", 2)                                                                                 \
  X(NOT, "not", 1)                                                                                 \
  X(SHL, "shl", 2)                                                                                 \
  X(SHR, "shr", 2)                                                                                 \
  X(MULHI, "mulhi", 2) /* i32, i16: the high half of the double-width product */                   \
  X(MADD, "madd", 3)   /* i32: widen(a) * widen(b) + c; a, b are i8, u8 or i16, same lanes */      \
  X(DOT4, "dot4", 3)   /* i32: c[i] + sum of a[4i+j] * b[4i+j], j = 0..3; a i8 or u8, b i8 */      \
  /* comparison: mask */                                                                           \
  X(EQ, "eq", 2)                                                                                   \
  X(LT, "lt", 2)                                                                                   \
  X(LE, "le", 2)                                                                                   \
  X(SELECT, "select", 3) /* mask ? b : c */                                                        \
  /* conversion, to T */                                                                           \
  X(CONVERT, "convert", 1) /* widening integer, exact; i32 -> f32 to nearest even */               \
  X(WRAP, "wrap", 1)       /* narrowing integer, modulo 2^width */                                 \
  X(SATURATE, "saturate", 1) /* narrowing integer, clamped (u8 from signed too) */                 \
  X(FLOOR, "floor", 1)     /* f32 -> i32, towards -inf; saturates; NaN gives 0 */                  \
  X(NEAREST, "nearest", 1) /* f32 -> i32, to nearest even; saturates; NaN gives 0 */               \
  X(BITCAST, "bitcast", 1) /* same width per lane: f32 <-> i32, i8 <-> u8 */                       \
  X(PACK, "pack", 2)       /* saturate(a) then saturate(b), 2n lanes: i32->i16, i16->i8 or u8 */   \
  X(TABLE, "table", 1)     /* buffer[a] per lane: buffer of rank 1 with 256 elements, a is u8 */

typedef enum LoopOp {
#define X(NAME, spelling, arity) OP_##NAME,
  LOOP_OPS(X)
#undef X
      OP_COUNT
} LoopOp;

const char *loop_op_name(LoopOp op);
int loop_op_arity(LoopOp op);

typedef struct Expr Expr;
struct Expr {
  LoopOp op;
  Type type;
  Expr *args[3];
  float fvalue;   /* CONST of f32 (finite or infinite; NaN is not written) */
  int64_t ivalue; /* CONST of an integer or mask (0, 1); LANE's lane */
  Value *value;   /* VALUE */
  Buffer *buffer; /* LOAD, TABLE */
  const Affine *index[LOOP_MAX_RANK]; /* LOAD: buffer->rank of them; INDEX: [0] */
  const uint8_t *lanes;               /* SHUFFLE: type.lanes of them */
};

/* Expressions are trees; a node may be shared, never changed once built. */
Expr *expr_f32(Arena *arena, float value);
Expr *expr_int(Arena *arena, Type type, int64_t value);
Expr *expr_value(Arena *arena, Value *value);
Expr *expr_load(Arena *arena, Buffer *buffer, const Affine *const *index, int lanes);
Expr *expr_index(Arena *arena, const Affine *index);
Expr *expr_make(Arena *arena, LoopOp op, Type type, Expr *a, Expr *b, Expr *c);
/* Null, or what is wrong with the types of this node's operands. */
const char *loop_expr_type_error(const Expr *expr);

/* ---- statements ---- */

typedef enum StmtKind {
  STMT_FOR,
  STMT_IF,
  STMT_LET,   /* value = expr, immutable */
  STMT_VAR,   /* value = expr, mutable */
  STMT_SET,   /* value = expr, of a var */
  STMT_STORE, /* buffer[index] = expr; lanes along the last dimension */
  STMT_CALL,  /* in the entry (and its loops) only */
  STMT_PREFETCH, /* hint: buffer[index] will be read; which need not lie inside */
  STMT_PARALLEL, /* body holds its BRANCHes and nothing else; at the top level of the entry only */
  STMT_BRANCH    /* body; in a PARALLEL only */
} StmtKind;

typedef enum LoopMode { LOOP_SERIAL, LOOP_UNROLL, LOOP_VECTOR } LoopMode;

/* What calls are counted together: one operator of the graph, whichever kernels make its rows. */
typedef struct ProgramStage {
  const char *path; /* of its first layer; unique */
  const char *note; /* "depthwise | relu6, 4x4x8" */
  int64_t macs;
  int index; /* in program->stages */
} ProgramStage;

typedef struct Stmt Stmt;
typedef struct Block {
  VEC(Stmt *) stmts;
} Block;

typedef struct Kernel Kernel;

struct Stmt {
  StmtKind kind;
  Loc loc; /* source of the layer, or of the loop text */

  /* FOR */
  Var *var;
  const char *label; /* the dimension this loop walks ("y", "x.i"), for schedules; printed only if it differs from the variable's name without its numeric suffix "_12" */
  int n_lower, n_upper;
  const Affine **lower; /* start: the maximum of these */
  const Affine **upper; /* end (exclusive): the minimum */
  int64_t step;
  LoopMode mode;
  Block body; /* FOR, PARALLEL, BRANCH, and IF's then */

  /* IF: all conditions[i] >= 0 */
  int n_conditions;
  const Affine **conditions;
  Block otherwise;

  /* LET, VAR, SET, STORE */
  Value *value;
  Expr *expr;

  /* STORE, PREFETCH */
  Buffer *buffer;
  const Affine *index[LOOP_MAX_RANK];

  /* CALL: one buffer per buffer parameter, one affine per integer parameter.
   * A buffer argument has as many elements as the parameter says (it may have
   * another shape), the same element type, and at least its alignment. */
  Kernel *callee;
  Buffer **buffers;
  const Affine **ints;
  const ProgramStage *stage; /* what profiles count it under; null: nothing */
};

struct Kernel {
  const char *name; /* unique, a C identifier */
  const char *note; /* the source layers and shapes, one line; may be null */
  const char *schedule; /* directives of loop/schedule.h not yet applied; null: none. Printed: schedule "…" */
  VEC(Buffer *) buffers; /* parameters */
  VEC(Var *) ints;       /* integer parameters with their ranges */
  Block body;
  Loc loc;
};

/* Workers that an entry may be divided for. */
enum { LOOP_MAX_THREADS = 64 };

/* A whole program: what `mncc net.mn -o model.c` makes into a file. */
typedef struct Program {
  Arena *arena;
  const char *name; /* the network's; the default prefix */
  VEC(Buffer *) buffers;
  VEC(Kernel *) kernels; /* each before the entry; kernels call nothing */
  VEC(ProgramStage *) stages; /* that calls name; see loop_stage */
  struct PtrMap *stage_of_path;
  Block entry;           /* for, if, call and parallel only */
  int threads;           /* how many workers the entry is divided for; 1: no parallel statements, and no trace of them in the
                          * interface */
  int64_t arena_bytes;   /* -1 before plan */
  int arena_align;
  int64_t macs;          /* for the header's P_MACS; 0 if unknown */
  const char *layers;    /* the header's layer table as text lines; null if unknown */
} Program;

/* ---- building ---- */

Program *loop_program_new(Arena *arena, const char *name);
Buffer *loop_buffer_new(Arena *arena, const char *name, BufferKind kind, Elem elem, int rank, const int64_t *dims);
Var *loop_var_new(Arena *arena, const char *name);
Stmt *loop_stmt_new(Arena *arena, StmtKind kind);
/* The stage with this path, which is added if there is none. */
ProgramStage *loop_stage(Program *program, const char *path);
/* The stages of `program` get the numbers and the order that stages of the same paths have in `like`, which are all. */
void loop_number_stages(Program *program, const Program *like);
/* for var in lo..hi with constant bounds, step 1, serial, label = name. */
Stmt *loop_for_new(Arena *arena, Var *var, int64_t lo, int64_t hi);
void block_push(Arena *arena, Block *block, Stmt *stmt);
/* A deep copy of a block in which var reads `with` (null: unchanged). Definitions (lets,
 * vars, loop variables) get fresh copies with the given suffix appended to their names; null keeps names. */
Block loop_clone_block(Arena *arena, const Block *block, const Var *var, const Affine *with, const char *suffix);

/* ---- bounds (loop_bounds.c) ---- */

/* The loops and conditions around a place, outermost first. */
typedef struct Scope {
  VEC(const Stmt *) enclosing; /* FOR statements, and IF statements whose conditions hold here */
} Scope;

/* Least and greatest value of `a` within scope, by replacing each variable, innermost first, with
 * its bounds (so that y + ky - 1 under ky in max(0, 1 - y)..3 is found to be >= 0). Sound; exact for
 * the bounds that lowering makes. */
bool affine_range(Arena *arena, const Affine *a, const Scope *scope, int64_t *min, int64_t *max);

/* ---- the stage ---- */

/* The text form. */
void loop_print(Writer *w, const Program *program);
void loop_print_kernel(Writer *w, const Kernel *kernel);
void affine_print(Writer *w, const Affine *a);

/* Reads the text form. Errors go to diag; returns null then. */
Program *loop_read(Arena *arena, Diag *diag, const Source *source);

/* Checks every invariant above: types, names unique, definitions before uses,
 * bounds of every access and operand of / and mod, call arguments (count,
 * elements, types, ranges of integers, a written buffer passed twice only
 * where no noalias claims otherwise), outputs and inputs not written or read
 * wrongly, branches of a parallel statement independent, and after plan: arena offsets aligned, inside the arena, and no
 * two buffers that live at the same time overlapping. For a program that mncc made a failure is a bug; for text that
 * was read, the user's error: every violation is reported through `report`. */
typedef void LoopReport(void *user, Loc loc, const char *message);
bool loop_verify(const Program *program, LoopReport *report, void *user);

/* ---- passes on loops (a file each): returns true if something changed ---- */

/* Fully unrolls and jams every `unroll` loop whose trip count is constant. */
void loop_unroll(Program *program);
/* Turns every `vector` loop of constant trip count 2..64 into lanes. */
void loop_vectorize(Program *program);
/* Removes empty loops, substitutes single-trip loops, folds constant conditions and dead lets. */
void loop_simplify(Program *program);
/* Makes values of the vectors that several multiply-adds of an innermost loop load, where they fit into so many vector
 * registers. */
void loop_share_loads(Program *program, int registers);

#endif
