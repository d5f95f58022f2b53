/* The printers of the AST: the outline of --emit=ast, which puts every operand
 * that is itself an operation in parentheses so that precedence can be seen, and
 * source text with only the parentheses that it needs, for messages. */
#include "ast/ast.h"

#include <string.h>

typedef struct Printer {
  Writer *w;
  Arena *scratch;
  bool explicit_parens;
} Printer;

/* How tightly a form binds; a weaker one inside a stronger takes parentheses. */
enum {
  BIND_FLOW,
  BIND_OR,
  BIND_AND,
  BIND_NOT,
  BIND_COMPARE,
  BIND_SUM,
  BIND_PRODUCT,
  BIND_NEGATIVE,
  BIND_PRIMARY
};

const char *ast_op_text(AstOp op) {
  switch (op) {
  case AST_OP_NEG:
    return "-";
  case AST_OP_NOT:
    return "not";
  case AST_OP_ADD:
    return "+";
  case AST_OP_SUB:
    return "-";
  case AST_OP_MUL:
    return "*";
  case AST_OP_DIV:
    return "/";
  case AST_OP_EQ:
    return "==";
  case AST_OP_NE:
    return "!=";
  case AST_OP_LT:
    return "<";
  case AST_OP_LE:
    return "<=";
  case AST_OP_GT:
    return ">";
  case AST_OP_GE:
    return ">=";
  case AST_OP_AND:
    return "and";
  case AST_OP_OR:
    return "or";
  }
  return "";
}

static int op_binding(AstOp op) {
  switch (op) {
  case AST_OP_NEG:
    return BIND_NEGATIVE;
  case AST_OP_NOT:
    return BIND_NOT;
  case AST_OP_ADD:
  case AST_OP_SUB:
    return BIND_SUM;
  case AST_OP_MUL:
  case AST_OP_DIV:
    return BIND_PRODUCT;
  case AST_OP_EQ:
  case AST_OP_NE:
  case AST_OP_LT:
  case AST_OP_LE:
  case AST_OP_GT:
  case AST_OP_GE:
    return BIND_COMPARE;
  case AST_OP_AND:
    return BIND_AND;
  case AST_OP_OR:
    return BIND_OR;
  }
  return BIND_PRIMARY;
}

static int binding(const Ast *ast) {
  switch (ast->kind) {
  case AST_NUMBER:
    return ast->value.num < 0 ? BIND_NEGATIVE : BIND_PRIMARY;
  case AST_UNARY:
  case AST_BINARY:
    return op_binding(ast->op);
  case AST_FLOW:
  case AST_REPEAT:
  case AST_LET:
  case AST_OUTPUT:
  case AST_IF:
  case AST_BODY:
    return BIND_FLOW;
  case AST_KERNEL:
  case AST_STRING:
  case AST_NAME:
  case AST_APPLY:
  case AST_LIST:
    return BIND_PRIMARY;
  }
  return BIND_PRIMARY;
}

static void print_form(Printer *p, const Ast *ast);
static void print_body_inline(Printer *p, const AstBody *body);

/* `ast` where something that binds at least as tightly as `least` may stand. */
static void print_expr(Printer *p, const Ast *ast, int least) {
  bool parens = binding(ast) < least;
  if (parens)
    write_text(p->w, "(");
  print_form(p, ast);
  if (parens)
    write_text(p->w, ")");
}

static void print_operand(Printer *p, const Ast *ast, int least) {
  print_expr(p, ast, p->explicit_parens ? BIND_PRIMARY : least);
}

static void print_args(Printer *p, const Ast *ast) {
  for (size_t i = 0; i < ast->args.len; i++) {
    const AstArg *arg = &ast->args.at[i];
    if (i > 0)
      write_text(p->w, ", ");
    if (arg->name)
      write_f(p->w, "%s = ", arg->name);
    print_expr(p, arg->value, BIND_OR);
  }
}

