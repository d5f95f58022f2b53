/* From the tree to the network: parameters bound, blocks expanded, layers
 * appended in the order in which they are met.
 *
 * Expansion walks the bodies as they would be executed. A flow is a value that
 * passes through its stages; an application appends a layer, whose shape is
 * inferred at once so that conditions may ask for it; a block runs its body in
 * an environment whose parent is where the block was declared. After an error
 * a value is unknown, which silences what follows from it and lets the rest of
 * the program be checked. */
#include "network/builder.h"

#include <string.h>

/* ---- errors ---- */

bool build_error(Builder *b, Loc loc, const char *format, ...) {
  if (b->quiet) {
    b->quiet_failed = true;
    return false;
  }
  b->errors++;
  /* A block that is applied ten times would say the same ten times. */
  const char *place =
      intern(b->arena, arena_printf(b->arena, "%s:%u:%u", loc.source ? loc.source->name : "",
                                    (unsigned)loc.begin, (unsigned)loc.end));
  if (loc.source && map_get(&b->reported, place) != MAP_NONE)
    return false;
  map_put(b->arena, &b->reported, place, 1);
  va_list args;
  va_start(args, format);
  const char *text = arena_vprintf(b->arena, format, args);
  va_end(args);
  diag_error(b->diag, loc, "%s", text);
  if (b->reported.len >= MAX_ERRORS)
    b->stop = true;
  return true;
}

/* Diag's hook: which blocks and functions led here, innermost first. */
static void explain_frames(Diag *diag, void *user) {
  const Builder *b = user;
  int shown = 0;
  for (const Frame *frame = b->frame; frame && frame->item; frame = frame->up) {
    if (frame->item->kind == ITEM_NETWORK)
      return;
    if (++shown > 8) {
      diag_note(diag, frame->applied, "and so on");
      return;
    }
    diag_note(diag, frame->applied, "in %s '%s', %s here",
              frame->item->kind == ITEM_FN ? "function" : "block", frame->item->name,
              frame->item->kind == ITEM_FN ? "called" : "applied");
  }
}

bool build_enter(Builder *b, Loc loc) {
  b->depth++;
  if (b->stop)
    return false;
  if (b->depth > MAX_DEPTH) {
    build_error(b, loc, "this is nested too deeply");
    b->stop = true;
    return false;
  }
  if (++b->steps > MAX_STEPS) {
    build_error(b, loc,
                "expanding the network takes more than %d steps; is a repetition or a "
                "function unbounded?",
                MAX_STEPS);
    b->stop = true;
    return false;
  }
  return true;
}

void build_leave(Builder *b) { b->depth--; }

/* ---- environments ---- */

enum { FEW = 8 };

/* Room for `expected` entries: a call of a function is small and there may be many. */
Env *env_new(Builder *b, Env *up, size_t expected) {
  Env *env = ARENA_NEW(b->arena, Env);
  env->up = up;
  if (expected) {
    env->entries.at = ARENA_ARRAY(b->arena, Entry, expected);
    env->entries.cap = expected;
  }
  return env;
}

/* `key` is interned. */
static size_t find_here(const Env *env, const char *key) {
  if (env->index.cap)
    return map_get(&env->index, key);
  for (size_t i = 0; i < env->entries.len; i++)
    if (env->entries.at[i].name == key)
      return i;
  return MAP_NONE;
}

const Entry *env_find(Builder *b, const Env *env, const char *name) {
  const char *key = intern(b->arena, name);
  for (; env; env = env->up) {
    size_t i = find_here(env, key);
    if (i != MAP_NONE)
      return &env->entries.at[i];
  }
  return NULL;
}

void env_define(Builder *b, Env *env, Entry entry) {
  entry.name = intern(b->arena, entry.name);
  size_t before = find_here(env, entry.name);
  if (before != MAP_NONE) {
    if (build_error(b, entry.loc, "'%s' is already defined", entry.name))
      diag_note(b->diag, env->entries.at[before].loc, "it was defined here");
    return;
  }
  VEC_PUSH(b->arena, env->entries, entry);
  if (env->entries.len <= FEW)
    return;
  for (size_t i = env->index.cap ? env->entries.len - 1 : 0; i < env->entries.len; i++)
    map_put(b->arena, &env->index, env->entries.at[i].name, i);
}

