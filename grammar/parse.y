/* The syntax of the language: tokens to AST (the grammar is summed up in
 * ast/ast.h).
 *
 * It knows applications and no operator. Left of the first arrow stands an
 * expression and right of every arrow a stage, so a '*' multiplies in the
 * former and repeats in the latter, and the two never meet in one state.
 *
 * After an error, parsing resumes at the next ';', or at the '}' that ends the
 * body, or at a '{', whose body is then read as usual: a broken header hides
 * none of the errors behind it. Both ';' and '{' are safe enough to report again
 * at once (yyerrok); a '}' may well be the wrong one. */

%require "3.8"
%expect 0
%define api.pure full
%define api.prefix {mn_}
%define api.token.prefix {MN_}
%define api.location.type {Loc}
%define parse.error custom
%define parse.lac full /* makes the list of expected tokens exact */
%locations

%code requires {
#include "ast/build.h"
}

%param {void *scanner}
%parse-param {AstBuilder *b}

%union {
  const char *name;
  Rational number;
  AstKernel kernel;
  AstArg arg;
  AstParam param;
  Ast *ast;
  AstParams *params;
  AstItem *item;
  AstBody *body;
}

%code {
#include <stdio.h>
#include <string.h>

int mn_lex(MN_STYPE *value, MN_LTYPE *loc, void *scanner);
static void mn_error(const Loc *loc, void *scanner, AstBuilder *b, const char *message);

/* Nothing at all is the empty range behind what came before. */
#define YYLLOC_DEFAULT(current, rhs, n)                                                            \
  ((current) = (n) ? loc_span(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n))                                  \
                   : (Loc){b->source, YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end})

/* AST_MAX_DEPTH levels take fewer states than this. */
#define YYMAXDEPTH 50000
}

%initial-action {
  @$ = (Loc){b->source, 0, 0};
  (void)yynerrs; /* bison counts but never asks, which clang remarks on */
}

%token END 0 "end of file"
%token INCLUDE "'include'" DEFAULT "'default'" NETWORK "'network'" INPUT "'input'" OUTPUT "'output'" WEIGHTS "'weights'" FN "'fn'"
%token BLOCK "'block'" LET "'let'" IF "'if'" ELSE "'else'" AND "'and'" OR "'or'" NOT "'not'"
%token ARROW "'->'" EQ "'=='" NE "'!='" LT "'<'" LE "'<='" GT "'>'" GE "'>='"
%token LPAREN "'('" RPAREN "')'" LBRACKET "'['" RBRACKET "']'" LBRACE "'{'" RBRACE "'}'"
%token COMMA "','" SEMICOLON "';'" COLON "':'" ASSIGN "'='"
%token PLUS "'+'" MINUS "'-'" STAR "'*'" SLASH "'/'"
%token <name> NAME "a name" STRING "a string"
%token <number> NUMBER "a number"
%token <kernel> KERNEL "a kernel size"

%left OR
%left AND
%precedence NOT
%nonassoc EQ NE LT LE GT GE
%left PLUS MINUS
%left STAR SLASH
%precedence NEGATIVE

%type <ast> defaults expr primary exprs expr_list args arg_list flow steps stage apply count cond
%type <arg> arg
%type <params> params param_list
%type <param> param
%type <item> decl item
%type <body> body items

%%

file:
  decls
| decls NETWORK NAME params body[inside]
  {
    Loc loc = loc_span(@NETWORK, @inside);
    ast_file_push(b, ast_definition(b, ITEM_NETWORK, loc, $NAME, @NAME, $params, $inside));
  }
;

decls:
  %empty
| decls decl            { ast_file_push(b, $decl); }
| decls INCLUDE STRING SEMICOLON
  { ast_file_push(b, ast_path_item(b, ITEM_INCLUDE, loc_span(@INCLUDE, @SEMICOLON), $STRING, @STRING)); }
| decls error SEMICOLON { yyerrok; }
| decls error body
;

decl:
  FN NAME params ASSIGN expr SEMICOLON
  { $$ = ast_fn(b, @$, $NAME, @NAME, $params, $expr); }
| BLOCK NAME params body
  { $$ = ast_definition(b, ITEM_BLOCK, @$, $NAME, @NAME, $params, $body); }
| DEFAULT defaults SEMICOLON
  { $$ = ast_default(b, @$, $defaults); }
