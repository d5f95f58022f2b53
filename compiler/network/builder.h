/* Inside network_build: values, environments and what the parts share.
 *
 * build.c  parameters, bodies, flows, blocks
 * expr.c   expressions and functions
 * apply.c  operators applied: arguments, attributes, shapes, layers
 * defaults.c  what `default` declares
 * names.c  ordinals, paths, tensor names, "did you mean" */
#ifndef MNCC_NETWORK_BUILDER_H
#define MNCC_NETWORK_BUILDER_H

#include "network/network.h"

enum {
  MAX_DEPTH = 1500,            /* nested evaluations: keeps the C stack small */
  MAX_CALLS = 200,             /* nested functions and blocks */
  MAX_STEPS = 1000 * 1000,     /* evaluations in all: a wrong recursion ends */
  MAX_PATH = 2000,             /* characters of a layer's path */
  MAX_REPEAT = 10000,
  MAX_LAYERS = 100000,
  MAX_ROWS = 1 << 20, /* of a feature map: its row schedule has a step for each */
  MAX_ERRORS = 100 /* then building stops: more would help nobody */
};

/* ---- a map from addresses (interned names, AST nodes) to numbers ---- */

typedef struct Map {
  const void **keys;
  size_t *values;
  size_t len, cap;
} Map;

#define MAP_NONE ((size_t)-1)
size_t map_get(const Map *map, const void *key); /* MAP_NONE: absent */
void map_put(Arena *arena, Map *map, const void *key, size_t value);

/* ---- values ---- */

typedef enum ValKind {
  VAL_UNKNOWN, /* after an error: silences what follows from it */
  VAL_NUMBER,
  VAL_BOOL,
  VAL_WORD, /* same, valid: text */
  VAL_KERNEL,
  VAL_STRING,
  VAL_LIST,
  VAL_TENSOR
} ValKind;

typedef struct Val Val;
struct Val {
  ValKind kind;
  Rational number;
  /* NUMBER: how it follows from the network's parameters: not at all, as
   * factor * parameter, or somehow (varies, no parameter). */
  bool varies;
  const char *parameter;
  Rational factor;
  bool truth;
  int64_t kernel[2];
  const char *text;
  const Val *items;
  size_t n;
  Tensor *tensor;
};

Val val_unknown(void);
Val val_number(Rational number);
const char *val_kind_text(const Val *val); /* "a number" */

/* ---- environments ---- */

typedef enum EntryKind { ENTRY_VALUE, ENTRY_FN, ENTRY_BLOCK } EntryKind;

typedef struct Env Env;
typedef struct Entry {
  const char *name;
  EntryKind kind;
  Loc loc;
  Val value;           /* VALUE */
  size_t use;          /* VALUE: 1 + index into Builder.uses; 0: nobody asks */
  const AstItem *item; /* FN, BLOCK */
  Env *env;            /* FN, BLOCK: where it was declared */
} Entry;

/* An attribute's value where an application gives none. */
typedef struct Default {
  const OpDef *op;
  int attr;
  const AstArg *arg;
} Default;

struct Env {
  Env *up;
  Map index; /* of the entries, once there are more than a few */
  VEC(Entry) entries;
  VEC(Default) defaults;
};

/* How often each callee is named in a body, branches included. */
typedef struct BodyInfo {
  Map ordinals; /* Ast * -> ordinal among equal callees */
  Map totals;   /* name -> count */
  Map values;   /* names that are values in this body: no callees */
} BodyInfo;

/* A block (or function) being expanded, or the network itself. */
typedef struct Frame Frame;
struct Frame {
  Frame *up;
  const AstItem *item;
  Loc applied;
  const char *prefix; /* of paths: "" or "separable7.2." */
  const char *suffix; /* of paths, inside a repetition: ".2" */
  BodyInfo *info;
  size_t extra; /* tensor arithmetic that has no ordinal */
};

/* A named value that should be used somewhere. */
typedef struct Use {
  const char *name;
  const char *what;    /* "value", "input" */
  const char *warning; /* what -W calls it */
  Loc loc;
  bool used;
} Use;