/* A name that the program gives: `in` is the language's. */
static void define_named(Builder *b, Env *env, Entry entry) {
  if (strcmp(entry.name, b->in) == 0)
    build_error(b, entry.loc, "'in' is the input of a block; choose another name");
  else
    env_define(b, env, entry);
}

Val entry_use(Builder *b, const Entry *entry) {
  if (entry->use)
    b->uses.at[entry->use - 1].used = true;
  return entry->value;
}

size_t use_record(Builder *b, const void *node, const char *what, const char *warning,
                  const char *name, Loc loc) {
  size_t known = map_get(&b->use_index, node);
  if (known != MAP_NONE)
    return known + 1;
  map_put(b->arena, &b->use_index, node, b->uses.len);
  VEC_PUSH(b->arena, b->uses, ((Use){name, what, warning, loc, false}));
  return b->uses.len;
}

/* Functions, blocks and defaults are known in their whole body, before and after. */
static void declare(Builder *b, Env *env, const AstItem *item) {
  bool fn = item->kind == ITEM_FN;
  if (item->kind == ITEM_DEFAULT)
    declare_defaults(b, env, item);
  if (!fn && item->kind != ITEM_BLOCK)
    return;
  const OpDef *def = op_find(item->name);
  if (def && !def->internal) {
    build_error(b, item->name_loc, "'%s' is an operator; choose another name for the %s",
                item->name, fn ? "function" : "block");
    return;
  }
  define_named(b, env,
               (Entry){.name = item->name,
                       .kind = fn ? ENTRY_FN : ENTRY_BLOCK,
                       .loc = item->name_loc,
                       .item = item,
                       .env = env});
}

/* What a file declares, behind what it includes: names are lexical, so an included file sees its
 * own declarations and not those of who includes it. */
static Env *file_env(Builder *b, const AstFile *file) {
  size_t known = map_get(&b->file_envs, file);
  if (known != MAP_NONE)
    return b->envs.at[known];
  Env *env = env_new(b, NULL, 0);
  map_put(b->arena, &b->file_envs, file, b->envs.len);
  VEC_PUSH(b->arena, b->envs, env);
  for (size_t i = 0; i < file->items.len; i++) {
    const AstItem *item = file->items.at[i];
    if (item->kind != ITEM_INCLUDE || !item->included)
      continue;
    const Env *library = file_env(b, item->included);
    for (size_t k = 0; k < library->entries.len; k++) {
      size_t before = find_here(env, library->entries.at[k].name);
      /* The same one may come by two ways. */
      if (before == MAP_NONE || env->entries.at[before].item != library->entries.at[k].item)
        env_define(b, env, library->entries.at[k]);
    }
  }
  for (size_t i = 0; i < file->items.len; i++)
    declare(b, env, file->items.at[i]);
  return env;
}

/* ---- parameters of functions and blocks ---- */

static const char *kind_name(const AstItem *item) {
  return item->kind == ITEM_FN ? "function" : "block";
}

static size_t find_param(const AstItem *item, const char *name) {
  for (size_t i = 0; i < item->params.len; i++)
    if (strcmp(item->params.at[i].name, name) == 0)
      return i;
  return MAP_NONE;
}

static const char *param_suggestion(Builder *b, const AstItem *item, const char *name) {
  const char **names = ARENA_ARRAY(b->arena, const char *, item->params.len + 1);
  const char *list = "";
  size_t n = item->params.len;
  for (size_t i = 0; i < n; i++) {
    names[i] = item->params.at[i].name;
    list = arena_printf(b->arena, "%s%s%s", list, i ? ", " : "", names[i]);
  }
  const char *near = nearest_word(name, names, n);
  if (near)
    return arena_printf(b->arena, "; did you mean '%s'?", near);
  return n ? arena_printf(b->arena, "; there %s %s", n == 1 ? "is" : "are", list) : "; it has none";
}

