/* Applications: which operator or block a name means, which arguments are
 * tensors and which attributes, and the layer that comes of it. Everything
 * that is particular to an operator is read from its OpDef. */
#include "network/builder.h"

#include <string.h>

/* Extents, and elements of a tensor, stay below 2^31 so that products of a few fit in int64. A
 * window of more than 32767 is no window. */
static const int64_t max_extent = INT32_MAX, max_window = 32767;

/* Signs that stand for operators when there are tensors on both sides. */
static const struct {
  AstOp op;
  const char *operator_name;
} tensor_arithmetic[] = {{AST_OP_ADD, "add"}, {AST_OP_SUB, "sub"}, {AST_OP_MUL, "mul"}};

const char *tensor_operator(AstOp op) {
  for (size_t i = 0; i < sizeof tensor_arithmetic / sizeof *tensor_arithmetic; i++)
    if (tensor_arithmetic[i].op == op)
      return tensor_arithmetic[i].operator_name;
  return NULL;
}

static const OpDef *find_operator(const char *name) {
  const OpDef *def = op_find(name);
  return def && !def->internal ? def : NULL;
}

static bool may_be_tensor(const Val *val) {
  return val->kind == VAL_TENSOR || val->kind == VAL_UNKNOWN;
}

/* ---- attributes ---- */

static bool has_word(AttrType type, const char *word) {
  if (type == ATTR_PADDING)
    return strcmp(word, "same") == 0 || strcmp(word, "valid") == 0;
  return type == ATTR_BOOL && (strcmp(word, "true") == 0 || strcmp(word, "false") == 0);
}

static const char *wanted(AttrType type) {
  switch (type) {
  case ATTR_INT:
    return "a whole number";
  case ATTR_KERNEL:
    return "a window such as 3x3, 3 or [3, 3]";
  case ATTR_PADDING:
    return "same, valid, a number, [height, width] or [top, left, bottom, right]";
  case ATTR_NUMBER:
    return "a number";
  case ATTR_BOOL:
    return "true or false";
  case ATTR_DIMS:
    return "a list of whole numbers such as [7, 7, 64]";
  case ATTR_NUMBERS:
    return "a number, or a list of one per channel";
  }
  return "";
}

typedef struct Attr {
  Builder *b;
  const AttrDef *def;
  const Ast *ast;
  const char *what; /* "'stride' of 'conv'" */
  int64_t min, max;
} Attr;

static bool wrong_kind(const Attr *attr, const Val *val) {
  build_error(attr->b, attr->ast->loc, "%s must be %s, not %s", attr->what, wanted(attr->def->type),
              val_kind_text(val));
  return false;
}

static bool whole(const Attr *attr, const Ast *ast, const Val *val, int64_t *result) {
  return eval_whole(attr->b, ast, val, attr->what, attr->min, attr->max, result);
}

/* The elements of a list, whole numbers each; the list's length must be one of a, b, c. */
static bool whole_list(const Attr *attr, const Val *val, const size_t lengths[3], int64_t *result) {
  if (val->n != lengths[0] && val->n != lengths[1] && val->n != lengths[2]) {
    build_error(attr->b, attr->ast->loc, "%s must be %s, not a list of %zu", attr->what,
                wanted(attr->def->type), val->n);
    return false;
  }
  bool fine = true;
  for (size_t i = 0; i < val->n; i++) {
    /* The list may come from a parameter: then its elements have no text here. */
    const Ast *ast = attr->ast->kind == AST_LIST ? attr->ast->args.at[i].value : attr->ast;
    fine = whole(attr, ast, &val->items[i], &result[i]) && fine;
  }
  return fine;
}

static bool convert_kernel(const Attr *attr, const Val *val, AttrValue *out) {
  if (val->kind == VAL_KERNEL) {
    for (int i = 0; i < 2; i++) {
      Val side = val_number(rational_int(val->kernel[i]));
      if (!whole(attr, attr->ast, &side, &out->i[i]))
        return false;
    }
    return true;
  }
  if (val->kind == VAL_NUMBER) {
    bool fine = whole(attr, attr->ast, val, &out->i[0]);
    out->i[1] = out->i[0];
    return fine;
  }
  if (val->kind != VAL_LIST)
    return wrong_kind(attr, val);
  return whole_list(attr, val, (const size_t[3]){2, 2, 2}, out->i);
}

