/* Diagnostics as text (place, message, source line, caret) or as JSON lines.
 *
 * A message is put together in a Writer and goes to standard error in one
 * write, so that parallel builds do not interleave lines. Source bytes that a
 * terminal could not show are printed as '?', one column each. */
#include "support/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/writer.h"

enum {
  DEFAULT_ERROR_LIMIT = 20,
  WARNING_LIMIT = 100,
  MESSAGE_BYTES = 1000, /* of a longer message, the beginning */
  SHOWN_LINE_BYTES = 240, /* of a longer line, a window around the caret is shown */
  WORD_BYTES = 64         /* longer words have no nearest word */
};

Loc loc_span(Loc a, Loc b) {
  if (!a.source)
    return b;
  if (a.source == b.source && b.end > a.end)
    a.end = b.end;
  return a;
}

static uint32_t line_begin(const Source *source, uint32_t at) {
  while (at > 0 && source->text[at - 1] != '\n')
    at--;
  return at;
}

static uint32_t line_end(const Source *source, uint32_t at) {
  while (at < source->len && source->text[at] != '\n')
    at++;
  return at;
}

static uint32_t clamp(const Source *source, uint32_t at) {
  return at < source->len ? at : source->len;
}

void loc_line_column(Loc loc, int *line, int *column) {
  *line = *column = 0;
  if (!loc.source)
    return;
  uint32_t at = clamp(loc.source, loc.begin);
  *line = 1;
  for (uint32_t i = 0; i < at; i++)
    *line += loc.source->text[i] == '\n';
  *column = (int)(at - line_begin(loc.source, at)) + 1;
}

void diag_init(Diag *diag, Arena *arena) {
  *diag = (Diag){.arena = arena, .error_limit = DEFAULT_ERROR_LIMIT};
}

/* Bytes of the well-formed UTF-8 character at text (at most `len`); 0: none. */
static size_t utf8_length(const char *text, size_t len) {
  unsigned char c = (unsigned char)text[0];
  size_t n = c < 0x80                ? 1
             : c >= 0xc2 && c < 0xe0 ? 2
             : c >= 0xe0 && c < 0xf0 ? 3
             : c >= 0xf0 && c < 0xf5 ? 4
                                     : 0;
  if (n == 0 || n > len)
    return 0;
  for (size_t i = 1; i < n; i++)
    if (((unsigned char)text[i] & 0xc0) != 0x80)
      return 0;
  unsigned char next = n > 1 ? (unsigned char)text[1] : 0;
  if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next >= 0xa0) || (c == 0xf0 && next < 0x90) ||
      (c == 0xf4 && next >= 0x90))
    return 0;
  return n;
}

static const char *color(bool on, const char *code) { return on ? code : ""; }

static const char *severity_text(Severity severity) {
  switch (severity) {
  case SEVERITY_ERROR:
    return "error";
  case SEVERITY_WARNING:
    return "warning";
  case SEVERITY_NOTE:
    return "note";
  }
  return "";
}

static const char *severity_color(Severity severity) {
  switch (severity) {
  case SEVERITY_ERROR:
    return "\033[1;31m";
  case SEVERITY_WARNING:
    return "\033[1;35m";
  case SEVERITY_NOTE:
    return "\033[1;36m";
  }
  return "";
}

