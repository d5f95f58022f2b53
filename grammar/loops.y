/* The syntax of loop text (.mnl). Actions build the tree of loop/syntax.h and
 * do nothing else; read.c gives it meaning.
 *
 * Indices and values share one grammar of expressions: which of the two an
 * expression is follows from where it stands. Words that begin or end nothing
 * where a name is wanted are names too, so that a parameter may be called `in`.
 */

%code requires {
#include "loop/syntax.h"
}

%define api.pure full
%define api.prefix {mnl_}
%define api.token.prefix {MNL_TOK_}
%define api.location.type {Loc}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {void *scanner}
%parse-param {MnlParser *p}

%code {
int mnl_lex(MNL_STYPE *value, Loc *loc, void *scanner);
static void mnl_error(const Loc *loc, void *scanner, MnlParser *p, const char *message);

#define YYLLOC_DEFAULT(current, rhs, n)                                                            \
  do {                                                                                             \
    if (n) {                                                                                       \
      (current) = loc_span(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n));                                    \
    } else {                                                                                       \
      (current) = YYRHSLOC(rhs, 0);                                                                \
      (current).begin = (current).end;                                                             \
    }                                                                                              \
  } while (0)
}

%initial-action {
  @$ = (Loc){p->source, 0, 0};
  (void)yynerrs; /* without recovery nobody reads it, which clang remarks */
}

%union {
  const char *text;
  int number;
  MnlExpr *expr;
  MnlList *list;
  MnlStmt *stmt;
  MnlBlock *block;
  MnlCondition condition;
  MnlConditions *conditions;
  MnlAttr *attr;
  MnlAttrs *attrs;
  MnlBuffer *buffer;
  MnlBuffers *buffers;
  MnlKernel *kernel;
}

%token END 0 "end of file"
%token <text> NAME "name" NUMBER "number" STRING "string" LITERAL "literal"
%token <text> PROGRAM "'program'" MACS "'macs'" LAYERS "'layers'" STAGE "'stage'" BUFFER "'buffer'"
%token <text> KERNEL "'kernel'" ENTRY "'entry'" INPUT "'input'" OUTPUT "'output'"
%token <text> WEIGHT "'weight'" ARENA "'arena'" ALIGN "'align'" OFFSET "'offset'" LIVE "'live'"
%token <text> RECIPE "'recipe'" NOALIAS "'noalias'" IN "'in'" OUT "'out'" INOUT "'inout'"
%token <text> INT "'int'" BY "'by'" UNROLL "'unroll'" VECTOR "'vector'" LABEL "'label'"
%token <text> SCHEDULE "'schedule'"
%token <text> LET "'let'" VAR "'var'" SET "'set'" CALL "'call'" PREFETCH "'prefetch'"
%token <text> FOR "'for'" IF "'if'" ELSE "'else'"
%token <text> PARALLEL "'parallel'" BRANCH "'branch'" THREADS "'threads'"
%token DOTDOT "'..'" GE "'>='" LE "'<='" AND "'&&'"

%type <text> name string.opt label.opt schedule.opt suffix
%type <number> kind direction mode compare
%type <expr> expr sum product unary postfix primary access step.opt
%type <list> exprs indices dims values arguments
%type <stmt> stmt branch
%type <block> block stmts branches
%type <condition> condition
%type <conditions> conditions
%type <attr> program_attr buffer_attr
%type <attrs> program_attrs buffer_attrs
%type <buffer> buffer param
%type <buffers> params some_params
%type <kernel> kernel

%%

program:
  PROGRAM name program_attrs decls ENTRY block {
    p->program->name = $name;
    p->program->attrs = $program_attrs;
    p->program->entry = $block;
  }

program_attrs:
  %empty { $$ = NULL; }
| program_attrs[list] program_attr { $$ = mnl_attrs(p, $list, $program_attr); }

program_attr:
  MACS unary { $$ = mnl_attr(p, MNL_ATTR_MACS, @$, $unary, NULL, NULL); }