;

defaults:
  NAME args
  {
    Ast *ast = ast_apply(b, loc_span(@NAME, @args), $NAME, @NAME, $args);
    $$ = ast_list_push(b, ast_list(b, @$), (AstArg){NULL, ast->loc, ast});
  }
| defaults[before] COMMA NAME args
  {
    Ast *ast = ast_apply(b, loc_span(@NAME, @args), $NAME, @NAME, $args);
    $$ = ast_list_push(b, $before, (AstArg){NULL, ast->loc, ast});
  }
;

params:
  LPAREN RPAREN                  { $$ = ast_params(b); }
| LPAREN param_list RPAREN       { $$ = $param_list; }
| LPAREN param_list COMMA RPAREN { $$ = $param_list; }
;

param_list:
  param                            { $$ = ast_params_push(b, ast_params(b), $param); }
| param_list[before] COMMA param   { $$ = ast_params_push(b, $before, $param); }
;

param:
  NAME             { $$ = (AstParam){$NAME, @NAME, NULL}; }
| NAME ASSIGN expr { $$ = (AstParam){$NAME, @NAME, $expr}; }
;

body:
  LBRACE items RBRACE       { $$ = $items; $$->loc = @$; }
| LBRACE items error RBRACE { $$ = $items; $$->loc = @$; }
;

items:
  %empty             { $$ = ast_body(b); yyerrok; }
| items[before] item { $$ = ast_body_push(b, $before, $item); }
;

item:
  INPUT NAME[name] COLON NAME[type] LBRACKET exprs RBRACKET SEMICOLON
  { $$ = ast_input(b, @$, $name, @name, $type, @type, $exprs, NULL); }
| INPUT NAME[name] COLON NAME[type] LBRACKET exprs RBRACKET args SEMICOLON
  { $$ = ast_input(b, @$, $name, @name, $type, @type, $exprs, $args); }
| WEIGHTS STRING SEMICOLON { $$ = ast_path_item(b, ITEM_WEIGHTS, @$, $STRING, @STRING); }
| decl
| cond                     { $$ = ast_flow_item(b, @$, $cond); }
| flow SEMICOLON           { $$ = ast_flow_item(b, @$, $flow); }
| error SEMICOLON          { $$ = NULL; yyerrok; }
| error body               { $$ = NULL; }
| error body ELSE body     { $$ = NULL; }
;

cond:
  IF LPAREN expr RPAREN body
  { $$ = ast_if(b, @$, $expr, $body, NULL); }
| IF LPAREN expr RPAREN body[then] ELSE body[other]
  { $$ = ast_if(b, @$, $expr, $then, $other); }
| IF LPAREN expr RPAREN body[then] ELSE cond[other]
  { $$ = ast_if(b, @$, $expr, $then, ast_body_of(b, $other)); }
;

flow:
  expr
| steps
;

steps:
  expr ARROW stage          { $$ = ast_flow_push(b, ast_flow(b, @expr, $expr), $stage); }
| steps[before] ARROW stage { $$ = ast_flow_push(b, $before, $stage); }
;

stage:
  apply
| apply STAR count { $$ = ast_repeat(b, @$, $apply, $count); }
| LET NAME         { $$ = ast_named(b, AST_LET, @$, $NAME, @NAME); }
| OUTPUT NAME      { $$ = ast_named(b, AST_OUTPUT, @$, $NAME, @NAME); }
| OUTPUT NAME args { $$ = ast_with_args(b, ast_named(b, AST_OUTPUT, @$, $NAME, @NAME), $args); }
| cond
| body             { $$ = ast_body_stage(b, $body); }
;

apply:
  NAME      { $$ = ast_named(b, AST_NAME, @$, $NAME, @NAME); }
| NAME args { $$ = ast_apply(b, @$, $NAME, @NAME, $args); }
;

count:
  NUMBER             { $$ = ast_number(b, @$, $NUMBER); }
| NAME               { $$ = ast_named(b, AST_NAME, @$, $NAME, @NAME); }
| LPAREN expr RPAREN { $$ = $expr; $$->loc = @$; }
;

args:
  LPAREN RPAREN                { $$ = ast_list(b, @$); }
| LPAREN arg_list RPAREN       { $$ = $arg_list; }
| LPAREN arg_list COMMA RPAREN { $$ = $arg_list; }
;