/* The source line, and under it a caret with tildes to the range's end. */
static void write_source_line(Writer *w, Loc loc, bool colored) {
  const Source *source = loc.source;
  uint32_t begin = clamp(source, loc.begin);
  uint32_t first = line_begin(source, begin), last = line_end(source, begin);
  if (last > first && source->text[last - 1] == '\r')
    last--;
  if (begin > last)
    begin = last;
  uint32_t end = loc.end < last ? loc.end : last; /* a longer range is clipped to its first line */
  const char *before = "", *after = "";
  if (last - first > SHOWN_LINE_BYTES) {
    if (begin - first > SHOWN_LINE_BYTES / 2) {
      first = begin - SHOWN_LINE_BYTES / 2;
      before = "...";
    }
    if (last - first > SHOWN_LINE_BYTES) {
      last = first + SHOWN_LINE_BYTES;
      after = "...";
    }
    /* Do not cut a character in two. */
    while (first < begin && ((unsigned char)source->text[first] & 0xc0) == 0x80)
      first++;
    if (end > last)
      end = last;
  }
  Writer marks;
  writer_init(&marks);
  write_bytes(w, before, strlen(before));
  write_bytes(&marks, "   ", strlen(before));
  for (uint32_t at = first; at < last;) {
    const char *text = source->text + at;
    size_t len = utf8_length(text, last - at);
    unsigned char c = (unsigned char)*text;
    bool shown = len > 0 && c != 0x7f && (c >= 0x20 || c == '\t');
    if (!shown)
      len = len ? len : 1;
    write_bytes(w, shown ? text : "?", shown ? len : 1);
    if (at < begin && at + len <= begin)
      write_bytes(&marks, c == '\t' ? "\t" : " ", 1);
    else if (at <= begin)
      write_bytes(&marks, "^", 1);
    else if (at < end)
      write_bytes(&marks, "~", 1);
    at += (uint32_t)len;
  }
  if (begin >= last)
    write_bytes(&marks, "^", 1);
  write_bytes(w, after, strlen(after));
  write_text(w, "\n");
  write_text(w, color(colored, "\033[1;32m"));
  write_bytes(w, marks.data, marks.len);
  write_text(w, color(colored, "\033[0m"));
  write_text(w, "\n");
  writer_free(&marks);
}

static void write_as_text(Writer *w, const Diag *diag, Severity severity, Loc loc,
                          const char *message) {
  bool colored = diag->color == COLOR_ALWAYS;
  if (diag->color == COLOR_AUTO) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    colored =
        isatty(STDERR_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
  }
  write_text(w, color(colored, "\033[1m"));
  if (loc.source) {
    int line, column;
    loc_line_column(loc, &line, &column);
    write_f(w, "%s:%d:%d: ", loc.source->name, line, column);
  } else {
    write_text(w, "mncc: ");
  }
  write_f(w, "%s%s: %s%s", color(colored, severity_color(severity)), severity_text(severity),
          color(colored, "\033[0m"), color(colored, "\033[1m"));
  write_f(w, "%s%s\n", message, color(colored, "\033[0m"));
  if (loc.source && line_end(loc.source, clamp(loc.source, loc.begin)) >
                        line_begin(loc.source, clamp(loc.source, loc.begin)))
    write_source_line(w, loc, colored); /* an empty line would show nothing */
}