/* Sets given[i] to the index of parameter i's argument. False after an error. */
static bool match_args(Builder *b, const AstItem *item, const Ast *call, size_t skip,
                       size_t *given) {
  bool fine = true, takes_name = find_param(item, "name") != MAP_NONE;
  size_t next = 0;
  for (size_t i = 0; i < item->params.len; i++)
    given[i] = MAP_NONE;
  for (size_t i = skip; i < call->args.len; i++) {
    const AstArg *arg = &call->args.at[i];
    size_t param = next;
    if (arg->name) {
      if (item->kind == ITEM_BLOCK && !takes_name && strcmp(arg->name, "name") == 0)
        continue; /* its path */
      param = find_param(item, arg->name);
      if (param == MAP_NONE) {
        build_error(b, arg->name_loc, "%s '%s' has no parameter '%s'%s", kind_name(item),
                    item->name, arg->name, param_suggestion(b, item, arg->name));
        fine = false;
        continue;
      }
    } else if (next++ >= item->params.len) {
      build_error(b, arg->value->loc, "too many arguments: %s '%s' takes %zu", kind_name(item),
                  item->name, item->params.len);
      return false;
    }
    if (given[param] != MAP_NONE) {
      build_error(b, arg->value->loc, "parameter '%s' of %s '%s' is given twice",
                  item->params.at[param].name, kind_name(item), item->name);
      fine = false;
      continue;
    }
    given[param] = i;
  }
  return fine;
}

bool bind_params(Builder *b, Env *callee_env, const AstItem *item, const Ast *call, const Val *args,
                 size_t skip) {
  size_t *given = ARENA_ARRAY(b->arena, size_t, item->params.len);
  if (!match_args(b, item, call, skip, given))
    return false;
  for (size_t i = 0; i < item->params.len; i++) {
    const AstParam *param = &item->params.at[i];
    Entry entry = {.name = param->name, .kind = ENTRY_VALUE, .loc = param->loc};
    if (given[i] != MAP_NONE) {
      entry.value = args[given[i]];
    } else if (param->init) {
      entry.value = eval(b, callee_env, param->init);
    } else {
      build_error(b, call->loc, "%s '%s' needs '%s'", kind_name(item), item->name, param->name);
      return false;
    }
    define_named(b, callee_env, entry);
  }
  return true;
}

/* ---- bodies ---- */

typedef struct Result {
  Val value;
  bool any; /* a flow has set it */
} Result;

static void run_body(Builder *b, Env *env, const AstBody *body, Result *result);

/* A body between braces, after an arrow: its `in` is what flows into it. */
static Val run_stage_body(Builder *b, Env *env, const AstBody *body, Val in) {
  Env *inner = env_new(b, env, 1);
  env_define(b, inner, (Entry){.name = b->in, .kind = ENTRY_VALUE, .loc = body->loc, .value = in});
  Result result = {in, false};
  run_body(b, inner, body, &result);
  return result.value;
}

static Val run_stage_if(Builder *b, Env *env, const Ast *stage, Val chain) {
  bool truth = false;
  if (!eval_condition(b, env, stage->left, &truth))
    return val_unknown();
  const AstBody *body = truth ? stage->body : stage->otherwise;
  return body ? run_stage_body(b, env, body, chain) : chain;
}

/* As a statement: names given inside stay inside, the value of its last flow becomes the body's. */
static void run_if(Builder *b, Env *env, const Ast *ast, Result *result) {
  bool truth = false;
  if (!eval_condition(b, env, ast->left, &truth)) {
    *result = (Result){val_unknown(), true};
    return;
  }
  const AstBody *body = truth ? ast->body : ast->otherwise;
  if (body)
    run_body(b, env_new(b, env, 0), body, result);
}

static Val run_repeat(Builder *b, Env *env, const Ast *stage, Val chain) {
  Val count = eval(b, env, stage->right);
  int64_t times = 0;
  if (!eval_whole(b, stage->right, &count, "the number of repetitions", 0, MAX_REPEAT, &times))
    return val_unknown();
  const char *outer = b->frame->suffix;
  for (int64_t i = 0; i < times && !b->stop; i++) {
    b->frame->suffix = intern(b->arena, arena_printf(b->arena, "%s.%lld", outer, (long long)i));
    chain = apply(b, env, stage->left, &chain);
  }
  b->frame->suffix = outer;
  return chain;
}