static bool convert_padding(const Attr *attr, const Val *val, AttrValue *out) {
  if (val->kind == VAL_WORD) {
    if (!has_word(ATTR_PADDING, val->text))
      return wrong_kind(attr, val);
    out->padding = strcmp(val->text, "same") == 0 ? PADDING_SAME : PADDING_VALID;
    memset(out->i, 0, sizeof out->i);
    return true;
  }
  out->padding = PADDING_EXPLICIT;
  if (val->kind == VAL_NUMBER) {
    bool fine = whole(attr, attr->ast, val, &out->i[0]);
    out->i[1] = out->i[2] = out->i[3] = out->i[0];
    return fine;
  }
  if (val->kind != VAL_LIST)
    return wrong_kind(attr, val);
  if (!whole_list(attr, val, (const size_t[3]){2, 4, 4}, out->i))
    return false;
  if (val->n == 2) {
    out->i[2] = out->i[0];
    out->i[3] = out->i[1];
  }
  return true;
}

static bool convert_dims(const Attr *attr, const Val *val, AttrValue *out) {
  if (val->kind == VAL_NUMBER) {
    out->n = 1;
    return whole(attr, attr->ast, val, &out->i[0]);
  }
  if (val->kind != VAL_LIST)
    return wrong_kind(attr, val);
  if (!whole_list(attr, val, (const size_t[3]){1, 2, 3}, out->i))
    return false;
  out->n = (int)val->n;
  return true;
}

static bool convert_numbers(const Attr *attr, const Val *val, AttrValue *out) {
  const Val *items = val->kind == VAL_LIST ? val->items : val;
  size_t n = val->kind == VAL_LIST ? val->n : 1;
  Rational *numbers = ARENA_ARRAY(attr->b->arena, Rational, n);
  for (size_t i = 0; i < n; i++) {
    if (items[i].kind != VAL_NUMBER)
      return wrong_kind(attr, &items[i]);
    numbers[i] = items[i].number;
  }
  if (n == 0 || n > INT32_MAX)
    return wrong_kind(attr, val);
  out->n = (int)n;
  out->numbers = numbers;
  return true;
}

static bool convert(Builder *b, const OpDef *op, int index, const Ast *ast, const Val *val,
                    AttrValue *out) {
  const AttrDef *def = &op->attrs[index];
  Attr attr = {b, def, ast, NULL, def->min, max_extent};
  attr.what = arena_printf(b->arena, "'%s' of '%s'", def->name, op->name);
  if (val->kind == VAL_UNKNOWN)
    return false;
  out->given = true;
  switch (def->type) {
  case ATTR_INT:
    return whole(&attr, ast, val, &out->i[0]);
  case ATTR_KERNEL:
    attr.max = max_window;
    return convert_kernel(&attr, val, out);
  case ATTR_PADDING:
    attr.min = 0;
    attr.max = max_window;
    return convert_padding(&attr, val, out);
  case ATTR_NUMBER:
    if (val->kind != VAL_NUMBER)
      return wrong_kind(&attr, val);
    out->number = val->number;
    return true;
  case ATTR_BOOL:
    if (val->kind != VAL_BOOL)
      return wrong_kind(&attr, val);
    out->i[0] = val->truth;
    return true;
  case ATTR_DIMS:
    return convert_dims(&attr, val, out);
  case ATTR_NUMBERS:
    return convert_numbers(&attr, val, out);
  }
  return false;
}

/* ---- layers ---- */

/* A path becomes a name in files and a chain of modules elsewhere. */
const char *path_problem(const char *path) {
  if (!*path)
    return "it is empty";
  if (strlen(path) > MAX_PATH)
    return "it is too long";
  for (const char *c = path; *c; c++) {
    if ((unsigned char)*c < ' ' || *c == 127)
      return "it has a control character";
    if (*c == '.' && (c == path || c[1] == '.' || !c[1]))
      return "a part between dots is empty";
  }
  return NULL;
}

