/* Formatting: tokens and comments stay, the white space between them is made anew.
 *
 * Tokens are grouped into words, which stay together: a name and the '(' behind it,
 * and whatever closes behind what it closes. A body that stood on one line and
 * fits is one word too; any other has a line for each statement. The words of a
 * statement fill lines. A line ends where the author has ended it in front of an arrow
 * or behind a comma, where a comment needs it, and, when the words reach the right
 * margin, at the outermost of the places that the line has.
 *
 * What is chosen depends on tokens, on those line ends and on whether a body was on
 * one line, all of which the result has too: formatted again, it stays as it is. */
#include "ast/lines.h"

#include <string.h>

#include "ast/build.h"
#include "grammar/parse.h"

typedef enum Place {
  PLACE_OWN,      /* on a line of its own */
  PLACE_TRAILING, /* at the end of the line of the token before */
  PLACE_INLINE    /* in front of a token, on its line */
} Place;

typedef struct Comment {
  Loc loc;
  Place place;
  bool blank; /* an empty line stands in front of it */
} Comment;

typedef struct Tok {
  int kind;
  Loc loc;
  size_t comments, n_comments; /* those in front of it */
  size_t partner;              /* of a bracket: the index of the other one */
  bool blank;                  /* an empty line stands in front of it */
  bool newline;                /* it is not on the line of the token before */
  bool in_stage;               /* the innermost bracket or statement around it has had an arrow */
} Tok;

typedef struct Formatter {
  Arena *arena;
  const Source *source;
  VEC(Tok) toks;
  VEC(Comment) comments;
  Lines lines;
} Formatter;

/* ---- tokens and what lies between ---- */

enum { NO_BREAK = 0 }; /* costs of ending a line somewhere begin at 1 */

static size_t newlines(const Source *source, uint32_t begin, uint32_t end) {
  size_t n = 0;
  for (uint32_t i = begin; i < end; i++)
    n += source->text[i] == '\n';
  return n;
}

static bool has_newline(const Formatter *f, uint32_t begin, uint32_t end) {
  return begin < end && memchr(f->source->text + begin, '\n', end - begin);
}

/* Where the comments in front of token t stand; `end` is that of the token before. */
static void place_comments(Formatter *f, Tok *t, uint32_t end, bool is_first) {
  bool trailing = !is_first;
  for (size_t i = t->comments; i < t->comments + t->n_comments; i++) {
    Comment *c = &f->comments.at[i];
    trailing = trailing && !has_newline(f, i == t->comments ? end : c[-1].loc.end, c->loc.begin);
    /* On the line of the token before: whether it ends that is seen at the last one. */
    c->place = trailing ? PLACE_TRAILING : PLACE_OWN;
  }
  uint32_t behind = t->loc.begin;
  bool ends_line = t->kind == MN_END;
  for (size_t i = t->comments + t->n_comments; i-- > t->comments;) {
    Comment *c = &f->comments.at[i];
    ends_line |= f->source->text[c->loc.begin + 1] == '/' || has_newline(f, c->loc.end, behind) ||
                 has_newline(f, c->loc.begin, c->loc.end);
    if (!ends_line)
      c->place = PLACE_INLINE;
    behind = c->loc.begin;
  }
}

static void add_token(Formatter *f, int kind, Loc loc, size_t first_comment) {
  Tok t = {.kind = kind, .loc = loc, .comments = first_comment, .n_comments = f->comments.len - first_comment};
  uint32_t end = f->toks.len ? f->toks.at[f->toks.len - 1].loc.end : 0;
  place_comments(f, &t, end, f->toks.len == 0);
  t.newline = f->toks.len == 0 || has_newline(f, end, loc.begin);
  uint32_t before = t.n_comments ? f->comments.at[f->comments.len - 1].loc.end : end;
  t.blank = newlines(f->source, before, loc.begin) > 1;
  VEC_PUSH(f->arena, f->toks, t);
}

