/* Expressions: exact rationals, comparisons, functions, and values that are not
 * numbers. Every number remembers whether it is a multiple of one network
 * parameter, so that a dimension that is not whole can say which values of
 * that parameter would do. */
#include "network/builder.h"

#include <string.h>

Val val_unknown(void) { return (Val){.kind = VAL_UNKNOWN}; }

Val val_number(Rational number) { return (Val){.kind = VAL_NUMBER, .number = number}; }

static Val val_bool(bool truth) { return (Val){.kind = VAL_BOOL, .truth = truth}; }

const char *val_kind_text(const Val *val) {
  switch (val->kind) {
  case VAL_UNKNOWN:
    return "nothing";
  case VAL_NUMBER:
    return "a number";
  case VAL_BOOL:
    return "true or false";
  case VAL_WORD:
    return "a word";
  case VAL_KERNEL:
    return "a kernel";
  case VAL_STRING:
    return "a string";
  case VAL_LIST:
    return "a list";
  case VAL_TENSOR:
    return "a tensor";
  }
  return "";
}

/* Words that stand for themselves where nothing else has their name. */
static const char *const words[] = {"same", "valid", "true", "false"};
enum { WORDS = sizeof words / sizeof *words };

const char *network_word(size_t i) { return i < WORDS ? words[i] : NULL; }

bool is_word(const char *name) {
  for (size_t i = 0; i < WORDS; i++)
    if (strcmp(name, words[i]) == 0)
      return true;
  return false;
}

void add_words(const char **names, size_t *n, size_t cap) {
  for (size_t i = 0; i < WORDS && *n < cap; i++)
    names[(*n)++] = words[i];
}

static Val word_value(Builder *b, const char *name) {
  if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0)
    return val_bool(name[0] == 't');
  return (Val){.kind = VAL_WORD, .text = intern(b->arena, name)};
}

/* ---- whole numbers ---- */

/* "4.5", or "170.6666... = 512/3". */
static const char *number_text(Builder *b, Rational number) {
  const char *text = rational_text(b->arena, number);
  if (!strchr(text, '/'))
    return text;
  bool ok = true;
  Rational magnitude = number.num < 0 ? rational_neg(number, &ok) : number;
  int64_t whole = rational_floor(magnitude).num;
  int64_t rest = magnitude.num - whole * magnitude.den; /* cut, not rounded: "..." follows */
  char digits[5] = {0};
  for (int i = 0; i < 4; i++) {
    int64_t next;
    if (__builtin_mul_overflow(rest, (int64_t)10, &next))
      return text;
    digits[i] = (char)('0' + next / magnitude.den);
    rest = next % magnitude.den;
  }
  return arena_printf(b->arena, "%s%lld.%s... = %s", number.num < 0 ? "-" : "", (long long)whole,
                      digits, text);
}

/* "rho = 3/4 gives 168" for the whole numbers on either side. */
static void note_values_that_work(Builder *b, const Ast *ast, const Val *val, int64_t min) {
  if (!val->parameter || val->factor.num == 0)
    return;
  const char *text = "";
  bool ok = true;
  Rational neighbours[2] = {rational_floor(val->number), rational_ceil(val->number, &ok)};
  for (int i = 0; i < 2 && ok; i++) {
    if (neighbours[i].num < min)
      continue;
    Rational value = rational_div(neighbours[i], val->factor, &ok);
    if (ok)
      text =
          arena_printf(b->arena, "%s%s%s = %lld%s gives %lld", text, *text ? ", " : "",
                       val->parameter, (long long)value.num,
                       value.den == 1 ? "" : arena_printf(b->arena, "/%lld", (long long)value.den),
                       (long long)neighbours[i].num);
  }
  if (*text)
    diag_note(b->diag, ast->loc, "%s", text);
}

bool eval_whole(Builder *b, const Ast *ast, const Val *val, const char *what, int64_t min,
                int64_t max, int64_t *result) {
  if (val->kind == VAL_UNKNOWN)
    return false;
  if (val->kind != VAL_NUMBER) {
    build_error(b, ast->loc, "%s must be a whole number, not %s", what, val_kind_text(val));
    return false;
  }
  /* "dimension '224 * rho' is …", "'channels' of 'conv': 'n * alpha' is …" */
  const char *source = "";
  if (ast->kind != AST_NUMBER && !b->quiet)
    source = arena_printf(b->arena, "%s '%.200s'", what[strlen(what) - 1] == '\'' ? ":" : "",
                          ast_expr_text(b->arena, ast));
  if (!rational_is_int(val->number)) {
    if (build_error(b, ast->loc, "%s%s is %s, not a whole number", what, source,
                    b->quiet ? "" : number_text(b, val->number)))
      note_values_that_work(b, ast, val, min);
    return false;
  }
  if (val->number.num < min) {
    build_error(b, ast->loc, "%s%s is %lld, but must be at least %lld", what, source,
                (long long)val->number.num, (long long)min);
    return false;
  }
  if (val->number.num > max) {
    build_error(b, ast->loc, "%s%s is %lld, but can be at most %lld", what, source,
                (long long)val->number.num, (long long)max);
    return false;
  }
  *result = val->number.num;
  return true;
}