static void run_let(Builder *b, Env *env, const Ast *stage, Val chain) {
  Entry entry = {.name = stage->name, .kind = ENTRY_VALUE, .loc = stage->name_loc, .value = chain};
  entry.use = use_record(b, stage, "value", "unused-let", stage->name, stage->name_loc);
  define_named(b, env, entry);
  /* A value keeps the first name it gets. */
  if (chain.kind == VAL_TENSOR && !chain.tensor->name)
    chain.tensor->name = intern(b->arena, stage->name);
}

static int64_t channels_of(const Tensor *tensor) {
  return tensor->shape.dims[tensor->shape.rank - 1];
}

static void take_labels(Builder *b, const AstArg *arg, const Val *val, NetworkOutput *output) {
  int64_t channels = channels_of(output->tensor);
  if (val->kind == VAL_STRING && *val->text) {
    output->labels_file = val->text;
    return;
  }
  bool fine = val->kind == VAL_LIST && val->n > 0;
  for (size_t i = 0; fine && i < val->n; i++)
    fine = val->items[i].kind == VAL_STRING;
  if (!fine) {
    build_error(b, arg->value->loc, "'labels' must be the name of a file or a list of strings");
    return;
  }
  if ((int64_t)val->n != channels)
    build_error(b, arg->value->loc, "there are %zu labels for %lld channels", val->n,
                (long long)channels);
  for (size_t i = 0; i < val->n; i++)
    VEC_PUSH(b->arena, output->labels, val->items[i].text);
}

static void take_output_args(Builder *b, Env *env, const Ast *stage, NetworkOutput *output) {
  for (size_t i = 0; i < stage->args.len; i++) {
    const AstArg *arg = &stage->args.at[i];
    Val val = eval(b, env, arg->value);
    if (!arg->name || strcmp(arg->name, "labels") != 0)
      build_error(b, arg->name ? arg->name_loc : arg->value->loc,
                  "an output has no such attribute; it has labels, as in 'labels = \"labels.txt\"'");
    else if (output->labels_file || output->labels.len)
      build_error(b, arg->name_loc, "'labels' is given twice");
    else if (val.kind != VAL_UNKNOWN)
      take_labels(b, arg, &val, output);
  }
}

static void run_output(Builder *b, Env *env, const Ast *stage, Val chain) {
  Network *network = b->network;
  b->outputs_named++;
  const char *name = intern(b->arena, stage->name);
  size_t before = map_get(&b->outputs, name);
  if (before != MAP_NONE) {
    if (build_error(b, stage->name_loc, "there are two outputs '%s'", name))
      diag_note(b->diag, network->outputs.at[before].loc, "the first is here");
    return;
  }
  if (map_get(&b->inputs, name) != MAP_NONE) {
    build_error(b, stage->name_loc, "'%s' is an input; choose another name for the output", name);
    return;
  }
  if (chain.kind != VAL_TENSOR)
    return;
  if (chain.tensor->shape.elem == ELEM_U8) {
    build_error(b, stage->name_loc, "an output is f32 or i32, not %s",
                shape_text(b->arena, &chain.tensor->shape));
    return;
  }
  NetworkOutput output = {.name = name, .tensor = chain.tensor, .loc = stage->name_loc};
  take_output_args(b, env, stage, &output);
  map_put(b->arena, &b->outputs, name, network->outputs.len);
  VEC_PUSH(b->arena, network->outputs, output);
}

static Val run_stage(Builder *b, Env *env, const Ast *stage, Val chain) {
  switch (stage->kind) {
  case AST_NAME:
  case AST_APPLY:
    return apply(b, env, stage, &chain);
  case AST_REPEAT:
    return run_repeat(b, env, stage, chain);
  case AST_LET:
    run_let(b, env, stage, chain);
    return chain;
  case AST_OUTPUT:
    run_output(b, env, stage, chain);
    return chain;
  case AST_IF:
    return run_stage_if(b, env, stage, chain);
  case AST_BODY:
    return run_stage_body(b, env, stage->body, chain);
  case AST_NUMBER:
  case AST_KERNEL:
  case AST_STRING:
  case AST_LIST:
  case AST_UNARY:
  case AST_BINARY:
  case AST_FLOW:
    build_error(b, stage->loc, "an arrow leads to an operator, a block, 'let' or 'output'");
    return val_unknown();
  }
  return val_unknown();
}