/* Finds the partners of brackets, and what stands behind arrows. */
static void pair_brackets(Formatter *f) {
  VEC(size_t) open = {0};
  bool in_stage = false;
  for (size_t i = 0; i < f->toks.len; i++) {
    int kind = f->toks.at[i].kind;
    if (kind == MN_RPAREN || kind == MN_RBRACKET || kind == MN_RBRACE)
      in_stage = f->toks.at[open.at[open.len - 1]].in_stage;
    f->toks.at[i].in_stage = in_stage;
    in_stage = kind == MN_ARROW ||
               (in_stage && kind != MN_COMMA && kind != MN_SEMICOLON && kind != MN_LPAREN && kind != MN_LBRACKET && kind != MN_LBRACE);
    if (kind == MN_LPAREN || kind == MN_LBRACKET || kind == MN_LBRACE) {
      VEC_PUSH(f->arena, open, i);
    } else if (kind == MN_RPAREN || kind == MN_RBRACKET || kind == MN_RBRACE) {
      size_t partner = open.at[--open.len];
      f->toks.at[i].partner = partner;
      f->toks.at[partner].partner = i;
    }
  }
}

static void read_marks(Formatter *f, const AstTrace *trace) {
  size_t first_comment = 0;
  uint32_t end = 0;
  for (size_t i = 0; i < trace->marks.len; i++) {
    const AstMark *mark = &trace->marks.at[i];
    if (mark->kind == AST_COMMENT) {
      Comment c = {.loc = mark->loc, .blank = newlines(f->source, end, mark->loc.begin) > 1};
      VEC_PUSH(f->arena, f->comments, c);
    } else {
      add_token(f, mark->kind, mark->loc, first_comment);
      first_comment = f->comments.len;
    }
    end = mark->loc.end;
  }
  pair_brackets(f);
}

static bool has_comment(const Formatter *f, size_t i, Place place) {
  const Tok *t = &f->toks.at[i];
  for (size_t c = t->comments; c < t->comments + t->n_comments; c++)
    if (f->comments.at[c].place == place)
      return true;
  return false;
}

static int kind_at(const Formatter *f, size_t i) { return f->toks.at[i].kind; }

static bool is_closer(int kind) {
  return kind == MN_RPAREN || kind == MN_RBRACKET || kind == MN_COMMA || kind == MN_SEMICOLON || kind == MN_COLON;
}

static bool ends_operand(int kind) {
  return kind == MN_NUMBER || kind == MN_KERNEL || kind == MN_STRING || kind == MN_NAME || kind == MN_RPAREN ||
         kind == MN_RBRACKET;
}

static bool is_negative(const Formatter *f, size_t i) {
  return kind_at(f, i) == MN_MINUS && !(i > 0 && ends_operand(kind_at(f, i - 1)));
}

static int operator_cost(int kind) {
  switch (kind) {
  case MN_OR:
    return 3;
  case MN_AND:
    return 4;
  case MN_EQ: case MN_NE: case MN_LT: case MN_LE: case MN_GT: case MN_GE:
    return 5;
  case MN_PLUS: case MN_MINUS:
    return 6;
  case MN_STAR: case MN_SLASH:
    return 7;
  default:
    return NO_BREAK;
  }
}

/* The '/' of 3/4, which is written like a number. */
static bool is_fraction(const Formatter *f, size_t i) {
  return kind_at(f, i) == MN_SLASH && i > 1 && kind_at(f, i - 1) == MN_NUMBER && kind_at(f, i + 1) == MN_NUMBER &&
         kind_at(f, i - 2) != MN_STAR && kind_at(f, i - 2) != MN_SLASH;
}

/* Whether token i has a space in front of it, on the line of the token before. */
static bool has_space(const Formatter *f, size_t i) {
  int a = kind_at(f, i - 1), b = kind_at(f, i);
  if (is_closer(b) || a == MN_LPAREN || a == MN_LBRACKET || (a == MN_LBRACE && b == MN_RBRACE))
    return false;
  if ((b == MN_LPAREN || b == MN_LBRACKET) && a == MN_NAME)
    return false;
  return !is_negative(f, i - 1) && !is_fraction(f, i) && !(i > 1 && is_fraction(f, i - 1));
}