bool eval_condition(Builder *b, Env *env, const Ast *ast, bool *truth) {
  Val val = eval(b, env, ast);
  if (val.kind == VAL_UNKNOWN)
    return false;
  if (val.kind != VAL_BOOL) {
    build_error(b, ast->loc, "a condition must be true or false, not %s", val_kind_text(&val));
    return false;
  }
  *truth = val.truth;
  return true;
}

/* ---- arithmetic ---- */

/* Sets how the result of a sum or product follows from the parameters. */
static void follow(Val *result, AstOp op, const Val *left, const Val *right) {
  bool ok = true;
  result->varies = left->varies || right->varies;
  if (!result->varies)
    return;
  if ((op == AST_OP_ADD || op == AST_OP_SUB) && left->parameter &&
      left->parameter == right->parameter) {
    result->parameter = left->parameter;
    result->factor = op == AST_OP_ADD ? rational_add(left->factor, right->factor, &ok)
                                      : rational_sub(left->factor, right->factor, &ok);
  } else if (op == AST_OP_MUL && !right->varies && left->parameter) {
    result->parameter = left->parameter;
    result->factor = rational_mul(left->factor, right->number, &ok);
  } else if (op == AST_OP_MUL && !left->varies && right->parameter) {
    result->parameter = right->parameter;
    result->factor = rational_mul(left->number, right->factor, &ok);
  } else if (op == AST_OP_DIV && !right->varies && left->parameter) {
    result->parameter = left->parameter;
    result->factor = rational_div(left->factor, right->number, &ok);
  }
  if (!ok)
    result->parameter = NULL;
}

static Val arithmetic(Builder *b, const Ast *ast, const Val *left, const Val *right) {
  bool ok = true;
  Rational x = left->number, y = right->number, z = {0, 1};
  switch (ast->op) {
  case AST_OP_ADD:
    z = rational_add(x, y, &ok);
    break;
  case AST_OP_SUB:
    z = rational_sub(x, y, &ok);
    break;
  case AST_OP_MUL:
    z = rational_mul(x, y, &ok);
    break;
  case AST_OP_DIV:
    if (y.num == 0) {
      build_error(b, ast->loc, "division by zero");
      return val_unknown();
    }
    z = rational_div(x, y, &ok);
    break;
  case AST_OP_LT:
    return val_bool(rational_cmp(x, y) < 0);
  case AST_OP_LE:
    return val_bool(rational_cmp(x, y) <= 0);
  case AST_OP_GT:
    return val_bool(rational_cmp(x, y) > 0);
  case AST_OP_GE:
    return val_bool(rational_cmp(x, y) >= 0);
  case AST_OP_EQ:
  case AST_OP_NE:
  case AST_OP_AND:
  case AST_OP_OR:
  case AST_OP_NEG:
  case AST_OP_NOT:
    BUG("no arithmetic: %s", ast_op_text(ast->op));
  }
  if (!ok) {
    build_error(b, ast->loc, "the result of '%s' is out of range", ast_op_text(ast->op));
    return val_unknown();
  }
  Val result = val_number(z);
  follow(&result, ast->op, left, right);
  return result;
}

/* -1: cannot be compared. */
static int equal(const Val *left, const Val *right) {
  if (left->kind != right->kind)
    return -1;
  switch (left->kind) {
  case VAL_NUMBER:
    return rational_cmp(left->number, right->number) == 0;
  case VAL_BOOL:
    return left->truth == right->truth;
  case VAL_WORD:
  case VAL_STRING:
    return strcmp(left->text, right->text) == 0;
  case VAL_KERNEL:
    return left->kernel[0] == right->kernel[0] && left->kernel[1] == right->kernel[1];
  case VAL_UNKNOWN:
  case VAL_LIST:
  case VAL_TENSOR:
    return -1;
  }
  return -1;
}