arg_list:
  arg                        { $$ = ast_list_push(b, ast_list(b, @$), $arg); }
| arg_list[before] COMMA arg { $$ = ast_list_push(b, $before, $arg); }
;

arg:
  expr             { $$ = (AstArg){NULL, @expr, $expr}; }
| NAME ASSIGN expr { $$ = (AstArg){$NAME, @NAME, $expr}; }
;

exprs:
  %empty          { $$ = ast_list(b, @$); }
| expr_list
| expr_list COMMA
;

expr_list:
  expr
  { $$ = ast_list_push(b, ast_list(b, @$), (AstArg){NULL, @expr, $expr}); }
| expr_list[before] COMMA expr
  { $$ = ast_list_push(b, $before, (AstArg){NULL, @expr, $expr}); }
;

expr:
  primary
| MINUS expr[of] %prec NEGATIVE { $$ = ast_unary(b, @$, AST_OP_NEG, $of); }
| NOT expr[of]                  { $$ = ast_unary(b, @$, AST_OP_NOT, $of); }
| expr[l] PLUS expr[r]          { $$ = ast_binary(b, @$, AST_OP_ADD, $l, $r); }
| expr[l] MINUS expr[r]         { $$ = ast_binary(b, @$, AST_OP_SUB, $l, $r); }
| expr[l] STAR expr[r]          { $$ = ast_binary(b, @$, AST_OP_MUL, $l, $r); }
| expr[l] SLASH expr[r]         { $$ = ast_binary(b, @$, AST_OP_DIV, $l, $r); }
| expr[l] EQ expr[r]            { $$ = ast_binary(b, @$, AST_OP_EQ, $l, $r); }
| expr[l] NE expr[r]            { $$ = ast_binary(b, @$, AST_OP_NE, $l, $r); }
| expr[l] LT expr[r]            { $$ = ast_binary(b, @$, AST_OP_LT, $l, $r); }
| expr[l] LE expr[r]            { $$ = ast_binary(b, @$, AST_OP_LE, $l, $r); }
| expr[l] GT expr[r]            { $$ = ast_binary(b, @$, AST_OP_GT, $l, $r); }
| expr[l] GE expr[r]            { $$ = ast_binary(b, @$, AST_OP_GE, $l, $r); }
| expr[l] AND expr[r]           { $$ = ast_binary(b, @$, AST_OP_AND, $l, $r); }
| expr[l] OR expr[r]            { $$ = ast_binary(b, @$, AST_OP_OR, $l, $r); }
;

primary:
  NUMBER                  { $$ = ast_number(b, @$, $NUMBER); }
| KERNEL                  { $$ = ast_kernel(b, @$, $KERNEL); }
| STRING                  { $$ = ast_named(b, AST_STRING, @$, $STRING, @STRING); }
| apply
| LPAREN flow RPAREN      { $$ = $flow; $$->loc = @$; }
| LBRACKET exprs RBRACKET { $$ = $exprs; $$->loc = @$; }
;

%%

/* ---- syntax errors in words ---- */

static bool expects(const yypcontext_t *context, yysymbol_kind_t symbol) {
  yysymbol_kind_t expected[YYNTOKENS];
  int n = yypcontext_expected_tokens(context, expected, YYNTOKENS);
  for (int i = 0; i < n; i++)
    if (expected[i] == symbol)
      return true;
  return false;
}

static bool is_comparison(int token) {
  return token == MN_EQ || token == MN_NE || token == MN_LT || token == MN_LE || token == MN_GT ||
         token == MN_GE;
}

static bool is_operator(int token) {
  return token == MN_PLUS || token == MN_MINUS || token == MN_STAR || token == MN_SLASH ||
         token == MN_AND || token == MN_OR || is_comparison(token);
}

static bool is_keyword(int token) { return token >= MN_INCLUDE && token <= MN_NOT; }

const char *ast_keyword(Arena *arena, size_t i) {
  if (i > MN_NOT - MN_INCLUDE)
    return NULL;
  const char *quoted = yysymbol_name(YYTRANSLATE(MN_INCLUDE + (int)i)); /* 'network' */
  return arena_strndup(arena, quoted + 1, strlen(quoted) - 2);
}

/* What is expected, as few words as tell it: "an expression" rather than all
 * that may begin one, and no operators where something else would do. */