/* The '*' behind a stage, which says how often: it stays with it. */
static bool is_repetition(const Formatter *f, size_t i) {
  return kind_at(f, i) == MN_STAR && f->toks.at[i].in_stage;
}

/* An operator between operands at which a line may end. */
static bool is_operator(const Formatter *f, size_t i) {
  return operator_cost(kind_at(f, i)) != NO_BREAK && !is_negative(f, i) && !is_fraction(f, i) && !is_repetition(f, i);
}

/* A space in front of token i and of the comments that it has on its line. */
static bool has_space_with_comments(const Formatter *f, size_t i) {
  int before = kind_at(f, i - 1);
  bool inside = before == MN_LPAREN || before == MN_LBRACKET;
  return has_space(f, i) || (!inside && has_comment(f, i, PLACE_INLINE));
}

static const char *slice(Formatter *f, Loc loc) {
  return arena_strndup(f->arena, f->source->text + loc.begin, loc.end - loc.begin);
}

/* Without spaces at the ends of its lines, and without carriage returns. */
static const char *comment_text(Formatter *f, Loc loc, int shift) {
  Writer w;
  writer_init(&w);
  for (uint32_t at = loc.begin; at < loc.end;) {
    const char *line = f->source->text + at;
    const char *end = memchr(line, '\n', loc.end - at);
    size_t len = end ? (size_t)(end - line) : loc.end - at, kept = len, spaces = 0;
    while (kept && strchr(" \t\r\f\v", line[kept - 1]))
      kept--;
    while (spaces < kept && line[spaces] == ' ')
      spaces++;
    bool moves = at > loc.begin && kept > 0 && line[spaces] != '\t';
    int wanted = moves ? (int)spaces + shift : (int)spaces;
    for (int i = 0; i < wanted; i++)
      write_bytes(&w, " ", 1);
    write_bytes(&w, line + spaces, kept - spaces);
    if (end)
      write_bytes(&w, "\n", 1);
    at += (uint32_t)len + (end != NULL);
  }
  return writer_take(&w, f->arena);
}

/* ---- lines ---- */

static Line *new_line(Formatter *f, int indent) {
  VEC_PUSH(f->arena, f->lines, ((Line){.indent = indent}));
  return &f->lines.at[f->lines.len - 1];
}

static bool at_top(const Formatter *f, size_t first_line) { return f->lines.len == first_line; }

static void own_comment(Formatter *f, const Comment *c, int indent) {
  uint32_t begin = c->loc.begin, line = begin;
  while (line > 0 && f->source->text[line - 1] != '\n')
    line--;
  new_line(f, indent)->trailing = comment_text(f, c->loc, indent - (int)(begin - line));
}

/* The comments in front of token i that stand on lines of their own. Empty lines are kept, one of several, but for those
 * at the begin of a body, which begins at `first_line`. */
static void own_comments(Formatter *f, size_t i, int indent, size_t first_line) {
  const Tok *t = &f->toks.at[i];
  for (size_t c = t->comments; c < t->comments + t->n_comments; c++)
    if (f->comments.at[c].place == PLACE_OWN) {
      if (f->comments.at[c].blank && !at_top(f, first_line))
        new_line(f, 0);
      own_comment(f, &f->comments.at[c], indent);
    }
}

/* Those in front of token i that end the line before it; null: none. */
static const char *trailing_text(Formatter *f, size_t i) {
  const Tok *t = &f->toks.at[i];
  const char *text = NULL;
  for (size_t c = t->comments; c < t->comments + t->n_comments; c++)
    if (f->comments.at[c].place == PLACE_TRAILING) {
      const char *own = comment_text(f, f->comments.at[c].loc, 0);
      text = text ? arena_printf(f->arena, "%s %s", text, own) : own;
    }
  return text;
}

/* ---- words ---- */

enum { NO_WORD = -1, LAST_RESORT = 1000000 };

