/* What the scanner and the parser share, and the constructors that the
 * grammar's actions call. Only grammar/ and ast/ include this.
 *
 * Constructors compute the height of what they build; where it passes
 * AST_MAX_DEPTH they say so once and set `too_deep`, whereupon the scanner ends
 * the text: the parser's own stack and every later walk stay bounded. */
#ifndef MNCC_AST_BUILD_H
#define MNCC_AST_BUILD_H

#include "ast/ast.h"

/* flex counts in int, and nobody writes a network of this size. */
enum { AST_MAX_SOURCE_BYTES = 16 << 20 };

typedef struct AstKernel {
  int64_t h, w;
} AstKernel;

/* The text as the scanner cuts it: tokens and comments in order, the end of the file last. */
enum { AST_COMMENT = -1 };
typedef struct AstMark {
  int kind; /* a token of the grammar, or AST_COMMENT */
  Loc loc;
} AstMark;
typedef struct AstTrace {
  VEC(AstMark) marks;
} AstTrace;

typedef struct AstBuilder {
  Arena *arena;
  Diag *diag;
  const Source *source;
  AstFile *file;
  uint32_t offset;            /* of the next byte to scan */
  uint32_t bad_end;           /* end of the last unknown character: a run is one error */
  Loc token_loc, before_loc;  /* of the last token and of the one before it */
  int token, before;          /* their kinds; 0: none */
  bool complained;            /* the scanner has reported something since the last token */
  bool token_bad, before_bad; /* so for the token, and for the one before it */
  VEC(Loc) open;              /* brackets not yet closed, for notes */
  bool truncated;             /* an unterminated comment took the rest of the text */
  bool too_deep;
  AstTrace *trace;            /* null, or where tokens and comments are noted */
} AstBuilder;

Ast *ast_number(AstBuilder *b, Loc loc, Rational value);
Ast *ast_kernel(AstBuilder *b, Loc loc, AstKernel kernel);
/* AST_STRING, AST_NAME, AST_LET or AST_OUTPUT. */
Ast *ast_named(AstBuilder *b, AstKind kind, Loc loc, const char *name, Loc name_loc);
Ast *ast_unary(AstBuilder *b, Loc loc, AstOp op, Ast *operand);
Ast *ast_binary(AstBuilder *b, Loc loc, AstOp op, Ast *left, Ast *right);
Ast *ast_repeat(AstBuilder *b, Loc loc, Ast *apply, Ast *count);
Ast *ast_if(AstBuilder *b, Loc loc, Ast *condition, AstBody *body, AstBody *otherwise);
Ast *ast_body_stage(AstBuilder *b, AstBody *body);

/* Lists are built as AST_LIST nodes, arguments included. */
Ast *ast_list(AstBuilder *b, Loc loc);
Ast *ast_list_push(AstBuilder *b, Ast *list, AstArg arg);
Ast *ast_apply(AstBuilder *b, Loc loc, const char *name, Loc name_loc, const Ast *list);

/* Gives a stage its arguments. */
Ast *ast_with_args(AstBuilder *b, Ast *stage, const Ast *list);

Ast *ast_flow(AstBuilder *b, Loc loc, Ast *head);
Ast *ast_flow_push(AstBuilder *b, Ast *flow, Ast *stage);

AstParams *ast_params(AstBuilder *b);
AstParams *ast_params_push(AstBuilder *b, AstParams *params, AstParam param);

/* `args` may be null. */
AstItem *ast_input(AstBuilder *b, Loc loc, const char *name, Loc name_loc, const char *type,
                   Loc type_loc, const Ast *dims, Ast *args);
/* The defaults are a list of applications. */
AstItem *ast_default(AstBuilder *b, Loc loc, const Ast *defaults);
/* ITEM_INCLUDE or ITEM_WEIGHTS. */
AstItem *ast_path_item(AstBuilder *b, AstItemKind kind, Loc loc, const char *path,
                       Loc path_loc);
AstItem *ast_fn(AstBuilder *b, Loc loc, const char *name, Loc name_loc, const AstParams *params,
                Ast *value);
/* ITEM_BLOCK or ITEM_NETWORK. */
AstItem *ast_definition(AstBuilder *b, AstItemKind kind, Loc loc, const char *name, Loc name_loc,
                        const AstParams *params, AstBody *body);
AstItem *ast_flow_item(AstBuilder *b, Loc loc, Ast *value);

AstBody *ast_body(AstBuilder *b);
/* A null item (one with a syntax error) is left out. */
AstBody *ast_body_push(AstBuilder *b, AstBody *body, AstItem *item);
/* The body of `else if`: the condition alone. */
AstBody *ast_body_of(AstBuilder *b, Ast *condition);
void ast_file_push(AstBuilder *b, AstItem *item);

/* Parses b->source into b->file: the text alone, no other file. False after a syntax error. */
bool ast_parse_text(AstBuilder *b);

/* A token's text as it is quoted in messages: at most some 40 bytes of it. */
const char *ast_quoted_text(AstBuilder *b, Loc loc);

#endif