| ARENA unary { $$ = mnl_attr(p, MNL_ATTR_ARENA, @$, $unary, NULL, NULL); }
| ALIGN unary { $$ = mnl_attr(p, MNL_ATTR_ALIGN, @$, $unary, NULL, NULL); }
| THREADS unary { $$ = mnl_attr(p, MNL_ATTR_THREADS, @$, $unary, NULL, NULL); }
| STAGE STRING[path] STRING[note] MACS unary {
    $$ = mnl_attr(p, MNL_ATTR_STAGE, @path, $unary, mnl_expr(p, MNL_NAME, @note, $note), $path);
  }
| LAYERS STRING { $$ = mnl_attr(p, MNL_ATTR_LAYERS, @$, NULL, NULL, $STRING); }

decls:
  %empty
| decls buffer { VEC_PUSH(p->arena, p->program->buffers.items, $buffer); }
| decls kernel { VEC_PUSH(p->arena, p->program->kernels, $kernel); }

/* ---- buffers and kernels ---- */

buffer:
  BUFFER name[it] ':' NAME[elem] dims kind buffer_attrs {
    $$ = ARENA_NEW(p->arena, MnlBuffer);
    *$$ = (MnlBuffer){.loc = @$, .name = $it, .name_loc = @it, .elem = $elem, .elem_loc = @elem,
                      .dims = $dims, .kind = (MnlBufferKind)$kind, .attrs = $buffer_attrs};
  }
| buffer[b] '=' RECIPE STRING { $$ = $b; $$->recipe = $STRING; $$->contents_loc = @STRING; }
| buffer[b] '=' '{' values '}' { $$ = $b; $$->values = $values; $$->contents_loc = @values; }

dims:
  %empty { $$ = NULL; }
| dims[list] '[' expr ']' { $$ = mnl_list(p, $list, $expr); }

kind:
  INPUT { $$ = MNL_INPUT; }
| OUTPUT { $$ = MNL_OUTPUT; }
| WEIGHT { $$ = MNL_WEIGHT; }
| ARENA { $$ = MNL_ARENA; }

buffer_attrs:
  %empty { $$ = NULL; }
| buffer_attrs[list] buffer_attr { $$ = mnl_attrs(p, $list, $buffer_attr); }

buffer_attr:
  ALIGN unary { $$ = mnl_attr(p, MNL_ATTR_ALIGN, @$, $unary, NULL, NULL); }
| OFFSET unary { $$ = mnl_attr(p, MNL_ATTR_OFFSET, @$, $unary, NULL, NULL); }
| LIVE unary[a] DOTDOT unary[b] { $$ = mnl_attr(p, MNL_ATTR_LIVE, @$, $a, $b, NULL); }
| NOALIAS { $$ = mnl_attr(p, MNL_ATTR_NOALIAS, @$, NULL, NULL, NULL); }
| STRING { $$ = mnl_attr(p, MNL_ATTR_NOTE, @$, NULL, NULL, $STRING); }

values:
  unary { $$ = mnl_list(p, NULL, $unary); }
| values[list] ',' unary { $$ = mnl_list(p, $list, $unary); }

kernel:
  KERNEL name '(' params ')' string.opt schedule.opt block {
    $$ = ARENA_NEW(p->arena, MnlKernel);
    *$$ = (MnlKernel){.loc = @name, .name = $name, .name_loc = @name, .note = $[string.opt],
                      .schedule = $[schedule.opt], .schedule_loc = @[schedule.opt],
                      .params = $params, .body = $block};
  }

schedule.opt:
  %empty { $$ = NULL; }
| SCHEDULE STRING { $$ = $STRING; }

string.opt:
  %empty { $$ = NULL; }
| STRING

params:
  %empty { $$ = ARENA_NEW(p->arena, MnlBuffers); }
| some_params

some_params:
  param { $$ = ARENA_NEW(p->arena, MnlBuffers); VEC_PUSH(p->arena, $$->items, $param); }
| some_params[list] ',' param { $$ = $list; VEC_PUSH(p->arena, $$->items, $param); }

param:
  direction name[it] ':' NAME[elem] dims buffer_attrs {
    $$ = ARENA_NEW(p->arena, MnlBuffer);
    *$$ = (MnlBuffer){.loc = @$, .name = $it, .name_loc = @it, .elem = $elem, .elem_loc = @elem,
                      .dims = $dims, .access = $direction, .attrs = $buffer_attrs};
  }