typedef struct Word {
  size_t token;      /* its first one */
  const char *text;  /* comments in front of its tokens included; of a body: up to its '{' */
  bool space;        /* in front of it */
  bool must_break;   /* a line ends in front of it */
  int cost;          /* of ending a line in front of it, from 1; NO_BREAK: not there */
  int bracket;       /* the word whose '(' or '[' is the innermost one around it */
  int head, arrow;   /* of an arrow: the first word of its flow, and that with the flow's first arrow */
  bool hangs;        /* of an open bracket: the author has ended the line behind it */
  bool closes;       /* it begins with the closing bracket of one that hangs, on a line of its own */
  bool is_body;      /* it is a whole body */
  const char *flat;   /* of a body: the text of all of it on one line, or null if it takes several */
  const char *closed; /* of a body: what is glued behind its '}'; once it is written, that too */
  bool is_written;    /* of a body: but for what stands behind it */
  const char *trailing; /* a comment behind it, which ends the line */
  int column;         /* where it was put */
  int line_indent;    /* of the line there */
  bool starts_line;
} Word;

typedef VEC(Word) Words;

/* What is open while words are made. */
typedef struct Level {
  int bracket;
  bool begun;      /* a word is in it */
  int head, arrow; /* of the flow here; NO_WORD: no word yet, no arrow yet */
} Level;

typedef struct Statement {
  Formatter *f;
  Words words;
  VEC(Level) levels;
  int indent;
  int base;         /* where the '}' of a body stands that begins on this line */
  size_t line_word; /* the first word of the line being filled */
} Statement;

/* Puts token i, and the comments that it has on its line, behind what the word has. */
static void append(Formatter *f, Word *word, size_t i) {
  const Tok *t = &f->toks.at[i];
  bool space = *word->text && has_space_with_comments(f, i);
  for (size_t c = t->comments; c < t->comments + t->n_comments; c++)
    if (f->comments.at[c].place == PLACE_INLINE) {
      word->text = arena_printf(f->arena, "%s%s%s", word->text, space ? " " : "", comment_text(f, f->comments.at[c].loc, 0));
      space = true;
    }
  word->text = arena_printf(f->arena, "%s%s%s", word->text, space ? " " : "", slice(f, t->loc));
}

/* What follows the '{' at token i, on one line; null where it took several, or is too wide. */
static const char *flat_body(Formatter *f, size_t i) {
  size_t end = f->toks.at[i].partner;
  if (has_newline(f, f->toks.at[i].loc.begin, f->toks.at[end].loc.end))
    return NULL;
  Word word = {.text = "{"};
  for (size_t k = i + 1; k <= end; k++) {
    append(f, &word, k);
    if (strlen(word.text) > 4 * FORMAT_WIDTH || text_width(word.text) > FORMAT_WIDTH)
      return NULL;
  }
  return word.text + 1;
}

/* As it stands on the line where it ends. */
static const char *word_text(const Formatter *f, const Word *word) {
  if (word->is_written)
    return word->closed;
  return word->flat ? arena_printf(f->arena, "%s%s", word->flat, word->closed) : word->text;
}

static int word_width(const Formatter *f, const Word *word) { return text_width(word_text(f, word)); }

/* Outer places are cheaper than inner ones. */
static int break_cost(const Statement *s, size_t i) {
  const Formatter *f = s->f;
  const Level *level = &s->levels.at[s->levels.len - 1];
  int kind = kind_at(f, i), cost = NO_BREAK;
  if (kind == MN_ARROW) {
    const Word *head = level->head == NO_WORD ? NULL : &s->words.at[level->head];
    bool plain = head && level->arrow == NO_WORD && level->head + 1 == (int)s->words.len && !head->is_body;
    if (plain && !strchr(head->text, '('))
      return LAST_RESORT;
    cost = 1;
  } else if (kind_at(f, i - 1) == MN_COMMA) {
    cost = 2;
  } else if (is_operator(f, i)) {
    cost = operator_cost(kind);
  }
  return cost == NO_BREAK ? NO_BREAK : cost + 8 * (int)s->levels.len;
}

/* A line ends in front of token i, because the author ends it there or a comment needs it. What is joined by an arrow or
 * an operator has that at the begin of the line, wherever it was. */
