/* What the parser saw: names, numbers and applications. It knows no operator.
 *
 * The grammar (grammar/parse.y):
 *
 *   file:    decls [NETWORK NAME params body]        (none in a file that others include)
 *   decls:   {INCLUDE STRING ';' | decl}
 *   decl:    FN NAME params '=' expr ';'  |  BLOCK NAME params body  |  DEFAULT NAME args {',' NAME args} ';'
 *   flow:    expr | steps            steps: expr ARROW stage | steps ARROW stage
 *   stage:   apply | apply '*' count | LET NAME | OUTPUT NAME [args] | cond | body
 *   apply:   NAME | NAME args
 *   count:   NUMBER | NAME | '(' expr ')'
 *   item:    INPUT NAME ':' TYPE '[' exprs ']' [args] ';' | WEIGHTS STRING ';' | decl | cond | flow ';' | error ';'
 *   cond:    IF '(' expr ')' body [ELSE (body | cond)]
 *   body:    '{' items '}'
 *   expr:    or, and, not, comparisons, + -, * / (and unary -), primary
 *   primary: NUMBER | KERNEL | STRING | NAME | NAME args | '(' flow ')' | '[' exprs ']'
 *   args:    '(' [arg {',' arg}] ')'     arg: expr | NAME '=' expr
 *   params:  '(' [NAME ['=' expr] {',' …}] ')'
 *
 * Trees are at most AST_MAX_DEPTH high (deeper text is an error), so walks may
 * recurse. `in` is an ordinary NAME. A trailing comma is allowed in args, params and
 * lists. Comments are // to the end of the line and slash-star. */
#ifndef MNCC_AST_AST_H
#define MNCC_AST_AST_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/diag.h"
#include "support/rational.h"
#include "support/vec.h"
#include "support/writer.h"

enum { AST_MAX_DEPTH = 1000, AST_MAX_INCLUDES = 200, AST_MAX_NAME = 200 };

typedef struct Ast Ast; /* an expression, a flow, or a stage */

typedef enum AstKind {
  AST_NUMBER, /* value */
  AST_KERNEL, /* 3x5: kernel_h, kernel_w */
  AST_STRING, /* name: the unescaped text */
  AST_NAME,   /* name */
  AST_APPLY,  /* name, args: operator, block or function applied */
  AST_LIST,   /* args: [a, b] */
  AST_UNARY,  /* op, left */
  AST_BINARY, /* op, left, right */
  AST_FLOW,   /* left: the head; stages */
  /* stages only */
  AST_REPEAT, /* left: an AST_NAME or AST_APPLY; right: the count */
  AST_LET,    /* -> let name */
  AST_OUTPUT, /* -> output name; args */
  AST_IF,     /* left: condition; body; otherwise (may be null) */
  AST_BODY    /* body: { items } */
} AstKind;

typedef enum AstOp {
  AST_OP_NEG, AST_OP_NOT,
  AST_OP_ADD, AST_OP_SUB, AST_OP_MUL, AST_OP_DIV,
  AST_OP_EQ, AST_OP_NE, AST_OP_LT, AST_OP_LE, AST_OP_GT, AST_OP_GE,
  AST_OP_AND, AST_OP_OR
} AstOp;
const char *ast_op_text(AstOp op); /* "-", "not", "+", … "==", … "and", "or" */

typedef struct AstArg {
  const char *name; /* null: positional */
  Loc name_loc;
  Ast *value;
} AstArg;

typedef struct AstBody AstBody;
typedef struct AstFile AstFile;

struct Ast {
  AstKind kind;
  Loc loc;         /* the whole construct */
  Loc name_loc;    /* the name alone, where there is one */
  const char *name; /* interned */
  Rational value;
  int64_t kernel_h, kernel_w;
  AstOp op;
  Ast *left, *right;
  VEC(AstArg) args;    /* APPLY, OUTPUT, LIST (unnamed) */
  bool has_args;       /* APPLY always; false: a bare NAME */
  VEC(Ast *) stages;   /* FLOW */
  AstBody *body, *otherwise;
  int depth; /* height of the tree, bodies included */
};

typedef struct AstParam {
  const char *name;
  Loc loc;
  Ast *init; /* default; null: must be given */
} AstParam;
typedef VEC(AstParam) AstParams;

typedef enum AstItemKind {
  ITEM_INCLUDE, /* name: the file; included */
  ITEM_DEFAULT, /* defaults */
  ITEM_INPUT,   /* name, type_name, dims; value: a list of arguments, or null */
  ITEM_WEIGHTS, /* name: the file */
  ITEM_FN,      /* name, params, value */
  ITEM_BLOCK,   /* name, params, body */
  ITEM_FLOW,    /* value: an AST_FLOW, or a plain expression; conditions are AST_IF */
  ITEM_NETWORK  /* name, params, body; once, last in the file */
} AstItemKind;

typedef struct AstItem {
  AstItemKind kind;
  Loc loc, name_loc;
  const char *name;
  const char *type_name; /* "f32" */
  Loc type_loc;
  VEC(Ast *) dims;
  VEC(Ast *) defaults; /* AST_APPLY: an operator's name and attributes */
  AstParams params;
  Ast *value;
  AstBody *body;
  AstFile *included; /* null until ast_include, and after errors */
  int depth;         /* as in Ast */
} AstItem;

struct AstBody {
  Loc loc;
  VEC(AstItem *) items;
  int depth; /* as in Ast */
};

struct AstFile {
  const Source *source;
  VEC(AstItem *) items; /* includes, fns, blocks and the network, in order */
  AstItem *network;     /* null only after errors, and in files that others include */
};

/* The i-th keyword of the language; null behind the last. */
const char *ast_keyword(Arena *arena, size_t i);

/* Parses a whole file; errors go to diag (several in one run). Never null. */
AstFile *ast_parse(Arena *arena, Diag *diag, const Source *source);

/* Reads and parses the files that `file` includes, directly or not, each once, and sets the items'
 * `included`. Paths are relative to the file that names them. Errors go to diag. */
typedef VEC(AstFile *) AstFiles;
AstFiles ast_include(Arena *arena, Diag *diag, AstFile *file);

/* The tokens, one a line: `LINE:COL kind text`. Lexical errors go to diag. */
void tokens_print(Writer *w, Arena *arena, Diag *diag, const Source *source);

/* The source text formatted, tokens and comments unchanged and in their order: with the files that it includes left alone,
 * which it need not have a network for. False after a syntax error, and then nothing is written. */
bool ast_format(Writer *w, Arena *arena, Diag *diag, const Source *source);

/* The tree as an indented outline (--emit=ast), and an expression as source text
 * (for messages: "floor(32 * alpha)"). */
void ast_print(Writer *w, const AstFile *file);
void ast_print_expr(Writer *w, const Ast *expr);
const char *ast_expr_text(Arena *arena, const Ast *expr);

#endif
