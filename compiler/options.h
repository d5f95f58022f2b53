/* The command line, parsed.
 *
 * options.c holds one table of all options; --help is printed from it and
 * parsing only fills this struct. What the values mean (does the file exist,
 * is there such a pass or target) is for those who use them. */
#ifndef MNCC_OPTIONS_H
#define MNCC_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "network/network.h"
#include "support/arena.h"
#include "support/diag.h"
#include "support/vec.h"
#include "support/writer.h"

/* Exit statuses. */
enum { EXIT_FINE = 0, EXIT_USER = 1, EXIT_USAGE = 2, EXIT_IO = 3, EXIT_INTERNAL = 70 };

typedef enum Verb { VERB_COMPILE, VERB_COST, VERB_RUN, VERB_BENCH, VERB_VERIFY, VERB_TUNE, VERB_FMT, VERB_COUNT } Verb;

/* What --emit asks for. */
typedef enum Emit {
  EMIT_DEFAULT, /* not said: options_emit decides by -o's suffix */
  EMIT_TOKENS,
  EMIT_AST,
  EMIT_NETWORK,
  EMIT_GRAPH,
  EMIT_REGIONS,
  EMIT_LOOPS,
  EMIT_PLAN,
  EMIT_C,
  EMIT_LLVM,
  EMIT_BC,
  EMIT_ASM,
  EMIT_OBJ,
  EMIT_DOT,
  EMIT_PYTORCH
} Emit;
const char *emit_name(Emit emit); /* "tokens"; "" for the default */

/* --completion. */
typedef enum Shell { SHELL_NONE, SHELL_BASH, SHELL_ZSH, SHELL_FISH } Shell;

/* --highlighting. */
typedef enum Editor { EDITOR_NONE, EDITOR_VIM, EDITOR_TEXTMATE } Editor;

typedef enum Format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV } Format;

/* How a picture is brought to another aspect ratio. */
typedef enum Fit {
  FIT_CROP,    /* what does not fit is cut off, alike on both sides */
  FIT_STRETCH,
  FIT_PAD      /* black beside it */
} Fit;

typedef enum WeightsAs { WEIGHTS_AS_CONSTANTS, WEIGHTS_AS_BLOB } WeightsAs;

/* The values given to one network parameter; more than one only for `cost`. */
typedef struct ParameterValues {
  const char *name;   /* interned */
  const char *option; /* as given: "--alpha 1,3/4" */
  size_t n;
  Rational *values;
  const char **texts; /* each value as given */
} ParameterValues;

typedef VEC(const char *) Strings;
typedef VEC(Rational) Numbers;

typedef struct Options {
  Arena *arena;
  Verb verb;
  Strings inputs;     /* compile, fmt: networks or loop text; none only with --help and the like */
  const char *input;  /* the first of them, or the one being compiled; "-": standard input */
  Strings run_inputs; /* run and those like it: --input FILE and further positional arguments, in order */
  const char *output; /* -o; null: not given; "-": standard output */

  Emit emit;     /* see options_emit */
  bool compile;  /* -c */
  bool syntax_only;
  bool evaluate; /* run: by the reference evaluator */
  bool in_place, check; /* fmt */
  int64_t repeat; /* run, bench, tune: how often to measure; 0: not said */
  int64_t budget; /* tune: seconds that it may take; 0: not said */

  const char *expect; /* verify: a file of tensors to compare with, or null */
  Numbers tolerance;  /* verify: none or one */
  bool no_c;          /* verify: leave C out */

  Fit fit; /* of pictures */
  Numbers image_mean, image_scale; /* --mean, --scale: one for all channels or one for each; none: the default */

  VEC(ParameterValues) parameters; /* --alpha, --rho, -D */
  VEC(int64_t) resolutions;

  const char *weights; /* a file, or null; not set with random:SEED */
  bool weights_random;
  uint64_t weights_seed;
  WeightsAs weights_as;
  bool profile; /* calls around each stage */

  const char *target;         /* a target's name or an LLVM triple; null: the default */
  const char *cpu, *features; /* -mcpu, -mattr; null: the target's */
  int optimize;               /* -O, 0..3; 2 unless said */
  const char *prefix;

  int threads; /* --threads; 1 unless said */
  bool no_fuse;
  const char *regions, *schedule; /* files */
  Strings tuned;                  /* files: one, or with a list of targets one for each at most */

  Strings print_after; /* pass names, or "all" */
  Strings skip;
  const char *stop_after;
  bool dependencies;          /* -MMD */
  bool dependency_phony;      /* -MP */
  const char *dependency_file; /* -MF; null: the output's name with .d */
  Strings dependency_targets; /* -MT; none: the output */

  int verify; /* 1, 0, or -1: the build's default */
  bool verbose;

  ColorMode color;
  bool diagnostics_json, werror;
  Strings no_warnings; /* -Wno-NAME: their names */
  Format format;

  bool list_passes, print_ops, print_ops_man, print_targets, help, version;
  Shell completion;
  Editor highlighting;
} Options;

/* Fills *options. False after errors through diag: exit with EXIT_USAGE. Sets diag's
 * colour and format as soon as it sees them. */
bool options_parse(Arena *arena, Diag *diag, int argc, char **argv, Options *options);

/* Sets how diag shows messages. */
void options_diag(const Options *options, Diag *diag);

/* The suffix of what --emit names: ".c"; of printed stages their name. */
const char *emit_suffix(Arena *arena, Emit emit);

/* What to make: --emit, else -c, else by the suffix of -o (.c .ll .bc .s .o .py .dot), else C. */
Emit options_emit(const Options *options);

/* The single values of the parameters, for network_build. (cost sweeps lists itself.) */
NetworkOptions options_network(Arena *arena, const Options *options);

/* A row of the table. */
typedef struct OptionInfo {
  const char *name;
  const char *value; /* its value's name, words apart by '|' where there are only some; null: a flag */
  const char *help;
  bool joined; /* the value follows at once */
} OptionInfo;
/* The next option that the verb takes, from row *i on; false behind the last. */
bool option_next(Verb verb, size_t *i, OptionInfo *info);
const char *verb_name(Verb verb);
const char *verb_help(Verb verb);

/* Usage and the options of a verb, from the table. */
void options_print_help(Writer *w, Verb verb);

#endif
