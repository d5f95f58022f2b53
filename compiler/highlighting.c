/* What is coloured is a list of kinds. A kind is some words, from a table, or a
 * pattern; what comes first in the list wins where two begin at one place. Vim lets
 * the last of its matches win, so there the list is printed backwards. Comments and
 * strings have no words in them, and are the same few lines for ever. */
#include "highlighting.h"

#include <string.h>

#include "ast/ast.h"
#include "network/network.h"
#include "ops/op.h"

typedef VEC(const char *) Words;

static void add(Arena *arena, Words *words, const char *word) {
  for (size_t i = 0; i < words->len; i++)
    if (strcmp(words->at[i], word) == 0)
      return;
  VEC_PUSH(arena, *words, word);
}

static void add_attributes(Arena *arena, Words *words) {
  add(arena, words, "name"); /* of any layer */
  for (size_t i = 0; i < op_count(); i++)
    for (int k = 0; k < op_at(i)->n_attrs && !op_at(i)->internal; k++)
      add(arena, words, op_at(i)->attrs[k].name);
}

static void add_keywords(Arena *arena, Words *words) {
  const char *word;
  for (size_t i = 0; (word = ast_keyword(arena, i)); i++)
    add(arena, words, word);
}

static void add_operators(Arena *arena, Words *words) {
  for (size_t i = 0; i < op_count(); i++)
    if (!op_at(i)->internal && !op_at(i)->refusal)
      add(arena, words, op_at(i)->name);
}

static void add_functions(Arena *arena, Words *words) {
  const char *word;
  for (size_t i = 0; (word = network_function(i)); i++)
    add(arena, words, word);
}

static void add_words(Arena *arena, Words *words) {
  const char *word;
  for (size_t i = 0; (word = network_word(i)); i++)
    add(arena, words, word);
}

typedef struct Kind {
  const char *name;
  const char *vim_group, *scope; /* the colour, as each calls it */
  void (*words)(Arena *, Words *);
  const char *vim, *textmate; /* what must follow the words; without words, the pattern, escaped for JSON */
} Kind;

static const Kind kinds[] = {
    {"Kernel", "Number", "constant.numeric.kernel", NULL, "\\<\\d\\+x\\d\\+\\>", "\\\\b\\\\d+x\\\\d+\\\\b"},
    {"Number", "Number", "constant.numeric", NULL, "\\<\\d\\+\\%(\\.\\d\\+\\)\\?\\%([eE][+-]\\?\\d\\+\\)\\?\\>",
     "\\\\b\\\\d+(?:\\\\.\\\\d+)?(?:[eE][+-]?\\\\d+)?\\\\b"},
    {"Attribute", "Identifier", "variable.parameter", add_attributes, "\\ze\\s*=\\%([^=]\\|$\\)", "(?=\\\\s*=(?!=))"},
    {"Type", "Type", "storage.type", NULL, ":\\s*\\zs\\h\\w*\\ze\\s*\\[", "(?<=:)\\\\s*[A-Za-z_]\\\\w*(?=\\\\s*\\\\[)"},
    {"Keyword", "Keyword", "keyword.control", add_keywords, "", ""},
    {"Operator", "Function", "support.function", add_operators, "", ""},
    {"Function", "Special", "support.function.arithmetic", add_functions, "\\ze\\s*(", "(?=\\\\s*\\\\()"},
    {"Word", "Constant", "constant.language", add_words, "", ""},
    {"Arrow", "Operator", "keyword.operator.arrow", NULL, "->", "->"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void write_words(Writer *w, const Kind *kind, const char *bar) {
  Arena *arena = arena_new();
  Words words = {0};
  kind->words(arena, &words);
  for (size_t i = 0; i < words.len; i++)
    write_f(w, "%s%s", i ? bar : "", words.at[i]);
  arena_free(arena);
}

/* The words of the kind, if it has any, between `open` and `close`, and then its pattern, `also`. */
static void write_match(Writer *w, const Kind *kind, const char *open, const char *separator, const char *close, const char *also) {
  if (kind->words) {
    write_text(w, open);
    write_words(w, kind, separator);
    write_text(w, close);
  }
  write_text(w, also);
  write_text(w, "\"");
}

static void print_vim(Writer *w) {
  write_text(w, "\" Vim syntax file\n\" Language: networks of mncc (.mn), printed by mncc --highlighting=vim\n\n"
                "if exists(\"b:current_syntax\")\n  finish\nendif\n\n");
  for (int i = KINDS - 1; i >= 0; i--) {
    const Kind *kind = &kinds[i];
    write_f(w, "syn match mn%s \"", kind->name);
    write_match(w, kind, "\\<\\%(", "\\|", "\\)\\>", kind->vim);
    write_text(w, "\n");
  }
  write_text(w, "syn region mnString start=+\"+ skip=+\\\\.+ end=+\"+ oneline\n"
                "syn match mnComment \"//.*\" contains=@Spell\n"
                "syn region mnComment start=\"/\\*\" end=\"\\*/\" contains=@Spell\n\n");
  for (int i = 0; i < KINDS; i++)
    write_f(w, "hi def link mn%s %s\n", kinds[i].name, kinds[i].vim_group);
  write_text(w, "hi def link mnString String\nhi def link mnComment Comment\n\nlet b:current_syntax = \"mn\"\n");
}

static void print_textmate(Writer *w) {
  write_text(w, "{\n  \"name\": \"mncc network\",\n  \"scopeName\": \"source.mn\",\n  \"fileTypes\": [\"mn\"],\n  \"patterns\": [\n"
                "    {\"name\": \"comment.line.double-slash.mn\", \"match\": \"//.*$\"},\n"
                "    {\"name\": \"comment.block.mn\", \"begin\": \"/\\\\*\", \"end\": \"\\\\*/\"},\n"
                "    {\"name\": \"string.quoted.double.mn\", \"match\": \"\\\"(?:[^\\\"\\\\\\\\]|\\\\\\\\.)*\\\"\"}");
  for (int i = 0; i < KINDS; i++) {
    const Kind *kind = &kinds[i];
    write_f(w, ",\n    {\"name\": \"%s.mn\", \"match\": \"", kind->scope);
    write_match(w, kind, "\\\\b(?:", "|", ")\\\\b", kind->textmate);
    write_text(w, "}");
  }
  write_text(w, "\n  ]\n}\n");
}

void highlighting_print(Writer *w, Editor editor) {
  if (editor == EDITOR_VIM)
    print_vim(w);
  else
    print_textmate(w);
}