static Val eval_logic(Builder *b, Env *env, const Ast *ast) {
  bool left = false, right = false;
  if (!eval_condition(b, env, ast->left, &left))
    return val_unknown();
  if (left == (ast->op == AST_OP_OR))
    return val_bool(left);
  return eval_condition(b, env, ast->right, &right) ? val_bool(right) : val_unknown();
}

static Val eval_binary(Builder *b, Env *env, const Ast *ast) {
  if (ast->op == AST_OP_AND || ast->op == AST_OP_OR)
    return eval_logic(b, env, ast);
  Val left = eval(b, env, ast->left), right = eval(b, env, ast->right);
  if (left.kind == VAL_UNKNOWN || right.kind == VAL_UNKNOWN)
    return val_unknown();
  if (left.kind == VAL_TENSOR || right.kind == VAL_TENSOR)
    return apply_arithmetic(b, ast, &left, &right);
  if (ast->op == AST_OP_EQ || ast->op == AST_OP_NE) {
    int same = equal(&left, &right);
    if (same >= 0)
      return val_bool((same != 0) == (ast->op == AST_OP_EQ));
  } else if (left.kind == VAL_NUMBER && right.kind == VAL_NUMBER) {
    return arithmetic(b, ast, &left, &right);
  }
  build_error(b, ast->loc, "'%s' cannot stand between %s and %s", ast_op_text(ast->op),
              val_kind_text(&left), val_kind_text(&right));
  return val_unknown();
}

static Val eval_unary(Builder *b, Env *env, const Ast *ast) {
  bool truth = false, ok = true;
  if (ast->op == AST_OP_NOT)
    return eval_condition(b, env, ast->left, &truth) ? val_bool(!truth) : val_unknown();
  Val val = eval(b, env, ast->left);
  if (val.kind == VAL_UNKNOWN)
    return val;
  if (val.kind != VAL_NUMBER) {
    build_error(b, ast->loc, "'-' cannot stand before %s", val_kind_text(&val));
    return val_unknown();
  }
  Val result = val;
  result.number = rational_neg(val.number, &ok);
  result.factor = rational_neg(val.parameter ? val.factor : rational_int(0), &ok);
  if (!ok) {
    build_error(b, ast->loc, "the result of '-' is out of range");
    return val_unknown();
  }
  return result;
}

/* ---- built-in functions ---- */

typedef bool BuiltinFn(Builder *b, const Ast *call, const Val *args, size_t n, Rational *result);

static bool builtin_floor(Builder *b, const Ast *call, const Val *args, size_t n,
                          Rational *result) {
  (void)b, (void)call, (void)n;
  *result = rational_floor(args[0].number);
  return true;
}

static bool builtin_ceil(Builder *b, const Ast *call, const Val *args, size_t n, Rational *result) {
  (void)b, (void)call, (void)n;
  bool ok = true;
  *result = rational_ceil(args[0].number, &ok);
  return ok;
}

static bool builtin_round(Builder *b, const Ast *call, const Val *args, size_t n,
                          Rational *result) {
  (void)b, (void)call, (void)n;
  bool ok = true;
  *result = rational_round(args[0].number, &ok);
  return ok;
}

static bool builtin_min(Builder *b, const Ast *call, const Val *args, size_t n, Rational *result) {
  (void)b, (void)call;
  *result = args[0].number;
  for (size_t i = 1; i < n; i++)
    if (rational_cmp(args[i].number, *result) < 0)
      *result = args[i].number;
  return true;
}

static bool builtin_max(Builder *b, const Ast *call, const Val *args, size_t n, Rational *result) {
  (void)b, (void)call;
  *result = args[0].number;
  for (size_t i = 1; i < n; i++)
    if (rational_cmp(args[i].number, *result) > 0)
      *result = args[i].number;
  return true;
}

/* The multiple of d nearest to v, at least `least` (default d), and never more than a tenth below
 * v: what MobileNetV2 and V3 call make_divisible. */
static bool builtin_divisible(Builder *b, const Ast *call, const Val *args, size_t n,
                              Rational *result) {
  bool ok = true;
  Rational v = args[0].number, d = args[1].number, least = n > 2 ? args[2].number : d;
  if (d.num <= 0 || !rational_is_int(d)) {
    build_error(b, call->loc, "divisible: the divisor must be a whole number of at least 1");
    return false;
  }
  Rational half = rational_div(d, rational_int(2), &ok);
  Rational steps = rational_floor(rational_div(rational_add(v, half, &ok), d, &ok));
  Rational multiple = rational_mul(steps, d, &ok);
  if (rational_cmp(multiple, least) < 0)
    multiple = least;
  Rational nine_tenths = rational_mul(v, (Rational){9, 10}, &ok);
  if (ok && rational_cmp(multiple, nine_tenths) < 0)
    multiple = rational_add(multiple, d, &ok);
  *result = multiple;
  return ok;
}