static const char *expected_text(const yypcontext_t *context, AstBuilder *b) {
  yysymbol_kind_t all[YYNTOKENS];
  int n = yypcontext_expected_tokens(context, all, YYNTOKENS);
  bool expression = expects(context, YYSYMBOL_KERNEL);
  bool statement = expects(context, YYSYMBOL_WEIGHTS);
  bool stage = expects(context, YYSYMBOL_LET) && !expression;
  bool operand = expects(context, YYSYMBOL_PLUS); /* an operand lies behind */
  const char *words[YYNTOKENS + 3];
  int count = 0;
  if (statement)
    words[count++] = "a statement";
  else if (expression)
    words[count++] = "an expression";
  else if (stage)
    words[count++] = "an operator or a block";
  for (int i = 0; i < n; i++) {
    switch (all[i]) {
    case YYSYMBOL_NUMBER: case YYSYMBOL_KERNEL: case YYSYMBOL_STRING: case YYSYMBOL_NAME:
    case YYSYMBOL_LPAREN: case YYSYMBOL_LBRACKET: case YYSYMBOL_NOT:
      if (expression || (stage && all[i] == YYSYMBOL_NAME))
        continue;
      if (all[i] == YYSYMBOL_LPAREN && b->token == MN_ARROW)
        continue;
      break;
    case YYSYMBOL_ASSIGN:
      if (operand)
        continue;
      break;
    case YYSYMBOL_PLUS: case YYSYMBOL_MINUS: case YYSYMBOL_STAR: case YYSYMBOL_SLASH:
    case YYSYMBOL_EQ: case YYSYMBOL_NE: case YYSYMBOL_LT: case YYSYMBOL_LE: case YYSYMBOL_GT:
    case YYSYMBOL_GE: case YYSYMBOL_AND: case YYSYMBOL_OR:
      continue;
    case YYSYMBOL_INPUT: case YYSYMBOL_WEIGHTS: case YYSYMBOL_FN: case YYSYMBOL_BLOCK:
    case YYSYMBOL_DEFAULT:
    case YYSYMBOL_IF: case YYSYMBOL_LBRACE: case YYSYMBOL_LET: case YYSYMBOL_OUTPUT:
      if (statement || stage)
        continue;
      break;
    default:
      break;
    }
    words[count++] = yysymbol_name(all[i]);
  }
  const char *text = "";
  for (int i = 0; i < count; i++)
    text = arena_printf(b->arena, "%s%s%s", text,
                        i == 0 ? "" : i == count - 1 ? " or " : ", ", words[i]);
  return *text ? text : "an operator";
}

static const char *found_text(AstBuilder *b, int token, Loc loc) {
  if (token == MN_END)
    return "end of file";
  const char *what = token == MN_NAME ? "name " : is_keyword(token) ? "keyword "
                   : token == MN_STRING ? "string " : "";
  return arena_printf(b->arena, "%s%s", what, ast_quoted_text(b, loc));
}

/* The keyword that the name before the error may have been meant to be. */
static const char *misspelt_keyword(AstBuilder *b) {
  static const char *const keywords[] = {"input", "output", "weights", "block",
                                         "let",   "else",   "fn",      "default"};
  if (b->before != MN_NAME ||
      (b->token != MN_NAME && b->token != MN_STRING && b->token != MN_LBRACE))
    return NULL;
  const char *name = intern_n(b->arena, b->source->text + b->before_loc.begin,
                              b->before_loc.end - b->before_loc.begin);
  return nearest_word(name, keywords, sizeof keywords / sizeof *keywords);
}

/* The name behind `at` in the source, or "x": for a suggestion. */
static const char *name_behind(AstBuilder *b, uint32_t at) {
  const char *text = b->source->text + at;
  text += strspn(text, " \t\r\n");
  size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
  bool name = len > 0 && len <= 40 && !(*text >= '0' && *text <= '9');
  return name ? arena_strndup(b->arena, text, len) : "x";
}

static bool on_one_line(const Source *source, uint32_t begin, uint32_t end) {
  return begin >= end || !memchr(source->text + begin, '\n', end - begin);
}