/* An explicit name = "…", with the repetition's number. */
static const char *explicit_path(Builder *b, const AstArg *arg, const Val *val) {
  if (val->kind != VAL_STRING) {
    if (val->kind != VAL_UNKNOWN)
      build_error(b, arg->value->loc, "'name' must be a string, not %s", val_kind_text(val));
    return NULL;
  }
  const char *problem = path_problem(val->text);
  if (problem) {
    build_error(b, arg->value->loc, "'name' cannot be used: %s", problem);
    return NULL;
  }
  return intern(b->arena, arena_printf(b->arena, "%s%s", val->text, b->frame->suffix));
}

static bool check_shape(Builder *b, Loc loc, const char *what, const Shape *shape) {
  for (int i = 0; i < shape->rank; i++)
    if (shape->dims[i] < 1 || shape->dims[i] > max_extent) {
      build_error(b, loc, "%s: an extent of %lld is out of range in %s", what,
                  (long long)shape->dims[i], shape_text(b->arena, shape));
      return false;
    }
  if (shape->rank == 3 && shape->dims[0] > MAX_ROWS) {
    build_error(b, loc, "%s: %s has more than %d rows", what, shape_text(b->arena, shape), MAX_ROWS);
    return false;
  }
  int64_t elems = shape_elems(shape);
  if (elems < 0 || elems > max_extent) {
    build_error(b, loc, "%s: %s has more than 2147483647 elements", what,
                shape_text(b->arena, shape));
    return false;
  }
  return true;
}

static bool add_weights(Builder *b, Layer *layer) {
  OpWeight weights[OP_MAX_WEIGHTS];
  memset(weights, 0, sizeof weights);
  layer->n_weights = op_call_weights(&layer->call, weights);
  for (int i = 0; i < layer->n_weights; i++) {
    int64_t elems = 1;
    for (int d = 0; d < weights[i].rank; d++)
      if (__builtin_mul_overflow(elems, weights[i].dims[d], &elems) || elems > max_extent) {
        build_error(b, layer->loc, "%s: '%s' has more than 2147483647 elements",
                    layer->call.def->name, weights[i].suffix);
        return false;
      }
    WeightDecl *decl = ARENA_NEW(b->arena, WeightDecl);
    decl->name = intern(b->arena, arena_printf(b->arena, "%s.%s", layer->path, weights[i].suffix));
    decl->role = weights[i].role;
    decl->learned = weights[i].learned;
    decl->rank = weights[i].rank;
    memcpy(decl->dims, weights[i].dims, sizeof weights[i].dims);
    decl->fan_in = weights[i].fan_in;
    decl->loc = layer->loc;
    layer->weights[i] = decl;
  }
  return true;
}

/* The operator takes what its inputs hold. */
static bool check_elems(Builder *b, const Layer *layer) {
  const OpCall *call = &layer->call;
  for (int i = 0; i < call->n_inputs; i++) {
    Elem elem = call->inputs[i].elem;
    if (elem == ELEM_F32 || call->def->takes_any || (elem == ELEM_U8 && call->def->takes_u8 && i == 0))
      continue;
    const char *advice = elem == ELEM_U8 ? "; give the input a mean and a scale, as in "
                                           "'input x: u8[96, 96, 3] (mean = 128, scale = 1/128)'"
                                         : "";
    build_error(b, layer->loc, "%s takes f32, not %s%s", call->def->name,
                shape_text(b->arena, &call->inputs[i]), advice);
    return false;
  }
  return true;
}

