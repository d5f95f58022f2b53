/* Text in a growing buffer. */
#include "support/writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


void writer_init(Writer *w) { *w = (Writer){.indent_width = 2, .at_line_start = true}; }

void writer_free(Writer *w) {
  free(w->data);
  writer_init(w);
}

const char *writer_take(Writer *w, Arena *arena) {
  const char *text = arena_strndup(arena, w->data ? w->data : "", w->len);
  writer_free(w);
  return text;
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

enum { DRAIN_BYTES = 1 << 20 };

static void hand_on(Writer *w, const void *data, size_t len) {
  w->dropped = w->dropped || !w->drain(w->drain_user, data, len);
  w->drained += len;
}

void writer_flush(Writer *w) {
  if (!w->drain || w->len == 0)
    return;
  hand_on(w, w->data, w->len);
  w->len = 0;
}

static void append(Writer *w, const void *data, size_t len) {
  if (len == 0)
    return;
  if (w->drain && w->len + len >= DRAIN_BYTES)
    writer_flush(w);
  if (w->drain && len >= DRAIN_BYTES) { /* much is not copied */
    hand_on(w, data, len);
    return;
  }
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
