/* Names: which ordinal a callee has in its body, which path a layer, which
 * name a tensor, and which name was probably meant. */
#include "network/builder.h"

#include <string.h>

/* ---- maps: open addressing, at most half full ---- */

static size_t map_slot(const Map *map, const void *key) {
  uintptr_t h = (uintptr_t)key;
  h ^= h >> 17;
  h *= (uintptr_t)0x9e3779b97f4a7c15u;
  size_t slot = (size_t)(h ^ h >> 29) & (map->cap - 1);
  while (map->keys[slot] && map->keys[slot] != key)
    slot = (slot + 1) & (map->cap - 1);
  return slot;
}

size_t map_get(const Map *map, const void *key) {
  if (!map->cap)
    return MAP_NONE;
  size_t slot = map_slot(map, key);
  return map->keys[slot] ? map->values[slot] : MAP_NONE;
}

void map_put(Arena *arena, Map *map, const void *key, size_t value) {
  if (map->len * 2 >= map->cap) {
    Map old = *map;
    map->cap = old.cap ? old.cap * 2 : 8;
    map->keys = ARENA_ARRAY(arena, const void *, map->cap);
    map->values = ARENA_ARRAY(arena, size_t, map->cap);
    for (size_t i = 0; i < old.cap; i++)
      if (old.keys[i]) {
        size_t slot = map_slot(map, old.keys[i]);
        map->keys[slot] = old.keys[i];
        map->values[slot] = old.values[i];
      }
  }
  size_t slot = map_slot(map, key);
  if (!map->keys[slot]) {
    map->keys[slot] = key;
    map->len++;
  }
  map->values[slot] = value;
}

/* ---- ordinals ----
 *
 * Counted over the text of a body, both branches of conditions included, so
 * that a path does not depend on the value of a parameter. */

typedef struct Counter {
  Builder *b;
  BodyInfo *info;
  bool collecting; /* first pass: which names are values */
} Counter;

static void count_body(Counter *c, const AstBody *body);

static void count(Counter *c, const Ast *node, const char *name) {
  if (c->collecting)
    return;
  const char *key = intern(c->b->arena, name);
  size_t n = map_get(&c->info->totals, key);
  n = n == MAP_NONE ? 0 : n;
  map_put(c->b->arena, &c->info->ordinals, node, n);
  map_put(c->b->arena, &c->info->totals, key, n + 1);
}

/* `callee`: a bare name here is an application; `sum`: a sum here is one of tensors. */
static void count_expr(Counter *c, const Ast *ast, bool callee, bool sum) {
  if (!ast)
    return;
  switch (ast->kind) {
  case AST_NUMBER:
  case AST_KERNEL:
  case AST_STRING:
  case AST_OUTPUT:
    return;
  case AST_NAME:
    if (callee)
      count(c, ast, ast->name);
    return;
  case AST_APPLY:
    count(c, ast, ast->name);
    for (size_t i = 0; i < ast->args.len; i++)
      count_expr(c, ast->args.at[i].value, false, false);
    return;
  case AST_LIST:
    for (size_t i = 0; i < ast->args.len; i++)
      count_expr(c, ast->args.at[i].value, false, false);
    return;
  case AST_UNARY:
    count_expr(c, ast->left, false, false);
    return;
  case AST_BINARY:
    count_expr(c, ast->left, false, sum);
    if (sum && tensor_operator(ast->op))
      count(c, ast, tensor_operator(ast->op));
    count_expr(c, ast->right, false, sum);
    return;
  case AST_FLOW: {
    const Ast *head = ast->left;
    bool value = head->kind == AST_NAME &&
                 map_get(&c->info->values, intern(c->b->arena, head->name)) != MAP_NONE;
    count_expr(c, head, !value, true);
    for (size_t i = 0; i < ast->stages.len; i++)
      count_expr(c, ast->stages.at[i], true, false);
    return;
  }
  case AST_REPEAT:
    count_expr(c, ast->left, true, false);
    count_expr(c, ast->right, false, false);
    return;
  case AST_LET:
    if (c->collecting)
      map_put(c->b->arena, &c->info->values, intern(c->b->arena, ast->name), 1);
    return;
  case AST_IF:
    count_expr(c, ast->left, false, false);
    count_body(c, ast->body);
    count_body(c, ast->otherwise);
    return;
  case AST_BODY:
    count_body(c, ast->body);
    return;
  }
}

static void count_body(Counter *c, const AstBody *body) {
  if (!body)
    return;
  for (size_t i = 0; i < body->items.len; i++) {
    const AstItem *item = body->items.at[i];
    if (item->kind == ITEM_INPUT && c->collecting)
      map_put(c->b->arena, &c->info->values, intern(c->b->arena, item->name), 1);
    if (item->kind != ITEM_FLOW || !item->value)
      continue;
    const Ast *value = item->value;
    bool known = value->kind == AST_NAME &&
                 map_get(&c->info->values, intern(c->b->arena, value->name)) != MAP_NONE;
    count_expr(c, value, !known, true);
  }
}