static Val finish_layer(Builder *b, Layer *layer) {
  Network *network = b->network;
  OpCall *call = &layer->call;
  for (int i = 0; i < call->n_inputs; i++)
    call->inputs[i] = layer->inputs[i]->shape;
  if (!check_elems(b, layer))
    return val_unknown();
  const char *problem = call->def->infer(b->arena, call);
  if (problem) {
    build_error(b, layer->loc, "%s: %s", call->def->name, problem);
    return val_unknown();
  }
  if (!check_shape(b, layer->loc, call->def->name, &call->output) || !add_weights(b, layer))
    return val_unknown();
  if (strlen(layer->path) > MAX_PATH) {
    build_error(b, layer->loc, "the path '%.40s...' has more than %d characters", layer->path,
                MAX_PATH);
    b->stop = true;
    return val_unknown();
  }
  size_t before = map_get(&b->paths, layer->path);
  if (before != MAP_NONE) {
    if (build_error(b, layer->loc,
                    "there are two layers with the path '%s'; give one another with 'name = ...'",
                    layer->path))
      diag_note(b->diag, network->layers.at[before]->loc, "the first is here");
    return val_unknown();
  }
  if (network->layers.len >= MAX_LAYERS) {
    build_error(b, layer->loc, "the network has more than %d layers", MAX_LAYERS);
    b->stop = true;
    return val_unknown();
  }
  map_put(b->arena, &b->paths, layer->path, network->layers.len);
  layer->output = ARENA_NEW(b->arena, Tensor);
  *layer->output = (Tensor){.shape = call->output, .producer = layer, .loc = layer->loc};
  VEC_PUSH(b->arena, network->layers, layer);
  for (int i = 0; i < layer->n_weights; i++)
    VEC_PUSH(b->arena, network->weights, layer->weights[i]);
  return (Val){.kind = VAL_TENSOR, .tensor = layer->output};
}

/* ---- operators ---- */

typedef struct Application {
  Builder *b;
  Env *env;
  const Ast *callee;
  const OpDef *def;
  Layer *layer;
  bool given[OP_MAX_ATTRS];
  int next;    /* the next positional attribute */
  bool failed; /* an error was reported, or something unknown took part */
  bool unknown_input;
} Application;

static void add_input(Application *a, const Ast *ast, const Val *val) {
  OpCall *call = &a->layer->call;
  if (call->n_inputs >= a->def->max_inputs || call->n_inputs >= OP_MAX_INPUTS) {
    if (!a->failed)
      build_error(a->b, ast->loc, "'%s' takes %d tensor%s, not more", a->def->name,
                  a->def->max_inputs, a->def->max_inputs == 1 ? "" : "s");
    a->failed = true;
    return;
  }
  a->layer->inputs[call->n_inputs++] = val->tensor;
  if (val->kind != VAL_TENSOR)
    a->failed = a->unknown_input = true;
}

static void set_attr(Application *a, int index, const AstArg *arg, const Val *val) {
  const AttrDef *def = &a->def->attrs[index];
  if (a->given[index]) {
    build_error(a->b, arg->value->loc, "'%s' of '%s' is given twice", def->name, a->def->name);
    a->failed = true;
    return;
  }
  a->given[index] = true;
  if (!convert(a->b, a->def, index, arg->value, val, &a->layer->call.attrs[index]))
    a->failed = true;
}

/* Words are resolved by the attribute's type before any value of that name. */
static Val eval_attr(Application *a, Env *env, int index, const Ast *ast) {
  if (index >= 0 && ast->kind == AST_NAME && has_word(a->def->attrs[index].type, ast->name)) {
    if (a->def->attrs[index].type == ATTR_BOOL)
      return (Val){.kind = VAL_BOOL, .truth = strcmp(ast->name, "true") == 0};
    return (Val){.kind = VAL_WORD, .text = intern(a->b->arena, ast->name)};
  }
  return eval(a->b, env, ast);
}

static void unknown_attr(Application *a, const AstArg *arg) {
  const char *names[OP_MAX_ATTRS + 1] = {"name"};
  size_t n = 1;
  const char *list = "";
  for (int i = 0; i < a->def->n_attrs; i++) {
    names[n++] = a->def->attrs[i].name;
    list = arena_printf(a->b->arena, "%s%s, ", list, a->def->attrs[i].name);
  }
  const char *near = nearest_word(arg->name, names, n);
  if (near)
    build_error(a->b, arg->name_loc, "'%s' has no attribute '%s'; did you mean '%s'?", a->def->name,
                arg->name, near);
  else
    build_error(a->b, arg->name_loc, "'%s' has no attribute '%s'; it has %sname", a->def->name,
                arg->name, list);
  a->failed = true;
}

