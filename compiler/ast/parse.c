/* Runs the generated scanner and parser. */
#include <string.h>

#include "ast/build.h"
#include "grammar/parse.h"

#define YYSTYPE MN_STYPE
#define YYLTYPE MN_LTYPE
#include "grammar/scan.h"

/* Null after an error: this is no text, or too much. */
static yyscan_t open_scanner(AstBuilder *b) {
  const Source *source = b->source;
  if (source->len > AST_MAX_SOURCE_BYTES) {
    diag_error(b->diag, (Loc){source, 0, 0}, "the file is larger than %d MiB",
               AST_MAX_SOURCE_BYTES >> 20);
    return NULL;
  }
  /* Also: flex reads a token again from its start at every NUL in it. */
  const char *nul = memchr(source->text, 0, source->len);
  if (nul) {
    uint32_t at = (uint32_t)(nul - source->text);
    diag_error(b->diag, (Loc){source, at, at + 1}, "NUL byte in the file; a network is a text");
    return NULL;
  }
  /* Editors on some systems begin a file with a byte order mark. */
  if (source->len >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0)
    b->offset = 3;
  yyscan_t scanner;
  if (mn_lex_init_extra(b, &scanner) != 0)
    out_of_memory();
  mn__scan_bytes(source->text + b->offset, (int)(source->len - b->offset), scanner);
  return scanner;
}

bool ast_parse_text(AstBuilder *b) {
  int errors = b->diag->errors;
  yyscan_t scanner = open_scanner(b);
  if (!scanner)
    return false;
  int status = mn_parse(scanner, b);
  mn_lex_destroy(scanner);
  if (status != 0 && b->diag->errors == errors)
    BUG("parsing failed without a message");
  return b->diag->errors == errors;
}

AstFile *ast_parse(Arena *arena, Diag *diag, const Source *source) {
  AstFile *file = ARENA_NEW(arena, AstFile);
  file->source = source;
  AstBuilder b = {.arena = arena, .diag = diag, .source = source, .file = file};
  if (ast_parse_text(&b) && !file->network) {
    Loc end = {source, source->len, source->len};
    diag_error(diag, end, "there is no network in this file");
  }
  return file;
}

static const char *kind_text(int token) {
  switch (token) {
  case MN_NAME:
    return "name";
  case MN_NUMBER:
    return "number";
  case MN_KERNEL:
    return "kernel";
  case MN_STRING:
    return "string";
  case MN_END:
    return "end";
  default:
    return token >= MN_INCLUDE && token <= MN_NOT ? "keyword" : "symbol";
  }
}

void tokens_print(Writer *w, Arena *arena, Diag *diag, const Source *source) {
  AstFile file = {.source = source};
  AstBuilder b = {.arena = arena, .diag = diag, .source = source, .file = &file};
  yyscan_t scanner = open_scanner(&b);
  if (!scanner)
    return;
  MN_STYPE value;
  Loc loc;
  /* Lines are counted along the way: asking anew for each token is quadratic. */
  uint32_t at = 0, line_begin = 0;
  int line = 1, token;
  do {
    token = mn_lex(&value, &loc, scanner);
    for (; at < loc.begin; at++) {
      if (source->text[at] == '\n') {
        line++;
        line_begin = at + 1;
      }
    }
    write_f(w, "%d:%u %s", line, loc.begin - line_begin + 1, kind_text(token));
    if (loc.end > loc.begin)
      write_text(w, " ");
    write_bytes(w, source->text + loc.begin, loc.end - loc.begin);
    write_text(w, "\n");
  } while (token != MN_END);
  mn_lex_destroy(scanner);
}