static bool builtin_dimension(const Val *arg, int dim, Rational *result) {
  int64_t hwc[3];
  shape_hwc(&arg->tensor->shape, hwc);
  *result = rational_int(hwc[dim]);
  return true;
}

static bool builtin_height(Builder *b, const Ast *call, const Val *args, size_t n,
                           Rational *result) {
  (void)b, (void)call, (void)n;
  return builtin_dimension(args, 0, result);
}

static bool builtin_width(Builder *b, const Ast *call, const Val *args, size_t n,
                          Rational *result) {
  (void)b, (void)call, (void)n;
  return builtin_dimension(args, 1, result);
}

static bool builtin_channels(Builder *b, const Ast *call, const Val *args, size_t n,
                             Rational *result) {
  (void)b, (void)call, (void)n;
  return builtin_dimension(args, 2, result);
}

typedef struct Builtin {
  const char *name;
  size_t min_args, max_args;
  ValKind takes;
  BuiltinFn *run;
} Builtin;

static const Builtin builtins[] = {
    {"floor", 1, 1, VAL_NUMBER, builtin_floor},
    {"ceil", 1, 1, VAL_NUMBER, builtin_ceil},
    {"round", 1, 1, VAL_NUMBER, builtin_round},
    {"min", 1, 64, VAL_NUMBER, builtin_min},
    {"max", 1, 64, VAL_NUMBER, builtin_max},
    {"divisible", 2, 3, VAL_NUMBER, builtin_divisible},
    {"height", 1, 1, VAL_TENSOR, builtin_height},
    {"width", 1, 1, VAL_TENSOR, builtin_width},
    {"channels", 1, 1, VAL_TENSOR, builtin_channels},
};
enum { BUILTINS = sizeof builtins / sizeof *builtins };

const char *network_function(size_t i) { return i < BUILTINS ? builtins[i].name : NULL; }

static const Builtin *find_builtin(const char *name) {
  for (size_t i = 0; i < BUILTINS; i++)
    if (strcmp(builtins[i].name, name) == 0)
      return &builtins[i];
  return NULL;
}

bool is_builtin(const char *name) { return find_builtin(name) != NULL; }

void add_builtin_names(const char **names, size_t *n, size_t cap) {
  for (size_t i = 0; i < BUILTINS && *n < cap; i++)
    names[(*n)++] = builtins[i].name;
}

static Val call_builtin(Builder *b, Env *env, const Ast *call, const Builtin *builtin) {
  size_t n = call->args.len;
  if (n < builtin->min_args || n > builtin->max_args) {
    build_error(b, call->loc, "'%s' takes %zu argument%s, not %zu", builtin->name,
                n < builtin->min_args ? builtin->min_args : builtin->max_args,
                (n < builtin->min_args ? builtin->min_args : builtin->max_args) == 1 ? "" : "s", n);
    return val_unknown();
  }
  Val *args = ARENA_ARRAY(b->arena, Val, n);
  Val result = {.kind = VAL_NUMBER};
  bool known = true;
  for (size_t i = 0; i < n; i++) {
    const AstArg *arg = &call->args.at[i];
    args[i] = eval(b, env, arg->value);
    if (arg->name) {
      build_error(b, arg->name_loc, "'%s' takes no named arguments", builtin->name);
      known = false;
    } else if (args[i].kind != VAL_UNKNOWN && args[i].kind != builtin->takes) {
      build_error(b, arg->value->loc, "'%s' takes %s, not %s", builtin->name,
                  builtin->takes == VAL_NUMBER ? "numbers" : "a tensor", val_kind_text(&args[i]));
      known = false;
    }
    known = known && args[i].kind != VAL_UNKNOWN;
    result.varies = result.varies || args[i].varies || builtin->takes == VAL_TENSOR;
  }
  int errors = b->errors;
  if (!known)
    return val_unknown();
  if (builtin->run(b, call, args, n, &result.number))
    return result;
  if (errors == b->errors)
    build_error(b, call->loc, "the result of '%s' is out of range", builtin->name);
  return val_unknown();
}

/* ---- functions of the program ---- */

