/* `default conv(padding = valid);`: attributes that applications of an operator
 * have unless they say otherwise. Lexical, like functions and blocks: known in
 * all of the body or file that says it and in what is declared inside, inner ones
 * before outer ones. Values are evaluated where an operator is applied, but mean
 * what their names mean at the default. */
#include <string.h>

#include "network/builder.h"

static const Default *find_here(const Env *env, const OpDef *op, int attr) {
  for (size_t i = 0; i < env->defaults.len; i++)
    if (env->defaults.at[i].op == op && env->defaults.at[i].attr == attr)
      return &env->defaults.at[i];
  return NULL;
}

const Default *default_find(const Builder *b, Env *env, const OpDef *op, int attr, Env **declared) {
  for (; b->defaults && env; env = env->up) {
    const Default *found = find_here(env, op, attr);
    *declared = env;
    if (found)
      return found;
  }
  return NULL;
}

static void declare_one(Builder *b, Env *env, const OpDef *op, const AstArg *arg) {
  if (!arg->name) {
    build_error(b, arg->value->loc, "defaults are given by name, as in 'stride = 2'");
    return;
  }
  int attr = op_attr_index(op, arg->name);
  if (attr < 0) {
    const char *names[OP_MAX_ATTRS];
    for (int i = 0; i < op->n_attrs; i++)
      names[i] = op->attrs[i].name;
    const char *near = nearest_word(arg->name, names, (size_t)op->n_attrs);
    if (near)
      build_error(b, arg->name_loc, "'%s' has no attribute '%.200s'; did you mean '%s'?", op->name,
                  arg->name, near);
    else
      build_error(b, arg->name_loc, "'%s' has no attribute '%.200s' that could have a default",
                  op->name, arg->name);
    return;
  }
  const Default *before = find_here(env, op, attr);
  if (before) {
    if (build_error(b, arg->name_loc, "'%s' of '%s' already has a default here", arg->name,
                    op->name))
      diag_note(b->diag, before->arg->name_loc, "it was given here");
    return;
  }
  VEC_PUSH(b->arena, env->defaults, ((Default){op, attr, arg}));
  b->defaults++;
}

void declare_defaults(Builder *b, Env *env, const AstItem *item) {
  for (size_t i = 0; i < item->defaults.len; i++) {
    const Ast *apply = item->defaults.at[i];
    const OpDef *op = op_find(apply->name);
    if (!op || op->internal || op->refusal) {
      const char *names[512];
      size_t n = 0;
      for (size_t k = 0; k < op_count() && n < sizeof names / sizeof *names; k++)
        if (!op_at(k)->internal && !op_at(k)->refusal)
          names[n++] = op_at(k)->name;
      const char *near = nearest_word(apply->name, names, n);
      build_error(b, apply->name_loc, "'%.200s' is no operator, and only operators have defaults%s%s%s",
                  apply->name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
      continue;
    }
    for (size_t k = 0; k < apply->args.len; k++)
      declare_one(b, env, op, &apply->args.at[k]);
  }
}