static void take_argument(Application *a, const AstArg *arg) {
  if (arg->name && strcmp(arg->name, "name") == 0) {
    Val val = eval(a->b, a->env, arg->value);
    a->layer->path = explicit_path(a->b, arg, &val);
    a->failed = a->failed || !a->layer->path;
    return;
  }
  if (arg->name) {
    int index = op_attr_index(a->def, arg->name);
    Val val = eval_attr(a, a->env, index, arg->value);
    if (index < 0)
      unknown_attr(a, arg);
    else
      set_attr(a, index, arg, &val);
    return;
  }
  while (a->next < a->def->n_attrs && a->def->attrs[a->next].named_only)
    a->next++;
  bool more = a->next < a->def->n_attrs;
  Val val = eval_attr(a, a->env, more ? a->next : -1, arg->value);
  /* Something unknown may have been meant as either; a tensor while one is still wanted. */
  bool input = val.kind == VAL_TENSOR ||
               (val.kind == VAL_UNKNOWN && a->layer->call.n_inputs < a->def->min_inputs);
  if (input) {
    add_input(a, arg->value, &val);
  } else if (more) {
    set_attr(a, a->next++, arg, &val);
  } else {
    if (val.kind != VAL_UNKNOWN)
      build_error(a->b, arg->value->loc, "too many arguments for '%s'", a->def->name);
    a->failed = true;
  }
}

/* What the application does not give and a `default` does. */
static void take_defaults(Application *a) {
  for (int i = 0; a->b->defaults && i < a->def->n_attrs; i++) {
    Env *declared = NULL;
    const Default *found = a->given[i] ? NULL : default_find(a->b, a->env, a->def, i, &declared);
    if (!found)
      continue;
    Val val = eval_attr(a, declared, i, found->arg->value);
    set_attr(a, i, found->arg, &val);
  }
}

/* At a head that named no tensor: the block's input. */
static void feed_in(Application *a) {
  const Entry *in = env_find(a->b, a->env, a->b->in);
  if (in) {
    Val val = in->value;
    add_input(a, a->callee, &val);
    return;
  }
  build_error(a->b, a->callee->loc,
              "nothing flows into '%s'; start with a tensor, as in 'image -> %s'", a->def->name,
              a->def->name);
  a->failed = true;
}

static Val apply_operator(Builder *b, Env *env, const Ast *callee, const OpDef *def,
                          const Val *chain) {
  if (def->refusal) {
    build_error(b, callee->loc, "'%s' is not supported: %s", def->name, def->refusal);
    return val_unknown();
  }
  Application a = {.b = b, .env = env, .callee = callee, .def = def};
  int errors = b->errors;
  a.layer = ARENA_NEW(b->arena, Layer);
  a.layer->loc = callee->loc;
  OpCall *call = &a.layer->call;
  op_call_init(call, def);
  if (chain)
    add_input(&a, callee, chain);
  for (size_t i = 0; i < callee->args.len; i++)
    take_argument(&a, &callee->args.at[i]);
  take_defaults(&a);
  if (!chain && call->n_inputs == 0 && b->errors == errors)
    feed_in(&a);
  if (call->n_inputs < def->min_inputs && !a.failed) {
    build_error(b, callee->loc, "'%s' takes %d tensors, found %d", def->name, def->min_inputs,
                call->n_inputs);
    a.failed = true;
  }
  for (int i = 0; i < def->n_attrs; i++)
    if (def->attrs[i].required && !a.given[i] && b->errors == errors) {
      build_error(b, callee->loc, "'%s' needs '%s': %s", def->name, def->attrs[i].name,
                  wanted(def->attrs[i].type));
      a.failed = true;
    }
  if (a.failed || b->errors != errors)
    return val_unknown();
  if (!a.layer->path)
    a.layer->path = callee_path(b, callee, def->name);
  return finish_layer(b, a.layer);
}