typedef struct Builder {
  Arena *arena;
  Diag *diag;
  const AstFile *file;
  const NetworkOptions *options;
  Network *network;
  Env *file_env, *network_env;
  Frame *frame;
  const char *in;  /* the interned name */
  const char *rho; /* set by --resolution: the parameter's name */
  Rational rho_value;

  bool quiet, quiet_failed; /* evaluate without messages */
  bool stop;                /* too much is wrong to go on */
  int in_function, calls, depth;
  int64_t steps;
  int errors;
  size_t outputs_named;
  size_t defaults; /* declared anywhere: mostly none */

  Map reported; /* places of errors: one error a place */
  Map paths;    /* path -> index of the layer */
  Map outputs;  /* name -> index of the output */
  Map inputs;   /* name -> index of the input */
  Map infos;    /* AstBody * -> index into info */
  VEC(BodyInfo *) info;
  Map file_envs; /* AstFile * -> index into envs */
  VEC(Env *) envs;
  Map use_index; /* AST node or item -> index into uses */
  VEC(Use) uses;
} Builder;

/* False if nothing was printed (quiet, or an error at this place before): print no notes then. */
bool build_error(Builder *b, Loc loc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Counts depth and steps. False after an error: give up. build_leave in any case. */
bool build_enter(Builder *b, Loc loc);
void build_leave(Builder *b);

Env *env_new(Builder *b, Env *up, size_t expected);
const Entry *env_find(Builder *b, const Env *env, const char *name); /* innermost first */
/* An error if the name is taken in this very environment. */
void env_define(Builder *b, Env *env, Entry entry);
/* Marks what the entry holds as used and returns it. */
Val entry_use(Builder *b, const Entry *entry);
/* The index + 1 of the record of a named value that should be used. */
size_t use_record(Builder *b, const void *node, const char *what, const char *warning,
                  const char *name, Loc loc);

/* ---- build.c ---- */

/* Head and stages of an AST_FLOW, or a single head application. */
Val eval_flow(Builder *b, Env *env, const Ast *flow);
/* Applies the block that `entry` declares to `input`; `args` are callee's arguments evaluated, of
 * which the first `skip` are not meant for its parameters. */
Val apply_block(Builder *b, const Entry *entry, const Ast *callee, Val input, const Val *args,
                size_t skip);
/* Defines the parameters of a function or block in `callee_env` from evaluated arguments,
 * of which the first `skip` are not meant. False after an error. */
bool bind_params(Builder *b, Env *callee_env, const AstItem *item, const Ast *call, const Val *args,
                 size_t skip);

/* ---- expr.c ---- */

/* In value position: a number, a tensor, a list, … */
Val eval(Builder *b, Env *env, const Ast *ast);
/* Evaluates to a whole number in min..max; `what` for messages ("dimension", "'channels' of
 * 'conv'"). */
bool eval_whole(Builder *b, const Ast *ast, const Val *val, const char *what, int64_t min,
                int64_t max, int64_t *result);
/* True, false, or an error (false returned). */
bool eval_condition(Builder *b, Env *env, const Ast *ast, bool *truth);
bool is_word(const char *name);
bool is_builtin(const char *name);
void add_builtin_names(const char **names, size_t *n, size_t cap);
void add_words(const char **names, size_t *n, size_t cap);

/* ---- apply.c ---- */

/* Applies operator, block or function `callee` (AST_NAME or AST_APPLY) to `chain`; null: it is the
 * head of a flow, whose tensors are its arguments or else `in`. */
Val apply(Builder *b, Env *env, const Ast *callee, const Val *chain);
/* Arithmetic on tensors: the operator that stands behind a sign. */
const char *tensor_operator(AstOp op); /* null: none */
Val apply_arithmetic(Builder *b, const Ast *ast, const Val *left, const Val *right);

/* What makes a name = "..." unusable, or null. */
const char *path_problem(const char *path);

/* ---- defaults.c ---- */

/* Takes what `item` declares into `env`. */
void declare_defaults(Builder *b, Env *env, const AstItem *item);
/* The innermost default, and where it was declared; or null. */
const Default *default_find(const Builder *b, Env *env, const OpDef *op, int attr, Env **declared);

/* ---- names.c ---- */

BodyInfo *body_info(Builder *b, const AstItem *owner);
/* The path of a callee here: prefix, name and ordinal, repetition. */
const char *callee_path(Builder *b, const Ast *node, const char *name);
/* "; did you mean 'x'?" or "". The word may be an operator, block, function or value. */
const char *suggestion(Builder *b, const Env *env, const char *word, bool callees, bool values);
/* Every tensor gets its final, unique name. */
void name_tensors(Builder *b);

#endif
