/* The constructors of the AST. Each knows its children's heights, and so its own. */
#include "ast/build.h"

#include <string.h>

/* Takes a child's height into account and returns the new one. */
static int above(AstBuilder *b, Loc loc, int depth, int child_depth) {
  if (child_depth + 1 <= depth)
    return depth;
  if (child_depth + 1 > AST_MAX_DEPTH && !b->too_deep) {
    diag_error(b->diag, (Loc){loc.source, loc.begin, loc.begin + 1},
               "nested too deeply (more than %d levels)", AST_MAX_DEPTH);
    b->too_deep = true;
  }
  return child_depth + 1;
}

static Ast *new_ast(AstBuilder *b, AstKind kind, Loc loc) {
  Ast *ast = ARENA_NEW(b->arena, Ast);
  ast->kind = kind;
  ast->loc = loc;
  ast->depth = 1;
  return ast;
}

static void adopt(AstBuilder *b, Ast *parent, const Ast *child) {
  parent->depth = above(b, parent->loc, parent->depth, child->depth);
}

Ast *ast_number(AstBuilder *b, Loc loc, Rational value) {
  Ast *ast = new_ast(b, AST_NUMBER, loc);
  ast->value = value;
  return ast;
}

Ast *ast_kernel(AstBuilder *b, Loc loc, AstKernel kernel) {
  Ast *ast = new_ast(b, AST_KERNEL, loc);
  ast->kernel_h = kernel.h;
  ast->kernel_w = kernel.w;
  return ast;
}

Ast *ast_named(AstBuilder *b, AstKind kind, Loc loc, const char *name, Loc name_loc) {
  Ast *ast = new_ast(b, kind, loc);
  ast->name = name;
  ast->name_loc = name_loc;
  return ast;
}

Ast *ast_unary(AstBuilder *b, Loc loc, AstOp op, Ast *operand) {
  Ast *ast = new_ast(b, AST_UNARY, loc);
  ast->op = op;
  ast->left = operand;
  adopt(b, ast, operand);
  return ast;
}

Ast *ast_binary(AstBuilder *b, Loc loc, AstOp op, Ast *left, Ast *right) {
  Ast *ast = new_ast(b, AST_BINARY, loc);
  ast->op = op;
  ast->left = left;
  ast->right = right;
  adopt(b, ast, left);
  adopt(b, ast, right);
  return ast;
}

Ast *ast_repeat(AstBuilder *b, Loc loc, Ast *apply, Ast *count) {
  Ast *ast = new_ast(b, AST_REPEAT, loc);
  ast->left = apply;
  ast->right = count;
  adopt(b, ast, apply);
  adopt(b, ast, count);
  return ast;
}

Ast *ast_if(AstBuilder *b, Loc loc, Ast *condition, AstBody *body, AstBody *otherwise) {
  Ast *ast = new_ast(b, AST_IF, loc);
  ast->left = condition;
  ast->body = body;
  ast->otherwise = otherwise;
  adopt(b, ast, condition);
  ast->depth = above(b, loc, ast->depth, body->depth);
  if (otherwise)
    ast->depth = above(b, loc, ast->depth, otherwise->depth);
  return ast;
}

Ast *ast_body_stage(AstBuilder *b, AstBody *body) {
  Ast *ast = new_ast(b, AST_BODY, body->loc);
  ast->body = body;
  ast->depth = above(b, body->loc, ast->depth, body->depth);
  return ast;
}

Ast *ast_list(AstBuilder *b, Loc loc) { return new_ast(b, AST_LIST, loc); }

Ast *ast_list_push(AstBuilder *b, Ast *list, AstArg arg) {
  VEC_PUSH(b->arena, list->args, arg);
  adopt(b, list, arg.value);
  list->loc = loc_span(list->loc, arg.value->loc);
  return list;
}

Ast *ast_apply(AstBuilder *b, Loc loc, const char *name, Loc name_loc, const Ast *list) {
  return ast_with_args(b, ast_named(b, AST_APPLY, loc, name, name_loc), list);
}

Ast *ast_with_args(AstBuilder *b, Ast *stage, const Ast *list) {
  (void)b;
  stage->args = list->args;
  stage->has_args = true;
  stage->depth = list->depth;
  return stage;
}

Ast *ast_flow(AstBuilder *b, Loc loc, Ast *head) {
  Ast *ast = new_ast(b, AST_FLOW, loc);
  ast->left = head;
  adopt(b, ast, head);
  return ast;
}

Ast *ast_flow_push(AstBuilder *b, Ast *flow, Ast *stage) {
  VEC_PUSH(b->arena, flow->stages, stage);
  adopt(b, flow, stage);
  flow->loc = loc_span(flow->loc, stage->loc);
  return flow;
}

