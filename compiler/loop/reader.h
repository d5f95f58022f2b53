/* What the two halves of the reader of loop text share: statements and what they stand in (read.c), indices and
 * values (read_value.c). */
#ifndef MNCC_LOOP_READER_H
#define MNCC_LOOP_READER_H

#include "loop/internal.h"
#include "loop/loop.h"
#include "loop/syntax.h"

typedef enum NameKind { NAME_BUFFER, NAME_VAR, NAME_VALUE } NameKind;

typedef struct Name {
  const char *text;
  NameKind kind;
  void *what;
  Loc loc;
  bool visible; /* its block is still open */
} Name;

typedef struct Reader {
  Arena *arena;
  Diag *diag;
  Program *program;
  PtrMap kernels;
  PtrMap names; /* of the kernel being read, or of the entry */
  VEC(Name *) order;
} Reader;

/* What the name stands for, which is to be of `kind`; null after an error. */
void *reader_find(Reader *r, Loc loc, const char *text, NameKind kind);

/* ---- numbers and types: false after an error ---- */

/* The integer with its sign. */
bool read_int(Reader *r, const MnlExpr *e, bool negative, int64_t *value);
/* "f32", "i8x16". */
bool read_type(Reader *r, Loc loc, const char *text, Type *type);

/* ---- indices ---- */

const Affine *read_index(Reader *r, const MnlExpr *e); /* after an error, 0 */
/* Indices without variables: any, and one that an int holds; after an error, something plausible. */
int64_t read_constant(Reader *r, const MnlExpr *e);
int read_small(Reader *r, const MnlExpr *e);
/* The buffer of an access and its indices; null after an error. */
Buffer *read_access(Reader *r, const MnlExpr *e, const Affine **index);
/* The number of lanes behind ':', 1 if there is none; false after an error. */
bool read_access_lanes(Reader *r, const MnlExpr *e, int *lanes);

/* ---- values ---- */

/* `want` is the type that is known from above, or null. Null after an error. */
Expr *read_value(Reader *r, const MnlExpr *e, const Type *want);
/* The value of a statement, of exactly this type; after an error, a constant of it. */
Expr *read_typed(Reader *r, const MnlExpr *e, Type type);

#endif