| INT name[it] IN expr[lo] DOTDOT expr[hi] {
    $$ = ARENA_NEW(p->arena, MnlBuffer);
    *$$ = (MnlBuffer){.loc = @$, .name = $it, .name_loc = @it, .lo = $lo, .hi = $hi};
  }

direction:
  IN { $$ = MNL_IN; }
| OUT { $$ = MNL_OUT; }
| INOUT { $$ = MNL_INOUT; }

/* ---- statements ---- */

block:
  '{' stmts '}' { $$ = $stmts; }

stmts:
  %empty { $$ = ARENA_NEW(p->arena, MnlBlock); }
| stmts[list] stmt { $$ = $list; VEC_PUSH(p->arena, $$->items, $stmt); }

stmt:
  FOR name IN expr[lower] DOTDOT expr[upper] step.opt mode label.opt block {
    $$ = mnl_stmt(p, MNL_FOR, loc_span(@FOR, @[label.opt]), $name, @name);
    $$->lower = $lower;
    $$->upper = $upper;
    $$->step = $[step.opt];
    $$->mode = $mode;
    $$->label = $[label.opt];
    $$->body = $block;
  }
| branch
| branch[then] ELSE block { $$ = $then; $$->otherwise = $block; }
| LET name ':' NAME[type] '=' expr {
    $$ = mnl_stmt(p, MNL_LET, @$, $name, @name);
    $$->type = $type;
    $$->type_loc = @type;
    $$->expr = $expr;
  }
| VAR name ':' NAME[type] '=' expr {
    $$ = mnl_stmt(p, MNL_VAR, @$, $name, @name);
    $$->type = $type;
    $$->type_loc = @type;
    $$->expr = $expr;
  }
| SET name '=' expr {
    $$ = mnl_stmt(p, MNL_SET, @$, $name, @name);
    $$->expr = $expr;
  }
| access '=' expr {
    $$ = mnl_stmt(p, MNL_STORE, @$, $access->text, @access);
    $$->target = $access;
    $$->expr = $expr;
  }
| access ':' suffix '=' expr {
    $$ = mnl_stmt(p, MNL_STORE, @$, $access->text, @access);
    $$->target = $access;
    $$->target->suffix = $suffix;
    $$->target->suffix_loc = @suffix;
    $$->expr = $expr;
  }
| CALL name '(' arguments ')' string.opt {
    $$ = mnl_stmt(p, MNL_CALL_KERNEL, @$, $name, @name);
    $$->args = $arguments;
    $$->label = $[string.opt];
  }
| PREFETCH access {
    $$ = mnl_stmt(p, MNL_PREFETCH, @$, $access->text, @access);
    $$->target = $access;
  }
| PARALLEL '{' branches '}' {
    $$ = mnl_stmt(p, MNL_PARALLEL, @PARALLEL, NULL, @PARALLEL);
    $$->body = $branches;
  }

branches:
  %empty { $$ = ARENA_NEW(p->arena, MnlBlock); }
| branches[list] BRANCH block {
    MnlStmt *branch = mnl_stmt(p, MNL_BRANCH, @BRANCH, NULL, @BRANCH);
    branch->body = $block;
    $$ = $list;
    VEC_PUSH(p->arena, $$->items, branch);
  }

branch:
  IF '(' conditions ')' block {
    $$ = mnl_stmt(p, MNL_IF, loc_span(@IF, @conditions), NULL, @IF);
    $$->conditions = $conditions;
    $$->body = $block;
  }

step.opt:
  %empty { $$ = NULL; }
| BY expr { $$ = $expr; }

mode:
  %empty { $$ = MNL_SERIAL; }
| UNROLL { $$ = MNL_UNROLL; }
| VECTOR { $$ = MNL_VECTOR; }

label.opt:
  %empty { $$ = NULL; }
| LABEL STRING { $$ = $STRING; }

conditions:
  condition { $$ = ARENA_NEW(p->arena, MnlConditions); VEC_PUSH(p->arena, $$->items, $condition); }
| conditions[list] AND condition { $$ = $list; VEC_PUSH(p->arena, $$->items, $condition); }

condition:
  expr { $$ = (MnlCondition){.left = $expr}; }