static void write_json_string(Writer *w, const char *text) {
  write_text(w, "\"");
  for (size_t len = strlen(text); len > 0;) {
    unsigned char c = (unsigned char)*text;
    size_t n = utf8_length(text, len);
    if (n == 0)
      write_text(w, "\\ufffd");
    else if (c == '"' || c == '\\')
      write_f(w, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
      write_f(w, "\\u%04x", c);
    else
      write_bytes(w, text, n);
    n = n ? n : 1;
    text += n;
    len -= n;
  }
  write_text(w, "\"");
}

static void write_as_json(Writer *w, Severity severity, Loc loc, const char *message) {
  write_f(w, "{\"severity\":\"%s\",", severity_text(severity));
  if (loc.source) {
    int line, column;
    loc_line_column(loc, &line, &column);
    uint32_t begin = clamp(loc.source, loc.begin), end = line_end(loc.source, begin);
    if (loc.end < end)
      end = loc.end > begin ? loc.end : begin;
    write_text(w, "\"file\":");
    write_json_string(w, loc.source->name);
    write_f(w, ",\"line\":%d,\"column\":%d,\"end_column\":%d,", line, column,
            column + (int)(end - begin));
  }
  write_text(w, "\"message\":");
  write_json_string(w, message);
  write_text(w, "}\n");
}

static void show(const Diag *diag, Severity severity, Loc loc, const char *message) {
  if (strlen(message) > MESSAGE_BYTES) {
    int len = MESSAGE_BYTES;
    while (len > 0 && ((unsigned char)message[len] & 0xc0) == 0x80)
      len--;
    message = arena_printf(diag->arena, "%.*s...", len, message);
  }
  Writer w;
  writer_init(&w);
  if (diag->json)
    write_as_json(&w, severity, loc, message);
  else
    write_as_text(&w, diag, severity, loc, message);
  fflush(stdout);
  fwrite(w.data, 1, w.len, stderr);
  fflush(stderr);
  writer_free(&w);
}

static void report(Diag *diag, Severity severity, const char *kind, Loc loc, const char *format,
                   va_list args) {
  int limit = diag->error_limit > 0 ? diag->error_limit : DEFAULT_ERROR_LIMIT;
  if (severity == SEVERITY_NOTE) {
    if (!diag->silent)
      show(diag, severity, loc, arena_vprintf(diag->arena, format, args));
    return;
  }
  for (size_t i = 0; kind && i < diag->n_disabled; i++)
    if (strcmp(kind, diag->disabled[i]) == 0) {
      diag->silent = true;
      return;
    }
  bool promoted = severity == SEVERITY_WARNING && diag->werror;
  if (severity == SEVERITY_WARNING)
    diag->warnings++;
  if (promoted)
    severity = SEVERITY_ERROR;
  /* Warnings too are quiet once the limit is passed. */
  bool errors_full = severity == SEVERITY_ERROR && diag->errors >= limit;
  bool warnings_full = severity == SEVERITY_WARNING && diag->warnings > WARNING_LIMIT;
  diag->silent = diag->quiet || diag->limit_noted || errors_full || warnings_full;
  if (severity == SEVERITY_ERROR)
    diag->errors++;
  if (warnings_full && diag->warnings == WARNING_LIMIT + 1 && !diag->limit_noted && !diag->quiet)
    show(diag, SEVERITY_NOTE, (Loc){0},
         arena_printf(diag->arena, "too many warnings; only the first %d are shown",
                      WARNING_LIMIT));
  if (errors_full && !diag->limit_noted && !diag->quiet) {
    show(diag, SEVERITY_NOTE, (Loc){0},
         arena_printf(diag->arena, "too many errors; only the first %d are shown", limit));
    diag->limit_noted = true;
  }
  if (diag->silent)
    return;
  const char *message = arena_vprintf(diag->arena, format, args);
  if (promoted || kind)
    message = arena_printf(diag->arena, "%s [%s%s%s%s]", message, promoted ? "-Werror" : "",
                           promoted && kind ? "," : "", kind ? "-W" : "", kind ? kind : "");
  show(diag, severity, loc, message);
  if (diag->context && loc.source && !diag->in_context) {
    diag->in_context = true;
    diag->context(diag, diag->context_user);
    diag->in_context = false;
  }
}

void diag_error(Diag *diag, Loc loc, const char *format, ...) {
  va_list args;
  va_start(args, format);
  report(diag, SEVERITY_ERROR, NULL, loc, format, args);
  va_end(args);
}

void diag_warning(Diag *diag, const char *kind, Loc loc, const char *format, ...) {
  va_list args;
  va_start(args, format);
  report(diag, SEVERITY_WARNING, kind, loc, format, args);
  va_end(args);
}

void diag_note(Diag *diag, Loc loc, const char *format, ...) {
  va_list args;
  va_start(args, format);
  report(diag, SEVERITY_NOTE, NULL, loc, format, args);
  va_end(args);
}

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* Insertions, deletions, substitutions and swaps of neighbours, one each. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len) {
  size_t rows[3][WORD_BYTES + 1];
  for (size_t j = 0; j <= b_len; j++)
    rows[0][j] = j;
  for (size_t i = 1; i <= a_len; i++) {
    size_t *row = rows[i % 3];
    const size_t *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= b_len; j++) {
      size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
      best = min_size(best, min_size(above[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        best = min_size(best, above2[j - 2] + 1);
      row[j] = best;
    }
  }
  return rows[a_len % 3][b_len];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t n) {
  size_t len = strlen(word);
  if (len > WORD_BYTES)
    return NULL;
  size_t allowed = len < 6 ? 1 : len / 3;
  const char *nearest = NULL;
  for (size_t i = 0; i < n; i++) {
    size_t candidate_len = strlen(candidates[i]);
    if (candidate_len > WORD_BYTES)
      continue;
    size_t distance = edit_distance(word, len, candidates[i], candidate_len);
    /* Something of the word must be left: 'x' does not suggest 'y'. */
    if (distance > allowed || distance >= len)
      continue;
    nearest = candidates[i];
    if (distance == 0)
      break;
    allowed = distance - 1;
  }
  return nearest;
}
