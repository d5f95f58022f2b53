/* Text in a growing buffer, and files that appear whole or not at all.
 *
 * A file is written under a temporary name in its own folder (a rename must not
 * cross file systems) and renamed over the target once everything is on its way.
 * Devices and pipes cannot be renamed over and are written in place; a symbolic
 * link stays one, since it is its target that is replaced. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "support/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/arena.h"

void writer_init(Writer *w) { *w = (Writer){.indent_width = 2, .at_line_start = true}; }

void writer_free(Writer *w) {
  free(w->data);
  writer_init(w);
}

/* Room for `more` bytes and a NUL behind them. */
static void reserve(Writer *w, size_t more) {
  if (more >= SIZE_MAX / 2 - w->len)
    out_of_memory();
  size_t need = w->len + more + 1;
  if (need <= w->cap)
    return;
  size_t cap = w->cap ? w->cap : 256;
  while (cap < need)
    cap *= 2;
  char *data = realloc(w->data, cap);
  if (!data)
    out_of_memory();
  w->data = data;
  w->cap = cap;
}

static void append(Writer *w, const void *data, size_t len) {
  if (len == 0)
    return;
  reserve(w, len);
  memcpy(w->data + w->len, data, len);
  w->len += len;
  w->data[w->len] = 0;
}

static void append_indent(Writer *w) {
  size_t spaces = w->indent > 0 ? (size_t)w->indent * (size_t)w->indent_width : 0;
  if (spaces == 0)
    return;
  reserve(w, spaces);
  memset(w->data + w->len, ' ', spaces);
  w->len += spaces;
  w->data[w->len] = 0;
}

void write_text(Writer *w, const char *text) {
  while (*text) {
    size_t len = strcspn(text, "\n");
    if (len > 0) {
      if (w->at_line_start)
        append_indent(w);
      append(w, text, len);
      w->at_line_start = false;
    }
    if (text[len] == '\n') {
      append(w, "\n", 1);
      w->at_line_start = true;
      len++;
    }
    text += len;
  }
}

void write_f(Writer *w, const char *format, ...) {
  char small[512];
  va_list args;
  va_start(args, format);
  int len = vsnprintf(small, sizeof small, format, args);
  va_end(args);
  if (len < 0)
    BUG("cannot format '%s'", format);
  if ((size_t)len < sizeof small) {
    write_text(w, small);
    return;
  }
  char *text = malloc((size_t)len + 1);
  if (!text)
    out_of_memory();
  va_start(args, format);
  vsnprintf(text, (size_t)len + 1, format, args);
  va_end(args);
  write_text(w, text);
  free(text);
}

char *write_space(Writer *w, size_t len) {
  reserve(w, len);
  char *space = w->data + w->len;
  memset(space, 0, len + 1);
  w->len += len;
  w->at_line_start = false;
  return space;
}

void write_bytes(Writer *w, const void *data, size_t len) {
  append(w, data, len);
  if (len > 0)
    w->at_line_start = ((const char *)data)[len - 1] == '\n';
}

void write_quoted(Writer *w, const char *text) {
  write_text(w, "\"");
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    char out[8];
    if (c == '"' || c == '\\')
      snprintf(out, sizeof out, "\\%c", c);
    else if (c == '\n')
      snprintf(out, sizeof out, "\\n");
    else if (c == '\t')
      snprintf(out, sizeof out, "\\t");
    else if (c < 0x20 || c == 0x7f)
      snprintf(out, sizeof out, "\\x%02x", c);
    else
      snprintf(out, sizeof out, "%c", c);
    write_text(w, out);
  }
  write_text(w, "\"");
}

void format_f32(char text[32], float value) {
  if (isnan(value)) {
    strcpy(text, "nan");
    return;
  }
  if (isinf(value)) {
    strcpy(text, value < 0 ? "-inf" : "inf");
    return;
  }
  for (int digits = 1; digits <= 9; digits++) {
    snprintf(text, 32, "%.*g", digits, (double)value);
    if (strtof(text, NULL) == value)
      return;
  }
}

/* ---- files ---- */

static const char *write_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    /* Some systems refuse more than INT_MAX at once. */
    ssize_t done = write(fd, data, len < ((size_t)1 << 30) ? len : (size_t)1 << 30);
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return strerror(errno);
    data += done;
    len -= (size_t)done;
  }
  return NULL;
}

static const char *write_stdout(const void *data, size_t len) {
  if (len > 0 && fwrite(data, 1, len, stdout) != len)
    return strerror(errno);
  return fflush(stdout) == 0 ? NULL : strerror(errno);
}

static bool holds_exactly(const char *path, const void *data, size_t len) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return false;
  /* In pieces: the file may be as large as the weights of a network. */
  char piece[64 * 1024];
  size_t at = 0, got;
  bool same = true;
  while (same && (got = fread(piece, 1, sizeof piece, file)) > 0) {
    same = got <= len - at && memcmp(piece, (const char *)data + at, got) == 0;
    at += got;
  }
  same = same && at == len && !ferror(file);
  fclose(file);
  return same;
}

