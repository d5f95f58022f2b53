/* Diagnostics: place, source line, caret and range, notes.
 *
 *     net.mn:4:14: error: unknown operator or block 'convv'; did you mean 'conv'?
 *         image -> convv(3x3, 8) -> relu
 *                  ^~~~~
 *
 * Messages are lower case without a full stop. Errors are counted; the driver
 * stops between stages when there are any. Output goes to standard error, as
 * text or as JSON lines (one object per diagnostic). */
#ifndef MNCC_SUPPORT_DIAG_H
#define MNCC_SUPPORT_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"

/* A source text. Lines are found from byte offsets when a message is printed. */
typedef struct Source {
  const char *name; /* as the user gave it; "<stdin>" for "-" */
  const char *text; /* NUL-terminated */
  uint32_t len;
} Source;

/* A half-open range of bytes in a source; source == NULL: no place (command line). */
typedef struct Loc {
  const Source *source;
  uint32_t begin, end;
} Loc;

/* From the begin of a to the end of b. */
Loc loc_span(Loc a, Loc b);
/* 1-based line and column (bytes, tabs count one) of loc.begin. */
void loc_line_column(Loc loc, int *line, int *column);

typedef enum Severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_NOTE } Severity;

typedef enum ColorMode { COLOR_AUTO, COLOR_NEVER, COLOR_ALWAYS } ColorMode;

typedef struct Diag {
  Arena *arena;
  int errors, warnings;
  int error_limit; /* after so many, one last note and silence; 0: 20 */
  bool json;
  bool werror;
  bool quiet; /* errors and warnings are counted and not shown */
  const char *const *disabled; /* kinds of warnings that are not shown */
  size_t n_disabled;
  ColorMode color; /* AUTO: a terminal and NO_COLOR unset */
  /* Called after each error or warning at a place (not after notes), to add
   * notes about the context, e.g. the chain of block instantiations. */
  void (*context)(struct Diag *diag, void *user);
  void *context_user;
  /* diag.c's own */
  bool silent;      /* the last error or warning was not shown: nor are its notes */
  bool limit_noted; /* "too many errors" was said */
  bool in_context;
} Diag;

void diag_init(Diag *diag, Arena *arena);

void diag_error(Diag *diag, Loc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* `kind` is the name by which -W turns it on and off, and is shown; null: it has none. */
void diag_warning(Diag *diag, const char *kind, Loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Belongs to the error or warning before it; silent if that one was. */
void diag_note(Diag *diag, Loc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The candidate nearest to `word` by edit distance (a third of its length at
 * most, at least 1), or null. For "did you mean". */
const char *nearest_word(const char *word, const char *const *candidates, size_t n);

#endif