static int yyreport_syntax_error(const yypcontext_t *context, void *scanner, AstBuilder *b) {
  (void)scanner;
  int token = b->token;
  Loc loc = b->token_loc;
  const char *found = found_text(b, token, loc);
  bool after_stage = expects(context, YYSYMBOL_ARROW) && !expects(context, YYSYMBOL_PLUS);

  /* The scanner has said what is wrong: with the token, with the end of the
   * text, or with a string that has swallowed the rest of its line. */
  if (b->too_deep || b->token_bad || (token == MN_END && b->truncated) ||
      (b->before == MN_STRING && b->before_bad))
    return 0;

  if (after_stage && is_operator(token)) {
    if (token == MN_PLUS)
      diag_error(b->diag, loc, "'+' cannot follow a stage; write '-> add(%s)', or put the flow in "
                 "parentheses", name_behind(b, loc.end));
    else
      diag_error(b->diag, loc, "%s cannot follow a stage; put the flow in parentheses", found);
    return 0;
  }
  if (is_comparison(token) && expects(context, YYSYMBOL_PLUS)) {
    diag_error(b->diag, loc, "comparisons do not chain; join them with 'and'");
    return 0;
  }
  if (token == MN_ARROW && expects(context, YYSYMBOL_PLUS)) {
    diag_error(b->diag, loc, "expected %s after %s, found '->'; a flow inside an expression stands "
               "in parentheses of its own", expected_text(context, b),
               ast_quoted_text(b, b->before_loc));
    return 0;
  }
  if (token == MN_ASSIGN && expects(context, YYSYMBOL_EQ)) {
    diag_error(b->diag, loc, "unexpected '='; values are compared by '==', and named by "
               "'-> let NAME'");
    return 0;
  }
  if (expects(context, YYSYMBOL_NETWORK)) {
    static const char *const keywords[] = {"include", "default", "network", "fn", "block"};
    const char *text = intern_n(b->arena, b->source->text + loc.begin, loc.end - loc.begin);
    const char *near = token == MN_NAME ? nearest_word(text, keywords, sizeof keywords / sizeof *keywords) : NULL;
    if (near)
      diag_error(b->diag, loc, "expected 'network', 'include', 'default', 'fn' or 'block', found %s; did you mean '%s'?",
                 found, near);
    else
      diag_error(b->diag, loc, "expected 'network', 'include', 'default', 'fn' or 'block', found %s", found);
    return 0;
  }
  const char *near = misspelt_keyword(b);
  if (near) {
    diag_error(b->diag, b->before_loc, "unexpected %s after %s; did you mean '%s'?", found,
               ast_quoted_text(b, b->before_loc), near);
    return 0;
  }
  if (expects(context, YYSYMBOL_YYEOF)) {
    diag_error(b->diag, loc, "expected end of file after the network, found %s", found);
    return 0;
  }
  if (is_keyword(token) && expects(context, YYSYMBOL_NAME) && !expects(context, YYSYMBOL_LET) &&
      on_one_line(b->source, b->before_loc.end, loc.begin)) {
    diag_error(b->diag, loc, "expected %s after %s, found %s, which cannot be a name",
               expected_text(context, b), ast_quoted_text(b, b->before_loc), found);
    return 0;
  }
  const char *expected = expected_text(context, b);
  Loc before = b->before_loc;
  if (!before.source) {
    diag_error(b->diag, loc, "expected %s, found %s", expected, found);
  } else if (expects(context, YYSYMBOL_SEMICOLON) &&
             (token == MN_RBRACE || !on_one_line(b->source, before.end, loc.begin))) {
    /* Missing is the end of the statement before, so that is the place. */
    diag_error(b->diag, (Loc){b->source, before.end, before.end}, "expected ';' after %s",
               ast_quoted_text(b, before));
  } else {
    diag_error(b->diag, loc, "expected %s after %s, found %s", expected, ast_quoted_text(b, before),
               found);
  }
  if (token == MN_END && b->open.len > 0)
    diag_note(b->diag, b->open.at[b->open.len - 1], "%s is not closed",
              ast_quoted_text(b, b->open.at[b->open.len - 1]));
  return 0;
}

/* The only message of bison's own that is left: its stack has reached YYMAXDEPTH. */
static void mn_error(const Loc *loc, void *scanner, AstBuilder *b, const char *message) {
  (void)scanner;
  (void)message;
  if (!b->too_deep)
    diag_error(b->diag, *loc, "nested too deeply");
  b->too_deep = true;
}