AstParams *ast_params(AstBuilder *b) { return ARENA_NEW(b->arena, AstParams); }

AstParams *ast_params_push(AstBuilder *b, AstParams *params, AstParam param) {
  VEC_PUSH(b->arena, *params, param);
  return params;
}

static AstItem *new_item(AstBuilder *b, AstItemKind kind, Loc loc, const char *name, Loc name_loc) {
  AstItem *item = ARENA_NEW(b->arena, AstItem);
  item->kind = kind;
  item->loc = loc;
  item->name = name;
  item->name_loc = name_loc;
  item->depth = 1;
  return item;
}

static void set_params(AstBuilder *b, AstItem *item, const AstParams *params) {
  item->params = *params;
  for (size_t i = 0; i < params->len; i++)
    if (params->at[i].init)
      item->depth = above(b, item->loc, item->depth, params->at[i].init->depth);
}

AstItem *ast_input(AstBuilder *b, Loc loc, const char *name, Loc name_loc, const char *type,
                   Loc type_loc, const Ast *dims, Ast *args) {
  AstItem *item = new_item(b, ITEM_INPUT, loc, name, name_loc);
  item->type_name = type;
  item->type_loc = type_loc;
  for (size_t i = 0; i < dims->args.len; i++)
    VEC_PUSH(b->arena, item->dims, dims->args.at[i].value);
  item->depth = dims->depth;
  if (args) {
    item->value = args->args.len ? args : NULL;
    item->depth = above(b, loc, item->depth, args->depth);
  }
  return item;
}

AstItem *ast_default(AstBuilder *b, Loc loc, const Ast *defaults) {
  AstItem *item = new_item(b, ITEM_DEFAULT, loc, NULL, (Loc){0});
  for (size_t i = 0; i < defaults->args.len; i++)
    VEC_PUSH(b->arena, item->defaults, defaults->args.at[i].value);
  item->depth = above(b, loc, item->depth, defaults->depth);
  return item;
}

AstItem *ast_path_item(AstBuilder *b, AstItemKind kind, Loc loc, const char *path,
                       Loc path_loc) {
  return new_item(b, kind, loc, path, path_loc);
}

AstItem *ast_fn(AstBuilder *b, Loc loc, const char *name, Loc name_loc, const AstParams *params,
                Ast *value) {
  AstItem *item = new_item(b, ITEM_FN, loc, name, name_loc);
  set_params(b, item, params);
  item->value = value;
  item->depth = above(b, loc, item->depth, value->depth);
  return item;
}

AstItem *ast_definition(AstBuilder *b, AstItemKind kind, Loc loc, const char *name, Loc name_loc,
                        const AstParams *params, AstBody *body) {
  AstItem *item = new_item(b, kind, loc, name, name_loc);
  set_params(b, item, params);
  item->body = body;
  item->depth = above(b, loc, item->depth, body->depth);
  return item;
}

AstItem *ast_flow_item(AstBuilder *b, Loc loc, Ast *value) {
  AstItem *item = new_item(b, ITEM_FLOW, loc, NULL, (Loc){0});
  item->value = value;
  item->depth = above(b, loc, item->depth, value->depth);
  return item;
}

AstBody *ast_body(AstBuilder *b) {
  AstBody *body = ARENA_NEW(b->arena, AstBody);
  body->depth = 1;
  return body;
}

AstBody *ast_body_push(AstBuilder *b, AstBody *body, AstItem *item) {
  if (!item)
    return body;
  VEC_PUSH(b->arena, body->items, item);
  body->depth = above(b, item->loc, body->depth, item->depth);
  return body;
}

AstBody *ast_body_of(AstBuilder *b, Ast *condition) {
  AstBody *body = ast_body(b);
  body->loc = condition->loc;
  return ast_body_push(b, body, ast_flow_item(b, condition->loc, condition));
}

void ast_file_push(AstBuilder *b, AstItem *item) {
  VEC_PUSH(b->arena, b->file->items, item);
  if (item->kind == ITEM_NETWORK)
    b->file->network = item;
}

const char *ast_quoted_text(AstBuilder *b, Loc loc) {
  const uint32_t limit = 40;
  const char *text = loc.source->text + loc.begin;
  uint32_t len = loc.end - loc.begin, shown = len < limit ? len : limit;
  /* A character is not cut in two, nor shown over several lines. */
  while (shown < len && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
    shown--;
  const char *line = memchr(text, '\n', shown);
  if (line)
    shown = (uint32_t)(line - text);
  return arena_printf(b->arena, "'%.*s%s'", (int)shown, text, shown < len ? "..." : "");
}