static bool breaks_before(const Formatter *f, size_t i) {
  const Tok *t = &f->toks.at[i];
  if (has_comment(f, i, PLACE_OWN) || has_comment(f, i, PLACE_TRAILING))
    return true;
  int before = kind_at(f, i - 1);
  if (t->kind == MN_ARROW || is_operator(f, i))
    return t->newline || (f->toks.at[i + 1].newline && f->toks.at[i + 1].kind != MN_LBRACE);
  return t->newline && (before == MN_COMMA || before == MN_ASSIGN);
}

static bool hangs(const Formatter *f, size_t open) {
  return f->toks.at[open + 1].newline && f->toks.at[open].partner != open + 1;
}

static void open_bracket(Statement *s, size_t i) {
  Formatter *f = s->f;
  int word = (int)s->words.len - 1;
  s->words.at[word].hangs = hangs(f, i);
  VEC_PUSH(f->arena, s->levels, ((Level){word, false, NO_WORD, NO_WORD}));
}

static void push_word(Statement *s, size_t i, bool first) {
  Formatter *f = s->f;
  Level *level = &s->levels.at[s->levels.len - 1];
  Word word = {.token = i, .text = "", .bracket = level->bracket, .head = level->head, .arrow = level->arrow};
  int kind = kind_at(f, i), index = (int)s->words.len;
  append(f, &word, i);
  if (!first) {
    word.space = has_space_with_comments(f, i);
    word.cost = break_cost(s, i);
    bool behind_hanging = level->bracket != NO_WORD && s->words.at[level->bracket].hangs && !level->begun;
    word.must_break = breaks_before(f, i) || (behind_hanging && !is_closer(kind));
    if (word.must_break)
      s->words.at[index - 1].trailing = trailing_text(f, i);
  }
  if (kind == MN_ARROW && level->arrow == NO_WORD)
    level->arrow = word.arrow = index;
  if (level->head == NO_WORD)
    level->head = word.head = index;
  level->begun = true;
  VEC_PUSH(f->arena, s->words, word);
}

static void push_body(Statement *s, size_t i, bool first) {
  Formatter *f = s->f;
  push_word(s, i, first);
  Word *word = &s->words.at[s->words.len - 1];
  word->is_body = true;
  word->closed = "";
  const char *flat = flat_body(f, i);
  if (flat)
    word->flat = arena_printf(f->arena, "%s%s", word->text, flat);
}

/* Appends what closes to the word before it. */
static void glue(Statement *s, size_t i) {
  Word *word = &s->words.at[s->words.len - 1];
  if (word->is_body) {
    Word behind = {.text = arena_printf(s->f->arena, "}%s", word->closed)};
    append(s->f, &behind, i);
    word->closed = behind.text + 1;
  } else {
    append(s->f, word, i);
  }
}

/* True if token i stays with the token before it whatever happens. */
static bool is_glued(const Statement *s, size_t i) {
  const Formatter *f = s->f;
  int kind = kind_at(f, i), before = kind_at(f, i - 1);
  if (breaks_before(f, i))
    return false;
  if (kind == MN_LPAREN || kind == MN_LBRACKET)
    return before == MN_NAME;
  if (!is_closer(kind))
    return is_negative(f, i - 1) || is_fraction(f, i) || is_fraction(f, i - 1);
  const Level *level = &s->levels.at[s->levels.len - 1];
  bool closes_hanging = (kind == MN_RPAREN || kind == MN_RBRACKET) && s->words.at[level->bracket].hangs;
  return !(closes_hanging && f->toks.at[i].newline);
}

static void close_bracket(Statement *s, bool glued) {
  Level level = s->levels.at[--s->levels.len];
  if (glued)
    return;
  Word *word = &s->words.at[s->words.len - 1];
  word->closes = s->words.at[level.bracket].hangs;
  word->must_break |= word->closes;
  word->bracket = level.bracket;
}