BodyInfo *body_info(Builder *b, const AstItem *owner) {
  size_t known = map_get(&b->infos, owner->body);
  if (known != MAP_NONE)
    return b->info.at[known];
  BodyInfo *info = ARENA_NEW(b->arena, BodyInfo);
  map_put(b->arena, &b->infos, owner->body, b->info.len);
  VEC_PUSH(b->arena, b->info, info);
  map_put(b->arena, &info->values, b->in, 1);
  for (size_t i = 0; i < owner->params.len; i++)
    map_put(b->arena, &info->values, intern(b->arena, owner->params.at[i].name), 1);
  Counter counter = {b, info, true};
  count_body(&counter, owner->body);
  counter.collecting = false;
  count_body(&counter, owner->body);
  return info;
}

const char *callee_path(Builder *b, const Ast *node, const char *name) {
  Frame *frame = b->frame;
  size_t ordinal = map_get(&frame->info->ordinals, node);
  if (ordinal == MAP_NONE) {
    /* Sums inside arguments: whether they are of tensors is known only now. */
    size_t total = map_get(&frame->info->totals, intern(b->arena, name));
    ordinal = (total == MAP_NONE ? 0 : total) + frame->extra++;
  }
  /* The first relu6 and the 61st relu are two. */
  char last = name[strlen(name) - 1];
  const char *separator = last >= '0' && last <= '9' ? "_" : "";
  return intern(b->arena, arena_printf(b->arena, "%s%s%s%zu%s", frame->prefix, name, separator,
                                       ordinal, frame->suffix));
}

/* ---- suggestions ---- */

const char *suggestion(Builder *b, const Env *env, const char *word, bool callees, bool values) {
  enum { CAP = 512 };
  const char *names[CAP];
  size_t n = 0;
  if (b->quiet)
    return "";
  for (const Env *e = env; e; e = e->up)
    for (size_t i = 0; i < e->entries.len && n < CAP; i++) {
      const Entry *entry = &e->entries.at[i];
      if (entry->kind == ENTRY_VALUE ? values : callees)
        names[n++] = entry->name;
    }
  for (size_t i = 0; callees && i < op_count() && n < CAP; i++)
    if (!op_at(i)->internal && !op_at(i)->refusal)
      names[n++] = op_at(i)->name;
  if (callees)
    add_builtin_names(names, &n, CAP);
  if (values)
    add_words(names, &n, CAP);
  const char *near = nearest_word(word, names, n);
  return near ? arena_printf(b->arena, "; did you mean '%s'?", near) : "";
}

/* ---- tensors ---- */

/* Names that the language keeps for itself. */
static bool is_reserved(const Builder *b, const char *name) {
  return name == b->in || is_word(name);
}

/* `wish`, or it with the lowest number that makes it one that is not taken. `taken` holds the names that are, each with the
 * last number that was tried behind it. */
static const char *unique_name(Builder *b, Map *taken, const char *wish) {
  const char *base = intern(b->arena, wish), *name = base;
  size_t number = map_get(taken, base);
  number = number == MAP_NONE ? 0 : number;
  while (is_reserved(b, name) || map_get(taken, name) != MAP_NONE)
    name = intern(b->arena, arena_printf(b->arena, "%s_%zu", wish, ++number));
  map_put(b->arena, taken, name, 0);
  if (name != base)
    map_put(b->arena, taken, base, number);
  return name;
}

/* Inputs first, then the names that `let` gave, then outputs, then numbers: so a
 * dump, in which every tensor has a `let`, keeps all its names. */
void name_tensors(Builder *b) {
  Network *network = b->network;
  Map taken = {0};
  for (size_t i = 0; i < network->inputs.len; i++)
    map_put(b->arena, &taken, intern(b->arena, network->inputs.at[i]->name), 0);
  for (size_t i = 0; i < network->layers.len; i++) {
    Tensor *tensor = network->layers.at[i]->output;
    if (tensor->name)
      tensor->name = unique_name(b, &taken, tensor->name);
  }
  for (size_t i = 0; i < network->outputs.len; i++) {
    Tensor *tensor = network->outputs.at[i].tensor;
    if (!tensor->name)
      tensor->name = unique_name(b, &taken, network->outputs.at[i].name);
  }
  for (size_t i = 0; i < network->layers.len; i++) {
    Tensor *tensor = network->layers.at[i]->output;
    if (!tensor->name)
      tensor->name = unique_name(b, &taken, arena_printf(b->arena, "t%zu", i));
  }
}