/* The head of a flow: a bare name that is no value is an application. */
static Val eval_head(Builder *b, Env *env, const Ast *head) {
  if (head->kind != AST_NAME)
    return eval(b, env, head);
  const Entry *entry = env_find(b, env, head->name);
  if (entry ? entry->kind == ENTRY_VALUE : !op_find(head->name))
    return eval(b, env, head);
  return apply(b, env, head, NULL);
}

Val eval_flow(Builder *b, Env *env, const Ast *flow) {
  Val chain = eval_head(b, env, flow->left);
  if (chain.kind != VAL_TENSOR && chain.kind != VAL_UNKNOWN) {
    build_error(b, flow->left->loc, "a flow starts with a tensor, not with %s",
                val_kind_text(&chain));
    chain = val_unknown();
  }
  for (size_t i = 0; i < flow->stages.len && !b->stop; i++)
    chain = run_stage(b, env, flow->stages.at[i], chain);
  return chain;
}

static void run_flow(Builder *b, Env *env, const Ast *value, Result *result) {
  if (value->kind == AST_IF) {
    run_if(b, env, value, result);
    return;
  }
  Val val = value->kind == AST_FLOW ? eval_flow(b, env, value) : eval_head(b, env, value);
  if (val.kind != VAL_TENSOR && val.kind != VAL_UNKNOWN) {
    build_error(b, value->loc, "%s is no flow; a flow starts with a tensor", val_kind_text(&val));
    val = val_unknown();
  }
  *result = (Result){val, true};
  /* In the network a value that gets no name is lost. */
  if (env == b->network_env && val.kind == VAL_TENSOR) {
    const Ast *last = value->kind == AST_FLOW ? value->stages.at[value->stages.len - 1] : value;
    if (last->kind != AST_LET && last->kind != AST_OUTPUT && last->kind != AST_IF &&
        last->kind != AST_BODY && !b->options->no_warnings)
      diag_warning(b->diag, "unused-result", last->loc,
                   "the result of this flow is not used; end it with '-> output NAME' or "
                   "'-> let NAME'");
  }
}

/* ---- inputs and weights ---- */

static bool input_elem(Builder *b, const AstItem *item, Elem *elem) {
  static const char *const names[] = {"f32", "u8"};
  static const Elem elems[] = {ELEM_F32, ELEM_U8};
  for (int i = 0; i < 2; i++)
    if (strcmp(item->type_name, names[i]) == 0) {
      *elem = elems[i];
      return true;
    }
  const char *near = nearest_word(item->type_name, names, 2);
  build_error(b, item->type_loc, "inputs of type '%.200s' are not supported; %s%s%s",
              item->type_name, near ? "did you mean '" : "there are f32 and u8", near ? near : "",
              near ? "'?" : "");
  return false;
}

/* (mean = .., scale = ..): the operator that they stand for, applied to the input. */
static Val normalized(Builder *b, Env *env, const AstItem *item, Val input) {
  Ast *callee = ARENA_NEW(b->arena, Ast);
  *callee = (Ast){.kind = AST_APPLY,
                  .loc = item->loc,
                  .name_loc = item->name_loc,
                  .name = op_input_def()->name,
                  .args = item->value->args,
                  .has_args = true};
  return apply(b, env, callee, &input);
}

static void check_resolution(Builder *b, const AstItem *item, const Shape *shape) {
  if (b->options->resolution && !b->network->inputs.len && b->rho &&
      (shape->dims[0] != b->options->resolution || shape->dims[1] != b->options->resolution))
    build_error(b, item->loc,
                "--resolution %lld gives an input of %lld x %lld: it is not in proportion to 'rho'",
                (long long)b->options->resolution, (long long)shape->dims[0],
                (long long)shape->dims[1]);
}

