/* Text being written: a growing buffer that owns indentation, and that may hand on what it has. */
#ifndef MNCC_SUPPORT_WRITER_H
#define MNCC_SUPPORT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"

typedef struct Writer {
  char *data; /* malloc'd, owned; always NUL-terminated once non-empty */
  size_t len, cap;
  int indent;       /* levels; spaces come before the first character of a line */
  int indent_width; /* spaces per level; writer_init sets 2 */
  bool at_line_start;
  /* Null, or takes what was written whenever it is a megabyte or so; data and len are then what is left. False:
   * it can take no more, and what follows may as well not be made. */
  bool (*drain)(void *user, const void *data, size_t len);
  void *drain_user;
  size_t drained; /* bytes that were handed on */
  bool dropped;   /* drain has returned false: all further bytes are forgotten */
} Writer;

void writer_init(Writer *w);
void writer_free(Writer *w);
/* What was written, as a string of the arena; the writer is free then. */
const char *writer_take(Writer *w, Arena *arena);
/* Hands on what is there, if there is somebody to take it. */
void writer_flush(Writer *w);

/* Appends text; each new line that is not empty is indented. The numbers that
 * printf formats are in the C locale (mncc never calls setlocale). */
void write_text(Writer *w, const char *text);
void write_f(Writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends raw bytes, no indentation. */
void write_bytes(Writer *w, const void *data, size_t len);
/* Appends `len` zero bytes, and returns them until something else is written: for large data, to be filled in place. */
char *write_space(Writer *w, size_t len);
/* Appends a string literal in double quotes with \" \\ \n \t \xNN escapes
 * (the spelling that scan.l reads). */
void write_quoted(Writer *w, const char *text);

/* The shortest decimal text that reads back as exactly this f32 ("1", "0.1",
 * "1e-05"); "inf", "-inf", "nan" for those. `text` needs 32 bytes. */
void format_f32(char text[32], float value);

#endif