| expr[a] compare expr[b] {
    $$ = (MnlCondition){.left = $a, .right = $b, .compare = (MnlCompare)$compare};
  }

compare:
  GE { $$ = MNL_GE; }
| '>' { $$ = MNL_GT; }
| LE { $$ = MNL_LE; }
| '<' { $$ = MNL_LT; }

/* ---- expressions ---- */

expr: sum

sum:
  product
| sum[a] '+' product[b] { $$ = mnl_binary(p, '+', @$, $a, $b); }
| sum[a] '-' product[b] { $$ = mnl_binary(p, '-', @$, $a, $b); }

product:
  unary
| product[a] '*' unary[b] { $$ = mnl_binary(p, '*', @$, $a, $b); }
| product[a] '/' unary[b] { $$ = mnl_binary(p, '/', @$, $a, $b); }
| product[a] '%' unary[b] { $$ = mnl_binary(p, '%', @$, $a, $b); }

unary:
  postfix
| '-' unary[a] { $$ = mnl_with_args(p, MNL_NEG, @$, NULL, mnl_list(p, NULL, $a)); }

postfix:
  primary
| primary[a] ':' suffix { $$ = $a; $$->suffix = $suffix; $$->suffix_loc = @suffix; }

suffix: NAME | NUMBER

primary:
  NUMBER { $$ = mnl_expr(p, MNL_NUMBER, @$, $NUMBER); }
| LITERAL { $$ = mnl_expr(p, MNL_NUMBER, @$, $LITERAL); }
| name { $$ = mnl_expr(p, MNL_NAME, @$, $name); }
| name '(' arguments ')' { $$ = mnl_with_args(p, MNL_CALL, @$, $name, $arguments); }
| access
| '[' exprs ']' { $$ = mnl_with_args(p, MNL_LIST, @$, NULL, $exprs); }
| '(' expr ')' { $$ = $expr; }

access:
  name '[' ']' { $$ = mnl_with_args(p, MNL_ACCESS, @$, $name, NULL); }
| name indices { $$ = mnl_with_args(p, MNL_ACCESS, @$, $name, $indices); }

indices:
  '[' expr ']' { $$ = mnl_list(p, NULL, $expr); }
| indices[list] '[' expr ']' { $$ = mnl_list(p, $list, $expr); }

arguments:
  %empty { $$ = NULL; }
| exprs

exprs:
  expr { $$ = mnl_list(p, NULL, $expr); }
| exprs[list] ',' expr { $$ = mnl_list(p, $list, $expr); }

name:
  NAME | PROGRAM | MACS | LAYERS | STAGE | BUFFER | KERNEL | ENTRY | INPUT | OUTPUT | WEIGHT | ARENA | ALIGN
| OFFSET | LIVE | RECIPE | NOALIAS | IN | OUT | INOUT | INT | BY | UNROLL | VECTOR | LABEL | LET
| VAR | SET | CALL | PREFETCH | SCHEDULE | PARALLEL | BRANCH | THREADS

%%

/* Only for what bison says itself: that its stack is full. */
static void mnl_error(const Loc *loc, void *scanner, MnlParser *p, const char *message) {
  (void)scanner;
  mnl_fail(p, *loc, message);
}

/* What was found and what would do. */
static int yyreport_syntax_error(const yypcontext_t *context, void *scanner, MnlParser *p) {
  (void)scanner;
  enum { MOST = 4 };
  yysymbol_kind_t found = yypcontext_token(context), expected[MOST + 1];
  if (p->failed)
    return 0;
  const char *message = "unexpected end of file";
  const Loc *loc = yypcontext_location(context);
  if (found != YYSYMBOL_YYEOF && found != YYSYMBOL_YYEMPTY)
    message = arena_printf(p->arena, "unexpected '%.*s'", (int)(loc->end - loc->begin),
                           p->source->text + loc->begin);
  int n = yypcontext_expected_tokens(context, expected, MOST + 1);
  for (int i = 0; n <= MOST && i < n; i++)
    message = arena_printf(p->arena, "%s%s%s", message, i == 0 ? "; expected " : i + 1 < n ? ", " : " or ",
                           yysymbol_name(expected[i]));
  mnl_fail(p, *loc, message);
  return 0;
}