static void run_input(Builder *b, Env *env, const AstItem *item) {
  Network *network = b->network;
  Val val = val_unknown();
  Shape shape = {.rank = (int)item->dims.len};
  bool fine = input_elem(b, item, &shape.elem);
  if (item->dims.len > SHAPE_MAX_RANK || !item->dims.len) {
    build_error(b, item->loc, "an input has 1 to %d dimensions: [height, width, channels]",
                SHAPE_MAX_RANK);
    fine = false;
  } else {
    int64_t elems = 1;
    for (size_t i = 0; i < item->dims.len; i++) {
      Val dim = eval(b, env, item->dims.at[i]);
      if (!eval_whole(b, item->dims.at[i], &dim, "dimension", 1, INT32_MAX, &shape.dims[i]))
        fine = false;
      else if (__builtin_mul_overflow(elems, shape.dims[i], &elems) || elems > INT32_MAX) {
        build_error(b, item->loc, "input '%s' has more than 2147483647 elements", item->name);
        fine = false;
        elems = 1;
      }
    }
  }
  if (fine && shape.rank == 3 && shape.dims[0] > MAX_ROWS) {
    build_error(b, item->loc, "input '%s' has more than %d rows", item->name, MAX_ROWS);
    fine = false;
  }
  if (fine) {
    check_resolution(b, item, &shape);
    Tensor *tensor = ARENA_NEW(b->arena, Tensor);
    *tensor = (Tensor){.name = intern(b->arena, item->name), .shape = shape, .loc = item->name_loc};
    map_put(b->arena, &b->inputs, tensor->name, network->inputs.len);
    VEC_PUSH(b->arena, network->inputs, tensor);
    val = (Val){.kind = VAL_TENSOR, .tensor = tensor};
    if (item->value)
      val = normalized(b, env, item, val);
  }
  Entry entry = {.name = item->name, .kind = ENTRY_VALUE, .loc = item->name_loc, .value = val};
  entry.use = use_record(b, item, "input", "unused-input", item->name, item->name_loc);
  define_named(b, env, entry);
}

static void run_item(Builder *b, Env *env, const AstItem *item, Result *result) {
  switch (item->kind) {
  case ITEM_INPUT:
    if (env == b->network_env)
      run_input(b, env, item);
    else
      build_error(b, item->loc, "inputs are declared in the network itself");
    return;
  case ITEM_WEIGHTS:
    if (env != b->network_env)
      build_error(b, item->loc, "the weights file is named in the network itself");
    else if (b->network->weights_file)
      build_error(b, item->loc, "the weights file is already named");
    else if (!*item->name)
      build_error(b, item->loc, "the weights file has an empty name");
    else
      b->network->weights_file = item->name;
    return;
  case ITEM_FLOW:
    if (item->value)
      run_flow(b, env, item->value, result);
    return;
  case ITEM_INCLUDE:
  case ITEM_DEFAULT:
  case ITEM_FN:
  case ITEM_BLOCK:
  case ITEM_NETWORK:
    return;
  }
}

static void run_body(Builder *b, Env *env, const AstBody *body, Result *result) {
  if (build_enter(b, body->loc)) {
    if (env != b->network_env) /* there it is done before the parameters */
      for (size_t i = 0; i < body->items.len; i++)
        declare(b, env, body->items.at[i]);
    for (size_t i = 0; i < body->items.len && !b->stop; i++)
      run_item(b, env, body->items.at[i], result);
  }
  build_leave(b);
}

/* ---- blocks ---- */

static bool applies_itself(const Builder *b, const AstItem *item) {
  for (const Frame *frame = b->frame; frame; frame = frame->up)
    if (frame->item == item)
      return true;
  return false;
}

