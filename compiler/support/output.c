/* Files that appear whole or not at all.
 *
 * A file is written under a temporary name in its own folder (a rename must not
 * cross file systems) and renamed over the target once everything is on its way.
 * As long as the bytes are those that the file holds already there is no temporary:
 * the first other byte makes one, and what was equal is copied. Devices and pipes
 * cannot be renamed over and are written in place; a symbolic link stays one, since
 * it is its target that is replaced.
 *
 * What ends the process in between removes the temporaries: they are found through
 * the list of sets that are on their way. */
#define _XOPEN_SOURCE 700 /* realpath, sigaction */
#include "support/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/arena.h"

typedef enum OutputState {
  OUTPUT_CLOSED,   /* nothing was written yet */
  OUTPUT_EQUAL,    /* so far it is what the file holds */
  OUTPUT_REPLACED, /* by a temporary */
  OUTPUT_IN_PLACE  /* standard output, a device or a pipe */
} OutputState;

/* One file on its way. */
typedef struct Output {
  struct Output *next;
  const char *path;
  Writer w;
  OutputState state;
  const char *error;        /* the first */
  FILE *existing;           /* OUTPUT_EQUAL: read up to `equal` */
  uint64_t equal;           /* bytes */
  mode_t mode;              /* of the file */
  int fd;                   /* of what is written; -1: none, or standard output */
  char *target;             /* symbolic links resolved; null: nothing to rename */
  char *volatile temporary; /* null: none on disk */
  bool renamed;
} Output;

struct Outputs {
  Outputs *next; /* on its way, too */
  Output *volatile first, *last;
};

/* ---- what ends the process ---- */

static Outputs *volatile on_their_way;

static void remove_temporaries(void) {
  for (Outputs *outputs = on_their_way; outputs; outputs = outputs->next)
    for (Output *o = outputs->first; o; o = o->next)
      if (o->temporary)
        unlink(o->temporary);
}

