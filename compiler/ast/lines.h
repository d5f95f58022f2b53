/* Lines of formatted text before their last touch: columns that the author has
 * lined up, and comments at the ends of lines. Only the formatter uses this. */
#ifndef MNCC_AST_LINES_H
#define MNCC_AST_LINES_H

#include "support/arena.h"
#include "support/vec.h"
#include "support/writer.h"

enum { FORMAT_WIDTH = 120, FORMAT_INDENT = 4 };

/* A stretch of a line in front of which columns may be lined up: it begins at an arrow or behind a comma. */
typedef struct Cell {
  const char *text;
  int width;        /* in characters */
  int number_width; /* of the number that it begins with, which is lined up by its end; 0: it is no number */
  bool wide;        /* the author has put more than one space in front of it */
  const char *kind; /* lines whose cells are of the same kinds make a table: "->conv" or "," */
} Cell;

typedef struct Line {
  int indent;
  VEC(Cell) cells;      /* none: an empty line, or a comment alone */
  const char *trailing; /* a comment at its end, or null */
  bool fixed;           /* the indentation of a line below depends on columns inside this one */
} Line;

typedef VEC(Line) Lines;

/* The number of characters in UTF-8 text. */
int text_width(const char *text);

/* A table is a run of at least two lines of the same indentation and kinds of cells; where one of them has a wide gap, all
 * of them have their next cell at the same column. Comments at the ends of successive lines begin at the same column. */
void lines_write(Writer *w, Arena *arena, const Lines *lines);

#endif