static char *copy_text(const char *text, const char *suffix) {
  size_t len = strlen(text), more = strlen(suffix);
  char *copy = malloc(len + more + 1);
  if (!copy)
    out_of_memory();
  memcpy(copy, text, len);
  memcpy(copy + len, suffix, more + 1);
  return copy;
}

/* One file on its way. */
typedef struct Pending {
  char *target;    /* symbolic links resolved; null: nothing to rename */
  char *temporary; /* null: none on disk */
  bool in_place;   /* standard output, a device or a pipe: written at the end */
  bool renamed;
} Pending;

/* Writes the temporary, or finds that none is needed. */
static const char *prepare(Pending *pending, const OutputFile *file) {
  if (strcmp(file->path, "-") == 0) {
    pending->in_place = true;
    return NULL;
  }
  struct stat st;
  mode_t mode;
  if (stat(file->path, &st) == 0) {
    if (S_ISDIR(st.st_mode))
      return strerror(EISDIR);
    if (!S_ISREG(st.st_mode)) {
      pending->in_place = true;
      return NULL;
    }
    if (holds_exactly(file->path, file->data, file->len))
      return NULL;
    /* A rename needs leave from the folder only; honour the file's as well. */
    if (access(file->path, W_OK) != 0)
      return strerror(errno);
    mode = st.st_mode & 0777;
    pending->target = realpath(file->path, NULL);
    if (!pending->target)
      return strerror(errno);
  } else {
    if (errno != ENOENT)
      return strerror(errno);
    mode_t mask = umask(0);
    umask(mask);
    mode = 0666 & ~mask;
    pending->target = copy_text(file->path, "");
  }
  char *temporary = copy_text(pending->target, ".XXXXXX");
  int fd = mkstemp(temporary);
  if (fd < 0) {
    const char *error = strerror(errno);
    free(temporary);
    return error;
  }
  pending->temporary = temporary;
  const char *error = write_all(fd, file->data, file->len);
  if (!error && fchmod(fd, mode) != 0)
    error = strerror(errno);
  if (close(fd) != 0 && !error)
    error = strerror(errno);
  return error;
}

static const char *write_in_place(const OutputFile *file) {
  if (strcmp(file->path, "-") == 0)
    return write_stdout(file->data, file->len);
  int fd = open(file->path, O_WRONLY);
  if (fd < 0)
    return strerror(errno);
  const char *error = write_all(fd, file->data, file->len);
  if (close(fd) != 0 && !error)
    error = strerror(errno);
  return error;
}

const char *write_files(const OutputFile *files, size_t n, const char **failed_path) {
  const char *error = NULL;
  const char *current = NULL;
  Pending *pending = calloc(n ? n : 1, sizeof *pending);
  if (!pending)
    out_of_memory();
  for (size_t i = 0; i < n && !error; i++) {
    current = files[i].path;
    error = prepare(&pending[i], &files[i]);
  }
  for (size_t i = 0; i < n && !error; i++) {
    if (!pending[i].in_place)
      continue;
    current = files[i].path;
    error = write_in_place(&files[i]);
  }
  for (size_t i = 0; i < n && !error; i++) {
    if (!pending[i].temporary)
      continue;
    current = files[i].path;
    if (rename(pending[i].temporary, pending[i].target) == 0)
      pending[i].renamed = true;
    else
      error = strerror(errno);
  }
  if (error && failed_path)
    *failed_path = current;
  for (size_t i = 0; i < n; i++) {
    if (error && pending[i].temporary)
      unlink(pending[i].renamed ? pending[i].target : pending[i].temporary);
    free(pending[i].target);
    free(pending[i].temporary);
  }
  free(pending);
  return error;
}

const char *write_file(const char *path, const void *data, size_t len) {
  OutputFile file = {path, data, len};
  return write_files(&file, 1, NULL);
}

const char *read_file(const char *path, char **data, size_t *len) {
  bool standard_input = strcmp(path, "-") == 0;
  FILE *file = standard_input ? stdin : fopen(path, "rb");
  if (!file)
    return strerror(errno);
  size_t cap = 64 * 1024, used = 0;
  struct stat st;
  if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
      (uintmax_t)st.st_size < SIZE_MAX / 4)
    cap = (size_t)st.st_size + 2; /* one to see the end of the file, one for the NUL */
  char *text = malloc(cap);
  if (!text)
    out_of_memory();
  for (;;) {
    size_t got = fread(text + used, 1, cap - used - 1, file);
    used += got;
    if (got == 0)
      break;
    if (cap - used - 1 == 0) {
      if (cap > SIZE_MAX / 2)
        out_of_memory();
      char *larger = realloc(text, cap *= 2);
      if (!larger)
        out_of_memory();
      text = larger;
    }
  }
  const char *error = ferror(file) ? strerror(errno) : NULL;
  if (!standard_input)
    fclose(file);
  if (error) {
    free(text);
    return error;
  }
  text[used] = 0;
  *data = text;
  *len = used;
  return NULL;
}