/* The path of the layers in a block: name = "…", or what its place gives. */
static const char *block_path(Builder *b, const AstItem *item, const Ast *callee, const Val *args) {
  for (size_t i = 0; i < callee->args.len; i++) {
    const AstArg *arg = &callee->args.at[i];
    if (!arg->name || strcmp(arg->name, "name") != 0 || find_param(item, "name") != MAP_NONE)
      continue;
    const char *problem = args[i].kind == VAL_STRING ? path_problem(args[i].text) : NULL;
    if (args[i].kind == VAL_STRING && !problem)
      return arena_printf(b->arena, "%s%s", args[i].text, b->frame->suffix);
    if (problem)
      build_error(b, arg->value->loc, "'name' cannot be used: %s", problem);
    else if (args[i].kind != VAL_UNKNOWN)
      build_error(b, arg->value->loc, "'name' must be a string, not %s", val_kind_text(&args[i]));
  }
  return callee_path(b, callee, item->name);
}

Val apply_block(Builder *b, const Entry *entry, const Ast *callee, Val input, const Val *args,
                size_t skip) {
  const AstItem *item = entry->item;
  if (applies_itself(b, item)) {
    build_error(b, callee->loc, "block '%s' applies itself", item->name);
    return val_unknown();
  }
  if (b->calls >= MAX_CALLS) {
    build_error(b, callee->loc, "blocks are nested more than %d deep", MAX_CALLS);
    b->stop = true;
    return val_unknown();
  }
  Frame frame = {.up = b->frame, .item = item, .applied = callee->loc, .suffix = ""};
  frame.prefix = arena_printf(b->arena, "%s.", block_path(b, item, callee, args));
  frame.info = body_info(b, item);
  Env *env = env_new(b, entry->env, item->params.len + 1);
  env_define(b, env,
             (Entry){.name = b->in, .kind = ENTRY_VALUE, .loc = callee->loc, .value = input});
  if (!bind_params(b, env, item, callee, args, skip))
    return val_unknown();
  Result result = {input, false};
  b->frame = &frame;
  b->calls++;
  run_body(b, env, item->body, &result);
  b->calls--;
  b->frame = frame.up;
  return result.value;
}

/* ---- the network's parameters ---- */

static Binding *find_binding(const Builder *b, const char *name) {
  for (size_t i = 0; i < b->options->n_bindings; i++)
    if (strcmp(b->options->bindings[i].name, name) == 0)
      return &b->options->bindings[i];
  return NULL;
}

static const char *param_list(Builder *b, const AstItem *item) {
  const char *list = "";
  for (size_t i = 0; i < item->params.len; i++)
    list = arena_printf(b->arena, "%s%s%s", list, i ? ", " : "", item->params.at[i].name);
  return list;
}

/* The network's declarations and parameters. */
static Env *bind_network(Builder *b, const AstItem *item) {
  Env *env = env_new(b, b->file_env, 0);
  for (size_t i = 0; i < item->body->items.len; i++)
    declare(b, env, item->body->items.at[i]);
  for (size_t i = 0; i < item->params.len; i++) {
    const AstParam *param = &item->params.at[i];
    const char *name = intern(b->arena, param->name);
    Binding *binding = find_binding(b, name);
    Val val = val_unknown();
    if (b->rho == name) {
      val = val_number(b->rho_value);
    } else if (binding) {
      binding->used = true;
      val = val_number(binding->value);
    } else if (param->init) {
      val = eval(b, env, param->init);
    } else {
      build_error(b, param->loc, "parameter '%s' has no default: give it a value with -D %s=...",
                  name, name);
    }
    if (val.kind == VAL_NUMBER) {
      val.varies = true;
      val.parameter = name;
      val.factor = rational_int(1);
    }
    define_named(b, env,
                 (Entry){.name = name, .kind = ENTRY_VALUE, .loc = param->loc, .value = val});
  }
  return env;
}

static const AstItem *first_input(const AstItem *item) {
  for (size_t i = 0; i < item->body->items.len; i++)
    if (item->body->items.at[i]->kind == ITEM_INPUT)
      return item->body->items.at[i];
  return NULL;
}