Val apply_arithmetic(Builder *b, const Ast *ast, const Val *left, const Val *right) {
  const char *name = tensor_operator(ast->op);
  if (left->kind == VAL_TENSOR && right->kind == VAL_TENSOR && !name) {
    build_error(b, ast->loc, "'%s' is not defined for two tensors", ast_op_text(ast->op));
    return val_unknown();
  }
  if (left->kind != VAL_TENSOR || right->kind != VAL_TENSOR) {
    build_error(b, ast->loc, "'%s' cannot stand between %s and %s", ast_op_text(ast->op),
                val_kind_text(left), val_kind_text(right));
    return val_unknown();
  }
  if (b->in_function) {
    build_error(b, ast->loc, "a function computes numbers; operators on tensors belong in a block");
    return val_unknown();
  }
  Layer *layer = ARENA_NEW(b->arena, Layer);
  layer->loc = ast->loc;
  op_call_init(&layer->call, op_find(name));
  layer->call.n_inputs = 2;
  layer->inputs[0] = left->tensor;
  layer->inputs[1] = right->tensor;
  layer->path = callee_path(b, ast, name);
  return finish_layer(b, layer);
}

/* ---- names ---- */

/* The arguments of a block in its caller's environment. */
static Val *eval_args(Builder *b, Env *env, const Ast *callee) {
  Val *args = ARENA_ARRAY(b->arena, Val, callee->args.len);
  for (size_t i = 0; i < callee->args.len; i++)
    args[i] = eval(b, env, callee->args.at[i].value);
  return args;
}

static Val apply_named_block(Builder *b, Env *env, const Ast *callee, const Entry *entry,
                             const Val *chain) {
  Val *args = eval_args(b, env, callee);
  if (chain)
    return apply_block(b, entry, callee, *chain, args, 0);
  /* At a head the first tensor is what flows in. */
  if (callee->args.len && !callee->args.at[0].name) {
    if (args[0].kind == VAL_UNKNOWN)
      return val_unknown();
    if (args[0].kind == VAL_TENSOR)
      return apply_block(b, entry, callee, args[0], args, 1);
  }
  const Entry *in = env_find(b, env, b->in);
  if (in)
    return apply_block(b, entry, callee, in->value, args, 0);
  build_error(b, callee->loc, "nothing flows into '%s'; start with a tensor, as in 'image -> %s'",
              entry->name, entry->name);
  return val_unknown();
}

static Val apply_name(Builder *b, Env *env, const Ast *callee, const Val *chain) {
  const char *name = callee->name;
  const Entry *entry = env_find(b, env, name);
  if (entry && entry->kind == ENTRY_BLOCK)
    return apply_named_block(b, env, callee, entry, chain);
  if (entry && entry->kind == ENTRY_FN) {
    build_error(b, callee->loc,
                "'%s' is a function: it computes a number and has no place in a flow", name);
    return val_unknown();
  }
  const OpDef *def = find_operator(name);
  if (def)
    return apply_operator(b, env, callee, def, chain);
  if (entry) {
    Val val = entry_use(b, entry);
    if (chain && val.kind == VAL_TENSOR && tensor_operator(AST_OP_ADD))
      build_error(b, callee->name_loc,
                  "'%s' is a tensor, and nothing can flow into it; to join two, write '-> %s(%s)'",
                  name, tensor_operator(AST_OP_ADD), name);
    else
      build_error(b, callee->name_loc, "'%s' is %s and cannot be applied", name,
                  val.kind == VAL_UNKNOWN ? "a value" : val_kind_text(&val));
    return val_unknown();
  }
  if (is_builtin(name)) {
    build_error(b, callee->loc,
                "'%s' is a function: it computes a number and has no place in a flow", name);
    return val_unknown();
  }
  if (chain)
    build_error(b, callee->name_loc, "unknown operator or block '%s'%s", name,
                suggestion(b, env, name, true, false));
  else
    build_error(b, callee->name_loc, "unknown operator, block or function '%s'%s", name,
                suggestion(b, env, name, true, false));
  eval_args(b, env, callee);
  return val_unknown();
}

Val apply(Builder *b, Env *env, const Ast *callee, const Val *chain) {
  Val result = val_unknown();
  if (chain && !may_be_tensor(chain)) {
    build_error(b, callee->loc, "%s cannot flow into '%s': it takes a tensor", val_kind_text(chain),
                callee->name);
    return result;
  }
  if (b->in_function) {
    build_error(b, callee->loc,
                "a function computes numbers; operators and blocks belong in a block");
    return result;
  }
  if (build_enter(b, callee->loc))
    result = apply_name(b, env, callee, chain);
  build_leave(b);
  return result;
}