/* The words of the tokens first … last. */
static void make_words(Statement *s, size_t first, size_t last) {
  Formatter *f = s->f;
  VEC_PUSH(f->arena, s->levels, ((Level){NO_WORD, false, NO_WORD, NO_WORD}));
  for (size_t i = first; i <= last; i++) {
    int kind = kind_at(f, i);
    if (kind == MN_LBRACE) {
      push_body(s, i, i == first);
      i = f->toks.at[i].partner;
      continue;
    }
    bool glued = i > first && is_glued(s, i);
    if (glued)
      glue(s, i);
    else
      push_word(s, i, i == first);
    if (kind == MN_LPAREN || kind == MN_LBRACKET)
      open_bracket(s, i);
    else if (kind == MN_RPAREN || kind == MN_RBRACKET)
      close_bracket(s, glued);
    else if (kind == MN_COMMA && s->levels.len > 1)
      s->levels.at[s->levels.len - 1].head = s->levels.at[s->levels.len - 1].arrow = NO_WORD;
  }
  s->words.at[s->words.len - 1].trailing = trailing_text(f, last + 1);
}

/* ---- filling lines ---- */

/* Where a line begins in front of word k. Marks the line whose columns it depends on. */
static int break_indent(Statement *s, size_t k) {
  const Word *word = &s->words.at[k];
  int kind = kind_at(s->f, word->token);
  if (word->is_body || kind == MN_ELSE)
    return s->base;
  const Word *bracket = word->bracket == NO_WORD ? NULL : &s->words.at[word->bracket];
  if (word->closes)
    return bracket->line_indent;
  if (kind == MN_ARROW) {
    const Word *head = &s->words.at[word->head], *arrow = &s->words.at[word->arrow];
    if (word->arrow == (int)k)
      return head->column + FORMAT_INDENT;
    bool plain = word->head + 1 == word->arrow && !strchr(head->text, '(') && word_width(s->f, head) <= FORMAT_WIDTH / 4;
    return arrow->starts_line || plain ? arrow->column : head->column + FORMAT_INDENT;
  }
  if (!bracket)
    return s->indent + FORMAT_INDENT;
  int inside = bracket->column + word_width(s->f, bracket);
  if (bracket->hangs)
    return bracket->line_indent + FORMAT_INDENT;
  return inside > FORMAT_WIDTH * 2 / 3 ? bracket->line_indent + 2 * FORMAT_INDENT : inside;
}

static bool begins_cell(const Statement *s, size_t k) {
  const Formatter *f = s->f;
  size_t token = s->words.at[k].token;
  return kind_at(f, token) == MN_ARROW || kind_at(f, token - 1) == MN_COMMA;
}

/* More than one space stands in front of token i and its comments. */
static bool is_wide(const Formatter *f, size_t i) {
  const Tok *t = &f->toks.at[i];
  uint32_t begin = t->n_comments ? f->comments.at[t->comments].loc.begin : t->loc.begin;
  return !t->newline && begin - f->toks.at[i - 1].loc.end > 1;
}

static Cell new_cell(const Statement *s, size_t k, bool first) {
  Formatter *f = s->f;
  const Word *word = &s->words.at[k];
  size_t i = word->token;
  Cell cell = {.text = "", .kind = ""};
  bool arrow = kind_at(f, i) == MN_ARROW;
  if (arrow)
    cell.kind = kind_at(f, i + 1) == MN_NAME ? arena_printf(f->arena, "->%s", slice(f, f->toks.at[i + 1].loc)) : "->";
  else if (!first)
    cell.kind = ",";
  if (first)
    return cell;
  cell.wide = is_wide(f, i);
  if (kind_at(f, i) == MN_NUMBER && !has_comment(f, i, PLACE_INLINE) && is_closer(kind_at(f, i + 1)))
    cell.number_width = (int)(f->toks.at[i].loc.end - f->toks.at[i].loc.begin);
  return cell;
}

static void add_text(Formatter *f, Line *line, const char *text, bool space) {
  Cell *cell = &line->cells.at[line->cells.len - 1];
  cell->text = arena_printf(f->arena, "%s%s%s", cell->text, *cell->text && space ? " " : "", text);
  cell->width = text_width(cell->text);
}