static void on_signal(int signal_number) {
  remove_temporaries();
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

/* Once; a signal that is ignored, or that somebody else waits for, stays so. */
static void watch_for_the_end(void) {
  static bool watching;
  if (watching)
    return;
  watching = true;
  atexit(remove_temporaries);
  static const int signals[] = {SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction action;
    if (sigaction(signals[i], NULL, &action) != 0 || action.sa_handler != SIG_DFL)
      continue;
    action.sa_handler = on_signal;
    sigaction(signals[i], &action, NULL);
  }
}

/* ---- bytes ---- */

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

static char *copy_text(const char *text, const char *suffix) {
  size_t len = strlen(text), more = strlen(suffix);
  char *copy = malloc(len + more + 1);
  if (!copy)
    out_of_memory();
  memcpy(copy, text, len);
  memcpy(copy + len, suffix, more + 1);
  return copy;
}

static const char *write_stdout(const char *data, size_t len) {
  return fwrite(data, 1, len, stdout) == len ? NULL : strerror(errno);
}

/* The first `len` bytes of a file, to fd. */
static const char *copy_bytes(FILE *from, uint64_t len, int fd) {
  char piece[64 * 1024];
  rewind(from);
  while (len > 0) {
    size_t got = fread(piece, 1, len < sizeof piece ? (size_t)len : sizeof piece, from);
    if (got == 0)
      return ferror(from) ? strerror(errno) : "the file has changed while it was compared";
    const char *error = write_all(fd, piece, got);
    if (error)
      return error;
    len -= got;
  }
  return NULL;
}

/* ---- one file ---- */

static const char *make_temporary(Output *o) {
  watch_for_the_end();
  char *temporary = copy_text(o->target, ".XXXXXX");
  o->fd = mkstemp(temporary);
  if (o->fd < 0) {
    const char *error = strerror(errno);
    free(temporary);
    return error;
  }
  o->temporary = temporary;
  o->state = OUTPUT_REPLACED;
  return NULL;
}

/* The file that is there is to be replaced. */
static const char *replace_existing(Output *o) {
  /* A rename needs leave from the folder only; honour the file's as well. */
  if (access(o->path, W_OK) != 0)
    return strerror(errno);
  o->target = realpath(o->path, NULL);
  if (!o->target)
    return strerror(errno);
  const char *error = make_temporary(o);
  if (!error && o->existing)
    error = copy_bytes(o->existing, o->equal, o->fd);
  if (o->existing)
    fclose(o->existing);
  o->existing = NULL;
  return error;
}

static const char *open_output(Output *o) {
  if (strcmp(o->path, "-") == 0) {
    o->state = OUTPUT_IN_PLACE;
    return NULL;
  }
  struct stat st;
  if (stat(o->path, &st) != 0) {
    if (errno != ENOENT)
      return strerror(errno);
    mode_t mask = umask(0);
    umask(mask);
    o->mode = 0666 & ~mask;
    o->target = copy_text(o->path, "");
    return make_temporary(o);
  }
  if (S_ISDIR(st.st_mode))
    return strerror(EISDIR);
  if (!S_ISREG(st.st_mode)) {
    o->state = OUTPUT_IN_PLACE;
    o->fd = open(o->path, O_WRONLY);
    return o->fd < 0 ? strerror(errno) : NULL;
  }
  o->mode = st.st_mode & 0777;
  o->existing = fopen(o->path, "rb");
  if (!o->existing)
    return replace_existing(o);
  o->state = OUTPUT_EQUAL;
  return NULL;
}

/* How many of the bytes the file holds at this place, too. */
static size_t equal_bytes(Output *o, const char *data, size_t len) {
  char piece[64 * 1024];
  size_t at = 0;
  while (at < len) {
    size_t some = len - at < sizeof piece ? len - at : sizeof piece;
    size_t got = fread(piece, 1, some, o->existing);
    if (got != some || memcmp(piece, data + at, some) != 0)
      break;
    at += some;
  }
  o->equal += at;
  return at;
}

static const char *write_output(Output *o, const char *data, size_t len) {
  const char *error = NULL;
  if (o->state == OUTPUT_EQUAL) {
    size_t equal = equal_bytes(o, data, len);
    if (equal == len)
      return NULL;
    error = replace_existing(o);
    data += equal;
    len -= equal;
  }
  if (error)
    return error;
  return o->state == OUTPUT_IN_PLACE && o->fd < 0 ? write_stdout(data, len) : write_all(o->fd, data, len);
}

static bool take(void *user, const void *data, size_t len) {
  Output *o = user;
  if (!o->error && o->state == OUTPUT_CLOSED)
    o->error = open_output(o);
  if (!o->error)
    o->error = write_output(o, data, len);
  return !o->error;
}

/* Everything is written, under whatever name. */
static void complete(Output *o) {
  writer_flush(&o->w);
  take(o, "", 0); /* it may be empty */
  if (!o->error && o->state == OUTPUT_EQUAL && fgetc(o->existing) != EOF)
    o->error = replace_existing(o);
  if (!o->error && o->state == OUTPUT_REPLACED && fchmod(o->fd, o->mode) != 0)
    o->error = strerror(errno);
  if (!o->error && o->state == OUTPUT_IN_PLACE && o->fd < 0 && fflush(stdout) != 0)
    o->error = strerror(errno);
  if (o->fd >= 0 && close(o->fd) != 0 && !o->error)
    o->error = strerror(errno);
  o->fd = -1;
}

static void rename_output(Output *o) {
  if (!o->temporary)
    return;
  o->renamed = rename(o->temporary, o->target) == 0;
  if (!o->renamed)
    o->error = strerror(errno);
}

/* ---- a set ---- */

Outputs *outputs_new(void) {
  Outputs *outputs = calloc(1, sizeof *outputs);
  if (!outputs)
    out_of_memory();
  outputs->next = on_their_way;
  on_their_way = outputs;
  return outputs;
}

Writer *outputs_add(Outputs *outputs, const char *path) {
  Output *o = calloc(1, sizeof *o);
  if (!o)
    out_of_memory();
  o->path = path;
  o->fd = -1;
  writer_init(&o->w);
  o->w.drain = take;
  o->w.drain_user = o;
  if (outputs->last)
    outputs->last->next = o;
  else
    outputs->first = o;
  outputs->last = o;
  return &o->w;
}

static void outputs_free(Outputs *outputs) {
  Outputs *volatile *link = &on_their_way;
  while (*link != outputs)
    link = &(*link)->next;
  *link = outputs->next;
  for (Output *o = outputs->first, *next; o; o = next) {
    next = o->next;
    if (o->fd >= 0)
      close(o->fd);
    if (o->existing)
      fclose(o->existing);
    writer_free(&o->w);
    free(o->target);
    free(o->temporary);
    free(o);
  }
  free(outputs);
}

void outputs_abandon(Outputs *outputs) {
  for (Output *o = outputs->first; o; o = o->next)
    if (o->temporary)
      unlink(o->renamed ? o->target : o->temporary);
  outputs_free(outputs);
}

/* Whatever can be renamed first: what is written in place cannot be taken back. */
static bool is_in_place(const Output *o) {
  struct stat st;
  return strcmp(o->path, "-") == 0 || (stat(o->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

const char *outputs_finish(Outputs *outputs, const char **failed_path) {
  const Output *failed = NULL;
  for (int in_place = 0; in_place < 2; in_place++)
    for (Output *o = outputs->first; o && !failed; o = o->next)
      if (is_in_place(o) == in_place) {
        complete(o);
        failed = o->error ? o : NULL;
      }
  for (Output *o = outputs->first; o && !failed; o = o->next) {
    rename_output(o);
    failed = o->error ? o : NULL;
  }
  if (!failed) {
    outputs_free(outputs);
    return NULL;
  }
  const char *error = failed->error;
  if (failed_path)
    *failed_path = failed->path;
  outputs_abandon(outputs);
  return error;
}

const char *write_files(const OutputFile *files, size_t n, const char **failed_path) {
  Outputs *outputs = outputs_new();
  for (size_t i = 0; i < n; i++)
    write_bytes(outputs_add(outputs, files[i].path), files[i].data, files[i].len);
  return outputs_finish(outputs, failed_path);
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