/* A number that no short decimal tells is a quotient, which must stay whole. */
static void print_number(Printer *p, Rational value) {
  const char *text = rational_text(p->scratch, value);
  bool quotient = strchr(text, '/') != NULL;
  write_f(p->w, "%s%s%s", quotient ? "(" : "", text, quotient ? ")" : "");
}

static void print_count(Printer *p, const Ast *count) {
  bool plain = count->kind == AST_NUMBER || count->kind == AST_NAME;
  if (!plain)
    write_text(p->w, "(");
  print_expr(p, count, plain ? BIND_PRIMARY : BIND_OR);
  if (!plain)
    write_text(p->w, ")");
}

static void print_form(Printer *p, const Ast *ast) {
  switch (ast->kind) {
  case AST_NUMBER:
    print_number(p, ast->value);
    return;
  case AST_KERNEL:
    write_f(p->w, "%lldx%lld", (long long)ast->kernel_h, (long long)ast->kernel_w);
    return;
  case AST_STRING:
    write_quoted(p->w, ast->name);
    return;
  case AST_NAME:
    write_text(p->w, ast->name);
    return;
  case AST_APPLY:
    write_text(p->w, ast->name);
    write_text(p->w, "(");
    print_args(p, ast);
    write_text(p->w, ")");
    return;
  case AST_LIST:
    write_text(p->w, "[");
    print_args(p, ast);
    write_text(p->w, "]");
    return;
  case AST_UNARY:
    write_f(p->w, "%s%s", ast_op_text(ast->op), ast->op == AST_OP_NOT ? " " : "");
    print_operand(p, ast->left, op_binding(ast->op));
    return;
  case AST_BINARY: {
    int own = op_binding(ast->op);
    print_operand(p, ast->left, own == BIND_COMPARE ? own + 1 : own);
    write_f(p->w, " %s ", ast_op_text(ast->op));
    print_operand(p, ast->right, own + 1);
    return;
  }
  case AST_FLOW:
    print_expr(p, ast->left, BIND_OR);
    for (size_t i = 0; i < ast->stages.len; i++) {
      write_text(p->w, " -> ");
      print_form(p, ast->stages.at[i]);
    }
    return;
  case AST_REPEAT:
    print_form(p, ast->left);
    write_text(p->w, " * ");
    print_count(p, ast->right);
    return;
  case AST_LET:
    write_f(p->w, "let %s", ast->name);
    return;
  case AST_OUTPUT:
    write_f(p->w, "output %s", ast->name);
    if (ast->args.len > 0) {
      write_text(p->w, "(");
      print_args(p, ast);
      write_text(p->w, ")");
    }
    return;
  case AST_IF:
    write_text(p->w, "if (");
    print_expr(p, ast->left, BIND_OR);
    write_text(p->w, ") ");
    print_body_inline(p, ast->body);
    if (ast->otherwise) {
      write_text(p->w, " else ");
      print_body_inline(p, ast->otherwise);
    }
    return;
  case AST_BODY:
    print_body_inline(p, ast->body);
    return;
  }
}

static void print_params(Printer *p, const AstParams *params) {
  write_text(p->w, "(");
  for (size_t i = 0; i < params->len; i++) {
    write_f(p->w, "%s%s", i > 0 ? ", " : "", params->at[i].name);
    if (params->at[i].init) {
      write_text(p->w, " = ");
      print_expr(p, params->at[i].init, BIND_OR);
    }
  }
  write_text(p->w, ")");
}