/* Words [line_word, end) and what opens behind them are a line. */
static Line *flush(Statement *s, size_t end, const char *opening) {
  Formatter *f = s->f;
  Line *line = new_line(f, s->words.at[s->line_word].column);
  for (size_t k = s->line_word; k < end; k++) {
    bool first = k == s->line_word;
    if (first || begins_cell(s, k))
      VEC_PUSH(f->arena, line->cells, new_cell(s, k, first));
    add_text(f, line, word_text(f, &s->words.at[k]), s->words.at[k].space);
  }
  if (opening && line->cells.len == 0)
    VEC_PUSH(f->arena, line->cells, ((Cell){.text = "", .kind = ""}));
  if (opening)
    add_text(f, line, opening, true);
  else
    line->trailing = s->words.at[end - 1].trailing;
  return line;
}

/* Begins a line with word k; those before it are written. */
static void start_line(Statement *s, size_t k) {
  Word *word = &s->words.at[k];
  word->column = word->line_indent = break_indent(s, k);
  word->starts_line = true;
  if (kind_at(s->f, word->token) == MN_ARROW)
    s->base = word->column;
  s->line_word = k;
}

/* Ends the line in front of word k. */
static void break_line(Statement *s, size_t k) {
  Line *line = flush(s, k, NULL);
  start_line(s, k);
  /* Only lines that are indented like the one before do not care where its columns are. */
  line->fixed = s->words.at[k].column != line->indent;
  own_comments(s->f, s->words.at[k].token, s->words.at[k].column, (size_t)-1);
}

/* The cheapest place to end the line in front of word k or earlier; 0: there is none. */
static size_t best_break(const Statement *s, size_t k) {
  size_t best = 0;
  int cost = LAST_RESORT + 1;
  for (size_t i = s->line_word + 1; i <= k; i++) {
    int here = s->words.at[i].cost;
    if (here != NO_BREAK && here <= cost) {
      best = i;
      cost = here;
    }
  }
  return best;
}

static void put_behind(Statement *s, size_t k) {
  Word *word = &s->words.at[k];
  const Word *before = &s->words.at[k - 1];
  word->column = before->column + word_width(s->f, before) + word->space;
  word->line_indent = before->line_indent;
  word->starts_line = false;
}

static void format_items(Formatter *f, size_t first, size_t end, int indent);

/* Writes a body of several lines but for the line that its '}' begins. */
static void write_body(Statement *s, size_t k) {
  Formatter *f = s->f;
  size_t open = s->words.at[k].token, close = f->toks.at[open].partner;
  Line *line = flush(s, k, s->words.at[k].text);
  line->trailing = trailing_text(f, open + 1);
  line->fixed = true;
  format_items(f, open + 1, close, s->base + FORMAT_INDENT);
  Word *word = &s->words.at[k], closing = {.text = ""};
  append(f, &closing, close);
  word->is_written = true;
  word->closed = arena_printf(f->arena, "%s%s", closing.text, word->closed);
  word->column = word->line_indent = s->base;
  word->starts_line = true;
  s->line_word = k;
}

static bool fits(const Statement *s, size_t k) {
  const Word *word = &s->words.at[k];
  return word->column + word_width(s->f, word) <= FORMAT_WIDTH;
}

/* A body on one line that would not fit on a line of its own takes several. */
static void open_wide_body(Statement *s, size_t k) {
  Word *word = &s->words.at[k];
  if (word->flat && word_width(s->f, word) + s->base + 2 * FORMAT_INDENT > FORMAT_WIDTH)
    word->flat = NULL;
}

static void put_words(Statement *s) {
  s->words.at[0].column = s->words.at[0].line_indent = s->indent;
  s->words.at[0].starts_line = true;
  for (size_t k = 0; k < s->words.len; k++) {
    if (k > s->line_word) {
      if (s->words.at[k].must_break)
        break_line(s, k);
      else
        put_behind(s, k);
      if (!fits(s, k))
        open_wide_body(s, k);
      size_t best = fits(s, k) ? 0 : best_break(s, k);
      if (best) {
        break_line(s, best);
        k = best - 1;
        continue;
      }
    }
    Word *word = &s->words.at[k];
    if (!fits(s, k))
      word->flat = NULL;
    if (word->is_body && !word->flat)
      write_body(s, k);
  }
  flush(s, s->words.len, NULL);
}

