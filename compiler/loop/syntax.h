/* What the parser of loop text (grammar/loops.y) builds and read.c resolves:
 * names are still text, and nothing is known of types. */
#ifndef MNCC_LOOP_SYNTAX_H
#define MNCC_LOOP_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "support/arena.h"
#include "support/diag.h"
#include "support/vec.h"

/* Nesting of brackets in the text, and of operations in one expression. */
enum { MNL_MAX_NESTING = 100, MNL_MAX_DEPTH = 500 };

typedef enum MnlKind {
  MNL_NUMBER, /* text; also inf, true and false */
  MNL_NAME,   /* text */
  MNL_CALL,   /* text(args) */
  MNL_ACCESS, /* text[args]... */
  MNL_LIST,   /* [args] */
  MNL_NEG,    /* -args[0] */
  MNL_BINARY  /* args[0] op args[1] */
} MnlKind;

typedef struct MnlExpr MnlExpr;
typedef struct MnlList {
  VEC(MnlExpr *) items;
  int depth; /* of its deepest item */
} MnlList;

struct MnlExpr {
  MnlKind kind;
  Loc loc;
  int depth;
  char op; /* + - * / % */
  const char *text;
  MnlList args;
  const char *suffix; /* after ':', a type or a number of lanes; null */
  Loc suffix_loc;
};

typedef enum MnlStmtKind {
  MNL_FOR,
  MNL_IF,
  MNL_LET,
  MNL_VAR,
  MNL_SET,
  MNL_STORE,
  MNL_CALL_KERNEL,
  MNL_PREFETCH,
  MNL_PARALLEL, /* body: its branches */
  MNL_BRANCH
} MnlStmtKind;

typedef enum MnlCompare { MNL_GE, MNL_GT, MNL_LE, MNL_LT } MnlCompare;

typedef struct MnlCondition {
  MnlExpr *left, *right;
  MnlCompare compare;
} MnlCondition;
typedef struct MnlConditions {
  VEC(MnlCondition) items;
} MnlConditions;

typedef struct MnlStmt MnlStmt;
typedef struct MnlBlock {
  VEC(MnlStmt *) items;
} MnlBlock;

struct MnlStmt {
  MnlStmtKind kind;
  Loc loc;
  const char *name; /* loop variable, value or kernel */
  Loc name_loc;
  const char *type; /* LET, VAR */
  Loc type_loc;
  MnlExpr *target; /* STORE, PREFETCH: the access */
  MnlExpr *expr;
  MnlExpr *lower, *upper, *step; /* FOR */
  enum { MNL_SERIAL, MNL_UNROLL, MNL_VECTOR } mode;
  const char *label; /* FOR; CALL: the stage */
  MnlConditions *conditions; /* IF */
  MnlBlock *body, *otherwise;
  MnlList *args; /* CALL */
};

/* An attribute of a program, buffer or parameter: `align 16`, `live 0..3`. */
typedef enum MnlAttrKind {
  MNL_ATTR_MACS,
  MNL_ATTR_LAYERS,
  MNL_ATTR_STAGE,
  MNL_ATTR_ARENA,
  MNL_ATTR_ALIGN,
  MNL_ATTR_THREADS,
  MNL_ATTR_OFFSET,
  MNL_ATTR_LIVE,
  MNL_ATTR_NOALIAS,
  MNL_ATTR_NOTE
} MnlAttrKind;

typedef struct MnlAttr {
  MnlAttrKind kind;
  Loc loc;
  MnlExpr *a, *b;
  const char *text;
} MnlAttr;
typedef struct MnlAttrs {
  VEC(MnlAttr *) items;
} MnlAttrs;

typedef enum MnlBufferKind { MNL_INPUT, MNL_OUTPUT, MNL_WEIGHT, MNL_ARENA } MnlBufferKind;
typedef enum MnlAccessKind { MNL_IN = 1, MNL_OUT = 2, MNL_INOUT = 3 } MnlAccessKind;

/* A buffer of the program, a buffer parameter (access != 0) or an integer parameter (lo != null).
 */
typedef struct MnlBuffer {
  Loc loc;
  const char *name;
  Loc name_loc;
  const char *elem;
  Loc elem_loc;
  MnlList *dims; /* null: none */
  MnlBufferKind kind;
  int access;
  MnlExpr *lo, *hi;
  MnlAttrs *attrs;
  const char *recipe;
  Loc contents_loc;
  MnlList *values;
} MnlBuffer;
typedef struct MnlBuffers {
  VEC(MnlBuffer *) items;
} MnlBuffers;

typedef struct MnlKernel {
  Loc loc;
  const char *name;
  Loc name_loc;
  const char *note;
  const char *schedule; /* null: none */
  Loc schedule_loc;
  MnlBuffers *params;
  MnlBlock *body;
} MnlKernel;

typedef struct MnlProgram {
  const char *name;
  MnlAttrs *attrs;
  MnlBuffers buffers;
  VEC(MnlKernel *) kernels;
  MnlBlock *entry;
} MnlProgram;

/* The state of scanner and parser. */
typedef struct MnlParser {
  Arena *arena;
  Diag *diag;
  const Source *source;
  uint32_t offset; /* where the next token begins */
  int nesting;
  bool failed; /* an error was reported */
  MnlProgram *program;
} MnlParser;

/* Constructors, for the actions (syntax.c). */
MnlExpr *mnl_expr(MnlParser *p, MnlKind kind, Loc loc, const char *text);
MnlExpr *mnl_with_args(MnlParser *p, MnlKind kind, Loc loc, const char *text, MnlList *args);
MnlExpr *mnl_binary(MnlParser *p, char op, Loc loc, MnlExpr *a, MnlExpr *b);
MnlList *mnl_list(MnlParser *p, MnlList *list,
                  MnlExpr *item); /* list null: a new one; item may be null */
MnlStmt *mnl_stmt(MnlParser *p, MnlStmtKind kind, Loc loc, const char *name, Loc name_loc);
MnlAttrs *mnl_attrs(MnlParser *p, MnlAttrs *list, MnlAttr *item);
MnlAttr *mnl_attr(MnlParser *p, MnlAttrKind kind, Loc loc, MnlExpr *a, MnlExpr *b,
                  const char *text);
/* The text between the quotes, escapes replaced. Null after an error. */
const char *mnl_unquote(MnlParser *p, Loc loc, const char *text, size_t len);
/* The element type of this name; false if there is none. */
bool elem_find(const char *text, size_t len, Elem *elem);
void mnl_fail(MnlParser *p, Loc loc, const char *message);

#endif