/* What stands before the body or the semicolon, on one line. */
static void print_item_head(Printer *p, const AstItem *item) {
  switch (item->kind) {
  case ITEM_INPUT:
    write_f(p->w, "input %s: %s[", item->name, item->type_name);
    for (size_t i = 0; i < item->dims.len; i++) {
      write_text(p->w, i > 0 ? ", " : "");
      print_expr(p, item->dims.at[i], BIND_OR);
    }
    write_text(p->w, "]");
    if (item->value) {
      write_text(p->w, " (");
      print_args(p, item->value);
      write_text(p->w, ")");
    }
    return;
  case ITEM_DEFAULT:
    write_text(p->w, "default ");
    for (size_t i = 0; i < item->defaults.len; i++) {
      write_text(p->w, i > 0 ? ", " : "");
      print_expr(p, item->defaults.at[i], BIND_OR);
    }
    return;
  case ITEM_INCLUDE:
  case ITEM_WEIGHTS:
    write_text(p->w, item->kind == ITEM_INCLUDE ? "include " : "weights ");
    write_quoted(p->w, item->name);
    return;
  case ITEM_FN:
    write_f(p->w, "fn %s", item->name);
    print_params(p, &item->params);
    write_text(p->w, " = ");
    print_expr(p, item->value, BIND_OR);
    return;
  case ITEM_BLOCK:
  case ITEM_NETWORK:
    write_f(p->w, "%s %s", item->kind == ITEM_BLOCK ? "block" : "network", item->name);
    print_params(p, &item->params);
    return;
  case ITEM_FLOW:
    print_expr(p, item->value, BIND_FLOW);
    return;
  }
}

static void print_body_inline(Printer *p, const AstBody *body) {
  write_text(p->w, "{");
  for (size_t i = 0; i < body->items.len; i++) {
    const AstItem *item = body->items.at[i];
    write_text(p->w, " ");
    print_item_head(p, item);
    if (item->body) {
      write_text(p->w, " ");
      print_body_inline(p, item->body);
    } else if (!(item->kind == ITEM_FLOW && item->value->kind == AST_IF)) {
      write_text(p->w, ";");
    }
  }
  write_text(p->w, " }");
}

/* ---- the outline ---- */

static void outline_body(Printer *p, const AstBody *body);

/* A head, a stage or a condition on lines of its own; what has a body is opened
 * up, all else is a line. */
static void outline_form(Printer *p, const char *before, const Ast *ast) {
  write_text(p->w, before);
  if (ast->kind == AST_IF) {
    write_text(p->w, "if ");
    print_expr(p, ast->left, BIND_OR);
    write_text(p->w, "\n");
    outline_body(p, ast->body);
    if (ast->otherwise) {
      write_text(p->w, "else\n");
      outline_body(p, ast->otherwise);
    }
  } else if (ast->kind == AST_BODY) {
    write_text(p->w, "body\n");
    outline_body(p, ast->body);
  } else {
    print_expr(p, ast, BIND_FLOW);
    write_text(p->w, "\n");
  }
}

static void outline_item(Printer *p, const AstItem *item) {
  if (item->kind == ITEM_FLOW && item->value->kind == AST_IF) {
    outline_form(p, "", item->value);
  } else if (item->kind == ITEM_FLOW) {
    const Ast *value = item->value;
    bool steps = value->kind == AST_FLOW;
    write_text(p->w, "flow\n");
    p->w->indent++;
    print_expr(p, steps ? value->left : value, BIND_OR);
    write_text(p->w, "\n");
    for (size_t i = 0; steps && i < value->stages.len; i++)
      outline_form(p, "-> ", value->stages.at[i]);
    p->w->indent--;
  } else {
    print_item_head(p, item);
    write_text(p->w, "\n");
    if (item->body)
      outline_body(p, item->body);
  }
}

static void outline_body(Printer *p, const AstBody *body) {
  p->w->indent++;
  for (size_t i = 0; i < body->items.len; i++)
    outline_item(p, body->items.at[i]);
  p->w->indent--;
}

void ast_print(Writer *w, const AstFile *file) {
  Printer p = {w, arena_new(), true};
  for (size_t i = 0; i < file->items.len; i++)
    outline_item(&p, file->items.at[i]);
  arena_free(p.scratch);
}

void ast_print_expr(Writer *w, const Ast *expr) {
  Printer p = {w, arena_new(), false};
  print_expr(&p, expr, BIND_FLOW);
  arena_free(p.scratch);
}

const char *ast_expr_text(Arena *arena, const Ast *expr) {
  Writer w;
  writer_init(&w);
  Printer p = {&w, arena, false};
  print_expr(&p, expr, BIND_FLOW);
  return writer_take(&w, arena);
}