/* ---- statements ---- */

/* The last token of the item that begins at token i. */
static size_t item_end(const Formatter *f, size_t i) {
  for (;; i++) {
    int kind = kind_at(f, i);
    if (kind == MN_LPAREN || kind == MN_LBRACKET || kind == MN_LBRACE)
      i = f->toks.at[i].partner;
    if (kind == MN_SEMICOLON)
      return i;
    int next = kind_at(f, i + 1);
    if (kind == MN_LBRACE && next != MN_ARROW && next != MN_ELSE && next != MN_SEMICOLON)
      return i;
  }
}

static void format_item(Formatter *f, size_t first, size_t last, int indent) {
  Statement s = {.f = f, .indent = indent, .base = indent};
  make_words(&s, first, last);
  put_words(&s);
}

/* The items of tokens [first, end), and the comments in front of token `end`. */
static void format_items(Formatter *f, size_t first, size_t end, int indent) {
  size_t first_line = f->lines.len;
  for (size_t i = first; i < end;) {
    size_t last = item_end(f, i);
    own_comments(f, i, indent, first_line);
    if (f->toks.at[i].blank && !at_top(f, first_line))
      new_line(f, 0);
    format_item(f, i, last, indent);
    i = last + 1;
  }
  own_comments(f, end, indent, first_line);
}

/* ---- the whole ---- */

static bool trace_text(Arena *arena, Diag *diag, const Source *source, AstTrace *trace) {
  AstFile file = {.source = source};
  AstBuilder b = {.arena = arena, .diag = diag, .source = source, .file = &file, .trace = trace};
  return ast_parse_text(&b);
}

/* Both are the same but for white space. */
static bool same_bytes(const Source *a, Loc x, const Source *b, Loc y) {
  uint32_t i = x.begin, k = y.begin;
  for (;; i++, k++) {
    while (i < x.end && strchr(" \t\r\n\f\v", a->text[i]))
      i++;
    while (k < y.end && strchr(" \t\r\n\f\v", b->text[k]))
      k++;
    if (i == x.end || k == y.end)
      return i == x.end && k == y.end;
    if (a->text[i] != b->text[k])
      return false;
  }
}

/* The formatter must not change a program, whatever it does: its text is read again. */
static void check(Arena *arena, Diag *diag, const Source *source, const AstTrace *before, const Writer *w, size_t begin) {
  Source result = {"formatted text", w->data + begin, (uint32_t)(w->len - begin)};
  AstTrace after = {0};
  if (!trace_text(arena, diag, &result, &after) || after.marks.len != before->marks.len)
    BUG("formatting '%s' has changed its tokens", source->name);
  for (size_t i = 0; i < after.marks.len; i++)
    if (after.marks.at[i].kind != before->marks.at[i].kind ||
        !same_bytes(source, before->marks.at[i].loc, &result, after.marks.at[i].loc))
      BUG("formatting '%s' has changed token %zu", source->name, i);
}

bool ast_format(Writer *w, Arena *arena, Diag *diag, const Source *source) {
  AstTrace trace = {0};
  if (!trace_text(arena, diag, source, &trace))
    return false;
  Formatter f = {.arena = arena, .source = source};
  read_marks(&f, &trace);
  size_t begin = w->len;
  format_items(&f, 0, f.toks.len - 1, 0);
  lines_write(w, arena, &f.lines);
  if (w->len - begin > AST_MAX_SOURCE_BYTES) {
    diag_error(diag, (Loc){source, 0, 0}, "formatted, the file would be larger than %d MiB", AST_MAX_SOURCE_BYTES >> 20);
    w->len = begin;
    return false;
  }
  if (w->len > begin)
    check(arena, diag, source, &trace, w, begin);
  return true;
}
