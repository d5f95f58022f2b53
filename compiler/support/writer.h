/* Text being written: a growing buffer that owns indentation, and files that
 * appear whole or not at all. */
#ifndef MNCC_SUPPORT_WRITER_H
#define MNCC_SUPPORT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Writer {
  char *data; /* malloc'd, owned; always NUL-terminated once non-empty */
  size_t len, cap;
  int indent;       /* levels; spaces come before the first character of a line */
  int indent_width; /* spaces per level; writer_init sets 2 */
  bool at_line_start;
} Writer;

void writer_init(Writer *w);
void writer_free(Writer *w);

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

/* Writes `len` bytes to `path` atomically (temporary file beside it, rename);
 * "-" is standard output. Does nothing when the file already holds exactly
 * these bytes. Returns null, or an error message (static or errno's text);
 * on error nothing is left behind. */
const char *write_file(const char *path, const void *data, size_t len);

/* Several files that appear together: all temporaries are written first, then
 * all renamed; on any error none is left. */
typedef struct OutputFile {
  const char *path;
  const void *data;
  size_t len;
} OutputFile;
const char *write_files(const OutputFile *files, size_t n, const char **failed_path);

/* Reads a whole file ("-": standard input) into malloc'd memory with a NUL
 * behind it. Returns null or an error message. */
const char *read_file(const char *path, char **data, size_t *len);

#endif
