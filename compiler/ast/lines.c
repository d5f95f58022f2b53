/* Lines to text: see lines.h. */
#include "ast/lines.h"

#include <string.h>

int text_width(const char *text) {
  int width = 0;
  for (; *text; text++)
    width += ((unsigned char)*text & 0xc0) != 0x80;
  return width;
}


static bool same_kinds(const Line *a, const Line *b) {
  if (a->fixed || b->fixed || a->indent != b->indent || a->cells.len != b->cells.len || a->cells.len < 2)
    return false;
  for (size_t i = 0; i < a->cells.len; i++)
    if (strcmp(a->cells.at[i].kind, b->cells.at[i].kind) != 0)
      return false;
  return true;
}

/* Columns at which the cells of each line begin; a line's row has one for each cell. */
static void plain_columns(const Line *line, int *columns) {
  int column = line->indent;
  for (size_t i = 0; i < line->cells.len; i++) {
    column += i > 0;
    columns[i] = column;
    column += line->cells.at[i].width;
  }
}

static void shift(int *columns, size_t n, size_t from, int by) {
  for (size_t i = from; i < n; i++)
    columns[i] += by;
}

/* Lines up cell c of `n` lines, if somebody has begun to. */
static void line_up(const Line *lines, size_t n, size_t c, int *const *columns) {
  bool wide = false, numbers = true;
  int target = 0;
  for (size_t i = 0; i < n; i++) {
    wide |= lines[i].cells.at[c].wide;
    numbers &= lines[i].cells.at[c].number_width > 0;
  }
  for (size_t i = 0; i < n; i++) {
    int column = columns[i][c] + (numbers ? lines[i].cells.at[c].number_width : 0);
    target = column > target ? column : target;
  }
  for (size_t i = 0; i < n && wide; i++) {
    int column = columns[i][c] + (numbers ? lines[i].cells.at[c].number_width : 0);
    shift(columns[i], lines[i].cells.len, c, target - column);
  }
}

/* The columns of a table, or of lines as they are where it would be too wide. */
static void table_columns(const Line *lines, size_t n, int *const *columns) {
  for (size_t i = 0; i < n; i++)
    plain_columns(&lines[i], columns[i]);
  if (n < 2)
    return;
  for (size_t c = 1; c < lines[0].cells.len; c++)
    line_up(lines, n, c, columns);
  for (size_t i = 0; i < n; i++) {
    size_t last = lines[i].cells.len - 1;
    if (columns[i][last] + lines[i].cells.at[last].width <= FORMAT_WIDTH)
      continue;
    for (size_t k = 0; k < n; k++)
      plain_columns(&lines[k], columns[k]);
    return;
  }
}

static const char *line_text(Arena *arena, const Line *line, const int *columns) {
  Writer w;
  writer_init(&w);
  int column = 0;
  for (size_t i = 0; i < line->cells.len; i++) {
    for (; column < columns[i]; column++)
      write_bytes(&w, " ", 1);
    write_bytes(&w, line->cells.at[i].text, strlen(line->cells.at[i].text));
    column += line->cells.at[i].width;
  }
  return writer_take(&w, arena);
}

/* Lines [begin, end) are one table, or a single line. */
static void make_texts(Arena *arena, const Lines *lines, size_t begin, size_t end, const char **texts) {
  int **columns = ARENA_ARRAY(arena, int *, end - begin);
  for (size_t i = begin; i < end; i++)
    columns[i - begin] = ARENA_ARRAY(arena, int, lines->at[i].cells.len + 1);
  table_columns(&lines->at[begin], end - begin, columns);
  for (size_t i = begin; i < end; i++)
    texts[i] = line_text(arena, &lines->at[i], columns[i - begin]);
}

static bool has_code(const Line *line) { return line->cells.len > 0; }

/* Where the comments of lines [begin, ...) begin; *end is behind the last of them. */
static int comment_column(const Lines *lines, const char *const *texts, size_t begin, size_t *end) {
  int column = 0;
  size_t i = begin;
  for (; i < lines->len && lines->at[i].trailing && has_code(&lines->at[i]); i++) {
    int width = text_width(texts[i]);
    column = width > column ? width : column;
  }
  *end = i;
  return column + 2;
}

void lines_write(Writer *w, Arena *arena, const Lines *lines) {
  const char **texts = ARENA_ARRAY(arena, const char *, lines->len + 1);
  for (size_t begin = 0, end; begin < lines->len; begin = end) {
    for (end = begin + 1; end < lines->len && same_kinds(&lines->at[begin], &lines->at[end]);)
      end++;
    make_texts(arena, lines, begin, end, texts);
  }
  int column = 0;
  for (size_t i = 0, run = 0; i < lines->len; i++) {
    const Line *line = &lines->at[i];
    write_bytes(w, texts[i], strlen(texts[i]));
    if (line->trailing) {
      if (i >= run)
        column = comment_column(lines, texts, i, &run);
      int at = has_code(line) ? text_width(texts[i]) : 0;
      for (int to = has_code(line) ? column : line->indent; at < to; at++)
        write_bytes(w, " ", 1);
      write_bytes(w, line->trailing, strlen(line->trailing));
    }
    write_bytes(w, "\n", 1);
  }
}