static Val call_function(Builder *b, Env *env, const Ast *call, const Entry *entry) {
  if (b->calls >= MAX_CALLS) {
    build_error(b, call->loc, "calls of '%s' are nested too deeply: does it call itself?",
                entry->name);
    b->stop = true;
    return val_unknown();
  }
  const AstItem *item = entry->item;
  size_t n = call->args.len;
  Val *args = ARENA_ARRAY(b->arena, Val, n);
  for (size_t i = 0; i < n; i++)
    args[i] = eval(b, env, call->args.at[i].value);
  Env *callee = env_new(b, entry->env, item->params.len);
  if (!bind_params(b, callee, item, call, args, 0))
    return val_unknown();
  Frame frame = {.up = b->frame, .item = item, .applied = call->loc, .prefix = "", .suffix = ""};
  b->frame = &frame;
  b->calls++;
  b->in_function++;
  Val result = eval(b, callee, item->value);
  b->in_function--;
  b->calls--;
  b->frame = frame.up;
  return result;
}

static Val eval_apply(Builder *b, Env *env, const Ast *ast) {
  const Entry *entry = env_find(b, env, ast->name);
  if (entry && entry->kind == ENTRY_FN)
    return call_function(b, env, ast, entry);
  if (!entry && !op_find(ast->name)) {
    const Builtin *builtin = find_builtin(ast->name);
    if (builtin)
      return call_builtin(b, env, ast, builtin);
  }
  return apply(b, env, ast, NULL);
}

/* ---- everything ---- */

static Val eval_name(Builder *b, Env *env, const Ast *ast) {
  const Entry *entry = env_find(b, env, ast->name);
  if (entry && entry->kind == ENTRY_VALUE)
    return entry_use(b, entry);
  if (!entry && is_word(ast->name))
    return word_value(b, ast->name);
  if (entry && entry->kind == ENTRY_BLOCK) {
    build_error(b, ast->loc, "'%s' is a block, not a value; apply it to a tensor: 'x -> %s'",
                ast->name, ast->name);
  } else if (entry) {
    build_error(b, ast->loc, "'%s' is a function; call it with its arguments: '%s(...)'", ast->name,
                ast->name);
  } else if (op_find(ast->name)) {
    build_error(b, ast->loc, "'%s' is an operator, not a value; apply it to a tensor: 'x -> %s'",
                ast->name, ast->name);
  } else if (strcmp(ast->name, "in") == 0) {
    build_error(b, ast->loc, "'in' is the input of a block; here there is none");
  } else if (build_error(b, ast->loc, "unknown name '%s'%s", ast->name,
                         suggestion(b, env, ast->name, false, true)) &&
             b->network_env && env_find(b, b->network_env, ast->name)) {
    diag_note(b->diag, env_find(b, b->network_env, ast->name)->loc,
              "what is declared in the network is not visible in a function or block outside; "
              "pass it as an argument");
  }
  return val_unknown();
}

static Val eval_list(Builder *b, Env *env, const Ast *ast) {
  Val *items = ARENA_ARRAY(b->arena, Val, ast->args.len);
  bool known = true;
  for (size_t i = 0; i < ast->args.len; i++) {
    items[i] = eval(b, env, ast->args.at[i].value);
    known = known && items[i].kind != VAL_UNKNOWN;
  }
  return known ? (Val){.kind = VAL_LIST, .items = items, .n = ast->args.len} : val_unknown();
}

static Val eval_kind(Builder *b, Env *env, const Ast *ast) {
  switch (ast->kind) {
  case AST_NUMBER:
    return val_number(ast->value);
  case AST_KERNEL:
    return (Val){.kind = VAL_KERNEL, .kernel = {ast->kernel_h, ast->kernel_w}};
  case AST_STRING:
    return (Val){.kind = VAL_STRING, .text = ast->name};
  case AST_NAME:
    return eval_name(b, env, ast);
  case AST_APPLY:
    return eval_apply(b, env, ast);
  case AST_LIST:
    return eval_list(b, env, ast);
  case AST_UNARY:
    return eval_unary(b, env, ast);
  case AST_BINARY:
    return eval_binary(b, env, ast);
  case AST_FLOW:
    return eval_flow(b, env, ast);
  case AST_REPEAT:
  case AST_LET:
  case AST_OUTPUT:
  case AST_IF:
  case AST_BODY:
    build_error(b, ast->loc, "this can only stand after an arrow");
    return val_unknown();
  }
  return val_unknown();
}

Val eval(Builder *b, Env *env, const Ast *ast) {
  Val result = val_unknown();
  if (build_enter(b, ast->loc))
    result = eval_kind(b, env, ast);
  build_leave(b);
  return result;
}