/* --resolution R: rho = R / height of the first input at rho = 1. */
static void resolve_resolution(Builder *b, const AstItem *item) {
  long long resolution = (long long)b->options->resolution;
  const char *rho = intern(b->arena, "rho");
  if (!resolution)
    return;
  if (find_param(item, rho) == MAP_NONE) {
    build_error(b, item->name_loc,
                "--resolution %lld sets 'rho', but network '%s' has no such parameter", resolution,
                item->name);
    return;
  }
  if (find_binding(b, rho)) {
    build_error(b, item->name_loc, "'%s' and --resolution %lld both set 'rho'",
                find_binding(b, rho)->option, resolution);
    return;
  }
  const AstItem *input = first_input(item);
  if (!input)
    return; /* is said later */
  if (input->dims.len < 2) {
    build_error(b, input->loc, "--resolution %lld needs an input with a height and a width",
                resolution);
    return;
  }
  b->rho = rho;
  b->rho_value = rational_int(1);
  b->quiet = true;
  Env *env = bind_network(b, item);
  Val height = eval(b, env, input->dims.at[0]), width = eval(b, env, input->dims.at[1]);
  b->quiet = false;
  b->stop = false;
  b->rho = NULL;
  if (height.kind != VAL_NUMBER || width.kind != VAL_NUMBER || height.number.num <= 0)
    return;
  if (rational_cmp(height.number, width.number) != 0) {
    build_error(b, input->loc, "--resolution %lld needs a square input, but this one is %s x %s",
                resolution, rational_text(b->arena, height.number),
                rational_text(b->arena, width.number));
    return;
  }
  bool ok = true;
  Rational value = rational_div(rational_int(resolution), height.number, &ok);
  if (!ok)
    return;
  b->rho = rho;
  b->rho_value = value;
}

static void check_bindings(Builder *b, const AstItem *item) {
  for (size_t i = 0; i < b->options->n_bindings; i++) {
    const Binding *binding = &b->options->bindings[i];
    if (find_param(item, binding->name) != MAP_NONE)
      continue;
    b->errors++;
    diag_error(b->diag, item->name_loc, "network '%s' has no parameter '%s', which '%s' sets%s",
               item->name, binding->name, binding->option,
               param_suggestion(b, item, binding->name));
    if (item->params.len)
      diag_note(b->diag, item->name_loc, "its parameters are %s", param_list(b, item));
  }
}

/* ---- the whole ---- */

static void check_ends(Builder *b, const AstItem *item) {
  if (!first_input(item))
    build_error(b, item->name_loc,
                "network '%s' has no input; declare one, as in 'input image: f32[224, 224, 3];'",
                item->name);
  else if (!b->outputs_named && !b->stop)
    build_error(b, item->name_loc, "network '%s' has no output; end a flow with '-> output NAME'",
                item->name);
  for (size_t i = 0; i < b->uses.len && !b->errors && !b->options->no_warnings; i++)
    if (!b->uses.at[i].used)
      diag_warning(b->diag, b->uses.at[i].warning, b->uses.at[i].loc, "%s '%s' is never used",
                   b->uses.at[i].what, b->uses.at[i].name);
}

Network *network_build(Arena *arena, Diag *diag, const AstFile *file,
                       const NetworkOptions *options) {
  const AstItem *item = file->network;
  if (!item) {
    if (!diag->errors)
      diag_error(diag, (Loc){.source = file->source}, "there is no network in this file");
    return NULL;
  }
  Builder builder = {.arena = arena, .diag = diag, .file = file, .options = options};
  Builder *b = &builder;
  Frame frame = {.item = item, .prefix = "", .suffix = ""};
  int errors = diag->errors;
  b->in = intern(arena, "in");
  b->network = ARENA_NEW(arena, Network);
  *b->network = (Network){.arena = arena, .name = intern(arena, item->name), .loc = item->name_loc};
  b->frame = &frame;
  void (*context)(Diag *, void *) = diag->context;
  void *context_user = diag->context_user;
  diag->context = explain_frames;
  diag->context_user = b;

  b->file_env = file_env(b, file);
  check_bindings(b, item);
  resolve_resolution(b, item);
  frame.info = body_info(b, item);
  Env *env = bind_network(b, item);
  b->network_env = env;
  Result result = {val_unknown(), false};
  if (b->errors == 0 || !b->stop)
    run_body(b, env, item->body, &result);
  check_ends(b, item);

  diag->context = context;
  diag->context_user = context_user;
  if (diag->errors != errors || b->errors)
    return NULL;
  name_tensors(b);
  return b->network;
}
