/* Files that appear whole or not at all, several of them together, written as they are made.
 *
 * A file's text goes through a Writer, which hands on what it has whenever that is much: to a
 * temporary beside the file, which is renamed over it once everything is on its way. A file that
 * already holds exactly these bytes is not touched. Standard output, devices and pipes take the
 * bytes as they come. */
#ifndef MNCC_SUPPORT_OUTPUT_H
#define MNCC_SUPPORT_OUTPUT_H

#include <stddef.h>

#include "support/writer.h"

typedef struct Outputs Outputs;

Outputs *outputs_new(void);
/* One more file, "-" for standard output, and the writer of what it is to hold, which the set
 * owns. `path` is needed until the end. Nothing is opened before something is written. */
Writer *outputs_add(Outputs *outputs, const char *path);
/* Everything appears, and the set is freed. Null, or an error message (static or errno's text) and
 * in *failed_path, unless that is null, the file at fault; then nothing is left behind. */
const char *outputs_finish(Outputs *outputs, const char **failed_path);
/* Nothing is left behind, and the set is freed. What ends the process does as much: exit, or a signal. */
void outputs_abandon(Outputs *outputs);

/* One file, `len` bytes that are there already. Null or an error message. */
const char *write_file(const char *path, const void *data, size_t len);

/* Several such files. */
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
