/* The command line as a table: one row an option. A row says how its value is
 * read (a function) and where it goes (an offset into Options), so that
 * parsing, the checks per verb, "did you mean" and --help need no list of
 * their own. */
#include "options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "support/output.h"

typedef struct Parser {
  Arena *arena;
  Diag *diag;
  Options *options;
} Parser;

typedef struct OptionDef OptionDef;
/* Reads `value` (null for flags). `given` is the option as it was spelled. False after an error. */
typedef bool OptionRead(Parser *p, const OptionDef *def, const char *given, const char *value);

struct OptionDef {
  const char *name;
  const char *value; /* its value's name in --help; null: a flag */
  const char *help;
  unsigned verbs;
  OptionRead *read;
  size_t offset;
  int constant; /* what a flag sets */
  bool joined;  /* the value may follow at once: -Dn=1, -O2 */
};

static const struct {
  const char *name, *usage, *help;
} verbs[VERB_COUNT] = {
    [VERB_COMPILE] = {"compile", "mncc NET.mn -o FILE [options]",
                      "compile a network to C, LLVM IR, assembly or an object"},
    [VERB_COST] = {"cost", "mncc cost NET.mn [options]",
                   "print multiply-accumulates, parameters and activation bytes"},
    [VERB_RUN] = {"run", "mncc run NET.mn [INPUT ...] [options]",
                  "compile in memory and run on inputs"},
    [VERB_BENCH] = {"bench", "mncc bench NET.mn [INPUT ...] [options]",
                    "measure each stage, beside the most that the machine can do"},
    [VERB_VERIFY] = {"verify", "mncc verify NET.mn [INPUT ...] [options]",
                     "compare evaluator, LLVM and C with each other, layer by layer"},
    [VERB_TUNE] = {"tune", "mncc tune NET.mn -o FILE [INPUT ...] [options]",
                   "measure on this machine which regions, rows, layouts and tiles are the fastest, for --tuned"},
    [VERB_FMT] = {"fmt", "mncc fmt FILE ... [options]",
                  "format networks; tokens and comments stay as they are"},
};

typedef struct Word {
  const char *name;
  int value;
} Word;

static const Word emit_words[] = {{"tokens", EMIT_TOKENS},
                                  {"ast", EMIT_AST},
                                  {"network", EMIT_NETWORK},
                                  {"graph", EMIT_GRAPH},
                                  {"regions", EMIT_REGIONS},
                                  {"loops", EMIT_LOOPS},
                                  {"plan", EMIT_PLAN},
                                  {"c", EMIT_C},
                                  {"llvm", EMIT_LLVM},
                                  {"bc", EMIT_BC},
                                  {"asm", EMIT_ASM},
                                  {"obj", EMIT_OBJ},
                                  {"dot", EMIT_DOT},
                                  {"pytorch", EMIT_PYTORCH},
                                  {NULL, 0}};
static const Word suffix_words[] = {{".c", EMIT_C},     {".ll", EMIT_LLVM}, {".bc", EMIT_BC},
                                    {".s", EMIT_ASM},   {".o", EMIT_OBJ},   {".py", EMIT_PYTORCH},
                                    {".dot", EMIT_DOT}, {NULL, 0}};
static const Word color_words[] = {
    {"auto", COLOR_AUTO}, {"never", COLOR_NEVER}, {"always", COLOR_ALWAYS}, {NULL, 0}};
static const Word diagnostics_words[] = {{"text", 0}, {"json", 1}, {NULL, 0}};
static const Word format_words[] = {
    {"text", FORMAT_TEXT}, {"json", FORMAT_JSON}, {"csv", FORMAT_CSV}, {NULL, 0}};
static const Word fit_words[] = {
    {"crop", FIT_CROP}, {"stretch", FIT_STRETCH}, {"pad", FIT_PAD}, {NULL, 0}};
static const Word weights_as_words[] = {
    {"constants", WEIGHTS_AS_CONSTANTS}, {"blob", WEIGHTS_AS_BLOB}, {NULL, 0}};

static const Loc nowhere = {0};

const char *emit_name(Emit emit) {
  for (const Word *word = emit_words; word->name; word++)
    if (word->value == (int)emit)
      return word->name;
  return "";
}

const char *emit_suffix(Arena *arena, Emit emit) {
  for (const Word *word = suffix_words; word->name; word++)
    if (word->value == (int)emit)
      return word->name;
  return arena_printf(arena, ".%s", emit_name(emit));
}

/* ---- readers ---- */

static void *field(Parser *p, const OptionDef *def) { return (char *)p->options + def->offset; }

static bool read_flag(Parser *p, const OptionDef *def, const char *given, const char *value) {
  (void)given;
  (void)value;
  *(bool *)field(p, def) = def->constant != 0;
  return true;
}

static bool read_int_flag(Parser *p, const OptionDef *def, const char *given, const char *value) {
  (void)given;
  (void)value;
  *(int *)field(p, def) = def->constant;
  return true;
}

static bool read_string(Parser *p, const OptionDef *def, const char *given, const char *value) {
  if (!*value) {
    diag_error(p->diag, nowhere, "option '%s' has an empty value", given);
    return false;
  }
  *(const char **)field(p, def) = value;
  return true;
}

static bool read_strings(Parser *p, const OptionDef *def, const char *given, const char *value) {
  if (!*value) {
    diag_error(p->diag, nowhere, "option '%s' has an empty value", given);
    return false;
  }
  Strings *strings = field(p, def);
  VEC_PUSH(p->arena, *strings, value);
  return true;
}

/* One of a few words; says which there are. */
static bool read_word(Parser *p, const Word *words, const char *given, const char *value,
                      int *result) {
  const char *names[24];
  size_t n = 0;
  const char *list = "";
  for (const Word *word = words; word->name; word++) {
    if (strcmp(word->name, value) == 0) {
      *result = word->value;
      return true;
    }
    names[n++] = word->name;
    list = arena_printf(p->arena, "%s%s%s", list, *list ? ", " : "", word->name);
  }
  const char *near = nearest_word(value, names, n);
  if (near)
    diag_error(p->diag, nowhere, "'%s' is no value of %s; did you mean '%s'?", value, given, near);
  else
    diag_error(p->diag, nowhere, "'%s' is no value of %s; there are %s", value, given, list);
  return false;
}

static bool read_emit(Parser *p, const OptionDef *def, const char *given, const char *value) {
  int word = 0;
  if (!read_word(p, emit_words, given, value, &word))
    return false;
  *(Emit *)field(p, def) = (Emit)word;
  return true;
}

/* -E is --emit=network. */
static bool read_expand(Parser *p, const OptionDef *def, const char *given, const char *value) {
  (void)given;
  (void)value;
  *(Emit *)field(p, def) = EMIT_NETWORK;
  return true;
}

/* -WNAME, -Wno-NAME, -Wall; -Werror is an option of its own. The last one counts. */
static bool read_warning(Parser *p, const OptionDef *def, const char *given, const char *value) {
  static const char *const names[] = {"tuned", "unused-input", "unused-let", "unused-result"};
  enum { NAMES = sizeof names / sizeof *names };
  (void)given;
  Strings *off = field(p, def);
  if (strcmp(value, "all") == 0) {
    off->len = 0;
    return true;
  }
  bool no = strncmp(value, "no-", 3) == 0;
  const char *name = no ? value + 3 : value;
  for (size_t i = 0; i < NAMES; i++) {
    if (strcmp(name, names[i]) != 0)
      continue;
    size_t n = 0;
    for (size_t k = 0; k < off->len; k++)
      if (off->at[k] != names[i])
        off->at[n++] = off->at[k];
    off->len = n;
    if (no)
      VEC_PUSH(p->arena, *off, names[i]);
    return true;
  }
  const char *near = nearest_word(name, names, NAMES);
  if (near)
    diag_error(p->diag, nowhere, "'-W%.200s' names no warning; did you mean '-W%s%s'?", value,
               no ? "no-" : "", near);
  else
    diag_error(p->diag, nowhere,
               "'-W%.200s' names no warning; there are tuned, unused-input, unused-let, unused-result",
               value);
  return false;
}

static bool read_color(Parser *p, const OptionDef *def, const char *given, const char *value) {
  int word = 0;
  if (!read_word(p, color_words, given, value, &word))
    return false;
  *(ColorMode *)field(p, def) = (ColorMode)word;
  p->diag->color = (ColorMode)word;
  return true;
}

static bool read_diagnostics(Parser *p, const OptionDef *def, const char *given,
                             const char *value) {
  int word = 0;
  if (!read_word(p, diagnostics_words, given, value, &word))
    return false;
  *(bool *)field(p, def) = p->diag->json = word != 0;
  return true;
}

static bool read_format(Parser *p, const OptionDef *def, const char *given, const char *value) {
  int word = 0;
  if (!read_word(p, format_words, given, value, &word))
    return false;
  *(Format *)field(p, def) = (Format)word;
  return true;
}

static bool read_completion(Parser *p, const OptionDef *def, const char *given, const char *value) {
  static const Word words[] = {{"bash", SHELL_BASH}, {"zsh", SHELL_ZSH}, {"fish", SHELL_FISH}, {NULL, 0}};
  int word = 0;
  if (!read_word(p, words, given, value, &word))
    return false;
  *(Shell *)field(p, def) = (Shell)word;
  return true;
}

static bool read_highlighting(Parser *p, const OptionDef *def, const char *given, const char *value) {
  static const Word words[] = {{"vim", EDITOR_VIM}, {"textmate", EDITOR_TEXTMATE}, {NULL, 0}};
  int word = 0;
  if (!read_word(p, words, given, value, &word))
    return false;
  *(Editor *)field(p, def) = (Editor)word;
  return true;
}

static bool read_weights_as(Parser *p, const OptionDef *def, const char *given, const char *value) {
  int word = 0;
  if (!read_word(p, weights_as_words, given, value, &word))
    return false;
  *(WeightsAs *)field(p, def) = (WeightsAs)word;
  return true;
}

static bool read_fit(Parser *p, const OptionDef *def, const char *given, const char *value) {
  int word = 0;
  if (!read_word(p, fit_words, given, value, &word))
    return false;
  *(Fit *)field(p, def) = (Fit)word;
  return true;
}

static bool read_level(Parser *p, const OptionDef *def, const char *given, const char *value) {
  (void)given;
  if (strlen(value) != 1 || *value < '0' || *value > '3') {
    diag_error(p->diag, nowhere, "'-O%s' is no optimisation level; there are -O0, -O1, -O2, -O3",
               value);
    return false;
  }
  *(int *)field(p, def) = *value - '0';
  return true;
}

/* A decimal number of at most 18 digits. */
static bool parse_digits(const char *text, size_t len, int64_t *value) {
  *value = 0;
  if (!len || len > 18)
    return false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9')
      return false;
    *value = *value * 10 + (text[i] - '0');
  }
  return true;
}

static bool read_weights(Parser *p, const OptionDef *def, const char *given, const char *value) {
  static const char random[] = "random:";
  Options *o = p->options;
  if (strncmp(value, random, sizeof random - 1) != 0) {
    o->weights_random = false;
    return read_string(p, def, given, value);
  }
  const char *seed = value + sizeof random - 1;
  int64_t number = 0;
  if (!parse_digits(seed, strlen(seed), &number)) {
    diag_error(p->diag, nowhere, "'%s' is no seed; write --weights random:1", seed);
    return false;
  }
  o->weights = NULL;
  o->weights_random = true;
  o->weights_seed = (uint64_t)number;
  return true;
}

static bool read_parameter(Parser *p, const char *name, const char *option, const char *text) {
  ParameterValues values = {.name = name, .option = option};
  size_t commas = 0;
  for (const char *c = text; *c; c++)
    commas += *c == ',';
  values.values = ARENA_ARRAY(p->arena, Rational, commas + 1);
  values.texts = ARENA_ARRAY(p->arena, const char *, commas + 1);
  for (const char *start = text;; start++) {
    size_t len = strcspn(start, ",");
    if (!rational_parse(start, len, &values.values[values.n])) {
      diag_error(p->diag, nowhere, "'%.*s' in '%s' is no number; write it as 3, 0.75 or 6/7",
                 (int)(len > 200 ? 200 : len), start, option);
      return false;
    }
    values.texts[values.n++] = arena_strndup(p->arena, start, len);
    start += len;
    if (!*start)
      break;
  }
  for (size_t i = 0; i < p->options->parameters.len; i++)
    if (p->options->parameters.at[i].name == name) {
      diag_error(p->diag, nowhere, "parameter '%s' is given twice: '%s' and '%s'", name,
                 p->options->parameters.at[i].option, option);
      return false;
    }
  VEC_PUSH(p->arena, p->options->parameters, values);
  return true;
}

/* --alpha X is -D alpha=X. */
static bool read_named(Parser *p, const OptionDef *def, const char *given, const char *value) {
  (void)given;
  return read_parameter(p, intern(p->arena, def->name + 2),
                        arena_printf(p->arena, "%s %s", def->name, value), value);
}

static bool read_define(Parser *p, const OptionDef *def, const char *given, const char *value) {
  (void)def;
  (void)given;
  const char *equals = strchr(value, '=');
  if (!equals || equals == value) {
    diag_error(p->diag, nowhere, "'-D %s' gives no value; write -D name=value", value);
    return false;
  }
  return read_parameter(p, intern_n(p->arena, value, (size_t)(equals - value)),
                        arena_printf(p->arena, "-D %s", value), equals + 1);
}

static bool read_resolution(Parser *p, const OptionDef *def, const char *given, const char *value) {
  (void)def;
  for (const char *start = value;; start++) {
    size_t len = strcspn(start, ",");
    int64_t number = 0;
    if (!parse_digits(start, len, &number) || number < 1 || number > INT32_MAX) {
      diag_error(p->diag, nowhere, "'%.*s' is no resolution; %s takes pixels, as in 192",
                 (int)(len > 200 ? 200 : len), start, given);
      return false;
    }
    VEC_PUSH(p->arena, p->options->resolutions, number);
    start += len;
    if (!*start)
      return true;
  }
}

/* A whole number from 1 to a billion. */
static bool read_count(Parser *p, const OptionDef *def, const char *given, const char *value) {
  int64_t number = 0;
  if (!parse_digits(value, strlen(value), &number) || number < 1 || number > 1000000000) {
    diag_error(p->diag, nowhere, "'%.200s' is no count; %s takes a whole number, as in 100", value,
               given);
    return false;
  }
  *(int64_t *)field(p, def) = number;
  return true;
}

/* Numbers apart by commas. */
static bool read_numbers(Parser *p, const OptionDef *def, const char *given, const char *value) {
  Numbers *numbers = field(p, def);
  numbers->len = 0;
  for (const char *start = value;; start++) {
    size_t len = strcspn(start, ",");
    Rational number;
    if (!rational_parse(start, len, &number)) {
      diag_error(p->diag, nowhere, "'%.*s' in '%s %.200s' is no number; write it as 3, 0.75 or 1/58",
                 (int)(len > 200 ? 200 : len), start, given, value);
      return false;
    }
    VEC_PUSH(p->arena, *numbers, number);
    start += len;
    if (!*start)
      return true;
  }
}

/* One number, not less than 0. */
static bool read_tolerance(Parser *p, const OptionDef *def, const char *given, const char *value) {
  Numbers *numbers = field(p, def);
  Rational number;
  if (!rational_parse(value, strlen(value), &number) || number.num < 0) {
    diag_error(p->diag, nowhere, "'%.200s' is no tolerance; %s takes a number such as 1e-4", value, given);
    return false;
  }
  numbers->len = 0;
  VEC_PUSH(p->arena, *numbers, number);
  return true;
}

static bool read_threads(Parser *p, const OptionDef *def, const char *given, const char *value) {
  int64_t number = 0;
  if (!parse_digits(value, strlen(value), &number) || number < 1 || number > LOOP_MAX_THREADS) {
    diag_error(p->diag, nowhere, "'%.200s' is no number of threads; %s takes 1 to %d", value, given, LOOP_MAX_THREADS);
    return false;
  }
  *(int *)field(p, def) = (int)number;
  return true;
}

/* ---- the table ---- */

enum {
  COMPILE = 1u << VERB_COMPILE,
  COST = 1u << VERB_COST,
  RUN = 1u << VERB_RUN,
  BENCH = 1u << VERB_BENCH,
  VERIFY = 1u << VERB_VERIFY,
  TUNE = 1u << VERB_TUNE,
  FMT = 1u << VERB_FMT,
  RUNS = RUN | BENCH | VERIFY | TUNE, /* they take inputs */
  ALL = COMPILE | COST | RUNS, /* they take a network */
  EVERY = ALL | FMT
};
#define AT(member) offsetof(Options, member)

static const OptionDef table[] = {
    {"-o", "FILE", "where the output goes; '-' is standard output", ALL, read_string, AT(output), 0,
     false},
    {"--output", "FILE", "the same as -o", ALL, read_string, AT(output), 0, false},
    {"-c", NULL, "make an object", COMPILE, read_flag, AT(compile), 1, false},
    {"--emit", "STAGE",
     "stop there and print: tokens, ast, network, graph, regions, loops, plan, c, llvm, bc, asm, "
     "obj, dot, pytorch",
     COMPILE, read_emit, AT(emit), 0, false},
    {"-E", NULL, "the same as --emit=network: parameters bound, blocks expanded", COMPILE,
     read_expand, AT(emit), 0, false},
    {"-fsyntax-only", NULL, "check the network and write nothing", COMPILE, read_flag,
     AT(syntax_only), 1, false},
    {"-MMD", NULL, "also write the output's dependencies, for make and ninja", COMPILE, read_flag,
     AT(dependencies), 1, false},
    {"-MF", "FILE", "where they go (default: the output's name with .d)", COMPILE, read_string,
     AT(dependency_file), 0, false},
    {"-MT", "TARGET", "what depends (default: the output)", COMPILE, read_strings,
     AT(dependency_targets), 0, false},
    {"-MP", NULL, "also an empty rule for every file, so that it may be deleted", COMPILE,
     read_flag, AT(dependency_phony), 1, false},
    {"--alpha", "X", "width multiplier: -D alpha=X (cost: a list, 1,3/4,1/2)", ALL, read_named, 0,
     0, false},
    {"--rho", "X", "resolution multiplier: -D rho=X (cost: a list)", ALL, read_named, 0, 0, false},
    {"--resolution", "R", "sets rho so that the first input is R x R (cost: a list)", ALL,
     read_resolution, 0, 0, false},
    {"-D", "NAME=X", "the value of a network parameter, exactly: 3, 0.75 or 6/7 (cost: a list)",
     ALL, read_define, 0, 0, true},
    {"--weights", "FILE|random:SEED", "safetensors file, or reproducible random numbers",
     COMPILE | RUNS, read_weights, AT(weights), 0, false},
    {"--weights-as", "constants|blob", "weights in the source, or as a separate binary", COMPILE,
     read_weights_as, AT(weights_as), 0, false},
    {"--target", "NAME,...|TRIPLE", "what the code runs on (see --print-targets); compiling: also a list, best first, for one file that chooses", COMPILE | RUNS,
     read_string, AT(target), 0, false},
    {"-mcpu", "CPU", "processor, as LLVM names it", COMPILE | RUNS, read_string, AT(cpu), 0, false},
    {"-mattr", "FEATURES", "processor features, as LLVM names them: +avx2,+fma", COMPILE | RUNS,
     read_string, AT(features), 0, false},
    {"-O", "LEVEL", "how much LLVM optimises: -O0 to -O3 (default -O2)", COMPILE | RUNS, read_level,
     AT(optimize), 0, true},
    {"--prefix", "NAME", "prefix of the generated symbols (default: the network's name)", COMPILE,
     read_string, AT(prefix), 0, false},
    {"--threads", "N", "divide the work for N threads (default 1)", COMPILE | RUNS, read_threads,
     AT(threads), 0, false},
    {"--profile", NULL, "call PREFIX_profile_begin and _end, which you define, around each stage",
     COMPILE, read_flag, AT(profile), 1, false},
    {"--no-fuse", NULL, "every operator a region of its own", COMPILE | RUNS, read_flag, AT(no_fuse),
     1, false},
    {"--regions", "FILE", "which operators run together", COMPILE | RUNS, read_string, AT(regions),
     0, false},
    {"--schedule", "FILE", "the loop transformations of each region", COMPILE | RUNS, read_string,
     AT(schedule), 0, false},
    {"--tuned", "FILE", "tiles and regions that mncc tune has measured; with a list of targets one file for each",
     COMPILE | (RUNS & ~TUNE), read_strings, AT(tuned), 0, false},
    {"--input", "FILE", "a further input", RUNS, read_strings, AT(run_inputs), 0, false},
    {"--fit", "crop|stretch|pad", "how a picture is brought to the input's aspect ratio", RUNS, read_fit,
     AT(fit), 0, false},
    {"--mean", "M", "subtracted from a picture's bytes: a number, or one a channel (default 0)", RUNS,
     read_numbers, AT(image_mean), 0, false},
    {"--scale", "S", "multiplies them then (default 1/255)", RUNS, read_numbers, AT(image_scale), 0,
     false},
    {"--repeat", "N", "run: N times more, and print what they take; bench, tune: N rounds", RUN | BENCH | TUNE, read_count,
     AT(repeat), 0, false},
    {"--budget", "SECONDS", "about how long measuring may take (default 90)", TUNE, read_count, AT(budget), 0, false},
    {"--evaluate", NULL, "run the reference evaluator instead of compiled code", RUN, read_flag,
     AT(evaluate), 1, false},
    {"--expect", "FILE", "compare with these tensors too: safetensors with layers' paths, or .npy", VERIFY,
     read_string, AT(expect), 0, false},
    {"--tolerance", "X", "how far apart, of the largest value (default 1e-4)", VERIFY, read_tolerance,
     AT(tolerance), 0, false},
    {"--no-c", NULL, "leave C and its compiler out", VERIFY, read_flag, AT(no_c), 1, false},
    {"--format", "text|json|csv", "form of the report", COST | RUN | BENCH | VERIFY, read_format, AT(format), 0,
     false},
    {"--print-after", "PASS|all", "print what a pass leaves behind", COMPILE | RUNS, read_strings,
     AT(print_after), 0, false},
    {"--stop-after", "PASS", "stop and print there", COMPILE, read_string, AT(stop_after), 0,
     false},
    {"--skip", "PASS", "leave out an optional pass", COMPILE | RUNS, read_strings, AT(skip), 0,
     false},
    {"--list-passes", NULL, "print the passes in order", COMPILE, read_flag, AT(list_passes), 1,
     false},
    {"--verify", NULL, "check every invariant after every pass", ALL, read_int_flag, AT(verify), 1,
     false},
    {"--no-verify", NULL, "do not", ALL, read_int_flag, AT(verify), 0, false},
    {"--print-ops", NULL, "print the operators and their attributes", COMPILE, read_flag,
     AT(print_ops), 1, false},
    {"--print-ops-man", NULL, "print them as the last section of the manual page mn(5)", COMPILE, read_flag,
     AT(print_ops_man), 1, false},
    {"--print-targets", NULL, "print the targets and their dot products", COMPILE, read_flag, AT(print_targets), 1, false},
    {"--completion", "bash|zsh|fish", "print what completes mncc's arguments in that shell", COMPILE, read_completion,
     AT(completion), 0, false},
    {"--highlighting", "vim|textmate", "print how that editor is to colour networks", COMPILE, read_highlighting,
     AT(highlighting), 0, false},
    {"--verbose", NULL, "say what is done, with times", ALL, read_flag, AT(verbose), 1, false},
    {"-Werror", NULL, "treat warnings as errors", ALL, read_flag, AT(werror), 1, false},
    {"-W", "NAME", "warnings on and off: -Wunused-let, -Wno-unused-let, -Wall", ALL, read_warning,
     AT(no_warnings), 0, true},
    {"-i", NULL, "format the files themselves, those that are not formatted", FMT, read_flag, AT(in_place), 1, false},
    {"--check", NULL, "only name the files that are not formatted; status 1 if there are any", FMT, read_flag, AT(check), 1,
     false},
    {"--color", "auto|never|always", "colour in messages", EVERY, read_color, AT(color), 0, false},
    {"--diagnostics", "text|json", "form of messages; json is one object a line", EVERY,
     read_diagnostics, AT(diagnostics_json), 0, false},
    {"--help", NULL, "print this", EVERY, read_flag, AT(help), 1, false},
    {"-h", NULL, "print this", EVERY, read_flag, AT(help), 1, false},
    {"--version", NULL, "print the version", EVERY, read_flag, AT(version), 1, false},
};
enum { OPTIONS = sizeof table / sizeof table[0] };

/* The row that `arg` spells; *value is what follows '=' or is joined, else null. */
static const OptionDef *find_option(const char *arg, const char **value) {
  *value = NULL;
  const char *equals = strchr(arg, '=');
  size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
  for (size_t i = 0; i < OPTIONS; i++)
    if (strlen(table[i].name) == len && strncmp(arg, table[i].name, len) == 0) {
      *value = equals ? equals + 1 : NULL;
      return &table[i];
    }
  for (size_t i = 0; i < OPTIONS; i++)
    if (table[i].joined && strncmp(arg, table[i].name, strlen(table[i].name)) == 0) {
      *value = arg + strlen(table[i].name);
      return &table[i];
    }
  return NULL;
}

static void unknown_option(Parser *p, const char *arg) {
  const char *names[OPTIONS];
  for (size_t i = 0; i < OPTIONS; i++)
    names[i] = table[i].name;
  const char *word = arena_strndup(p->arena, arg, strcspn(arg, "="));
  const char *near = nearest_word(word, names, OPTIONS);
  /* Nearer than a letter or two of a short option is no hint. */
  if (near && strlen(near) > 2)
    diag_error(p->diag, nowhere, "unknown option '%s'; did you mean '%s'?", word, near);
  else
    diag_error(p->diag, nowhere, "unknown option '%s' (mncc --help lists them)", word);
}

static const char *nearest_verb(const char *word) {
  const char *names[VERB_COUNT];
  for (size_t i = 0; i < VERB_COUNT; i++)
    names[i] = verbs[i].name;
  return nearest_word(word, names, VERB_COUNT);
}

static void check(Parser *p, const Strings *positional, const bool seen[OPTIONS]) {
  Options *o = p->options;
  for (size_t i = 0; i < OPTIONS; i++)
    if (seen[i] && !(table[i].verbs & 1u << o->verb))
      diag_error(p->diag, nowhere, "option '%s' does not apply to 'mncc %s'", table[i].name,
                 verbs[o->verb].name);
  if (o->help || o->version || o->list_passes || o->print_ops || o->print_ops_man || o->print_targets || o->completion ||
      o->highlighting)
    return;
  if (!positional->len && p->diag->errors)
    return; /* a wrong option may have been meant as the file */
  if (!positional->len) {
    diag_error(p->diag, nowhere, "no input file (usage: %s)", verbs[o->verb].usage);
    return;
  }
  o->input = positional->at[0];
  const char *near = o->verb == VERB_COMPILE ? nearest_verb(o->input) : NULL;
  if (RUNS & 1u << o->verb) {
    for (size_t i = 1; i < positional->len; i++)
      VEC_PUSH(p->arena, o->run_inputs, positional->at[i]);
  } else if (o->verb == VERB_FMT || (o->verb == VERB_COMPILE && !(near && positional->len > 1))) {
    o->inputs = *positional;
  } else if (near) {
    diag_error(p->diag, nowhere, "unexpected argument '%s'; did you mean 'mncc %s'?",
               positional->at[1], near);
  } else if (positional->len > 1) {
    diag_error(p->diag, nowhere, "unexpected argument '%s': one network at a time",
               positional->at[1]);
  }
  if ((o->dependency_file || o->dependency_targets.len || o->dependency_phony) && !o->dependencies)
    diag_error(p->diag, nowhere, "-MF, -MT and -MP say how -MMD writes dependencies, which is not given");
  if (o->in_place && o->check)
    diag_error(p->diag, nowhere, "'-i' writes files, '--check' writes none: only one of them");
  if (o->compile && o->emit != EMIT_DEFAULT && o->emit != EMIT_OBJ)
    diag_error(p->diag, nowhere, "'-c' and '--emit=%s' ask for different things",
               emit_name(o->emit));
  if (o->verb != VERB_COST) {
    for (size_t i = 0; i < o->parameters.len; i++)
      if (o->parameters.at[i].n > 1)
        diag_error(p->diag, nowhere, "'%s': only 'mncc cost' takes a list",
                   o->parameters.at[i].option);
    if (o->resolutions.len > 1)
      diag_error(p->diag, nowhere, "--resolution: only 'mncc cost' takes a list");
  }
}

/* ---- response files ---- */

enum { MAX_RESPONSE_DEPTH = 10, MAX_ARGUMENTS = 100000 };

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool add_argument(Parser *p, Strings *out, const char *arg, int depth);

/* Words apart by spaces; quotes and backslashes as a shell has them. */
static bool add_response(Parser *p, Strings *out, const char *path, int depth) {
  char *text = NULL;
  size_t len = 0;
  const char *problem =
      depth >= MAX_RESPONSE_DEPTH ? "it leads to itself" : read_file(path, &text, &len);
  if (problem) {
    diag_error(p->diag, nowhere, "cannot read '@%.200s': %s", path, problem);
    return false;
  }
  char *word = arena_alloc(p->arena, len + 1);
  bool fine = true;
  for (size_t i = 0; i < len && fine;) {
    size_t n = 0;
    char quote = 0;
    while (i < len && is_space(text[i]))
      i++;
    if (i == len)
      break;
    for (; i < len && (quote || !is_space(text[i])); i++) {
      char c = text[i];
      if (c == '\\' && quote != '\'' && i + 1 < len)
        word[n++] = text[++i];
      else if (quote ? c == quote : c == '"' || c == '\'')
        quote = quote ? 0 : c;
      else
        word[n++] = c;
    }
    fine = add_argument(p, out, arena_strndup(p->arena, word, n), depth + 1);
  }
  free(text);
  return fine;
}

static bool add_argument(Parser *p, Strings *out, const char *arg, int depth) {
  if (arg[0] == '@' && arg[1])
    return add_response(p, out, arg + 1, depth);
  if (out->len >= MAX_ARGUMENTS) {
    diag_error(p->diag, nowhere, "there are more than %d arguments", MAX_ARGUMENTS);
    return false;
  }
  VEC_PUSH(p->arena, *out, arg);
  return true;
}

bool options_parse(Arena *arena, Diag *diag, int argc, char **argv, Options *options) {
  *options = (Options){.arena = arena, .optimize = 2, .threads = 1, .verify = -1};
  Parser p = {arena, diag, options};
  Strings positional = {0};
  bool seen[OPTIONS] = {false};
  bool only_files = false, verb_possible = true;
  int errors = diag->errors;
  Strings args = {0};
  for (int i = 1; i < argc; i++)
    if (!add_argument(&p, &args, argv[i], 0))
      return false;
  for (size_t i = 0; i < args.len; i++) {
    const char *arg = args.at[i];
    if (only_files || arg[0] != '-' || !arg[1]) {
      bool is_verb = false;
      for (size_t v = VERB_COMPILE + 1; verb_possible && !only_files && v < VERB_COUNT; v++)
        if (strcmp(arg, verbs[v].name) == 0) {
          options->verb = (Verb)v;
          is_verb = true;
        }
      verb_possible = false;
      if (!is_verb)
        VEC_PUSH(arena, positional, arg);
      continue;
    }
    if (strcmp(arg, "--") == 0) {
      only_files = true;
      continue;
    }
    const char *value = NULL;
    const OptionDef *def = find_option(arg, &value);
    if (!def) {
      unknown_option(&p, arg);
      continue;
    }
    if (def->value && !value) {
      if (def->read == read_level || i + 1 >= args.len) {
        diag_error(diag, nowhere, "option '%s' needs a value: %s%s%s", def->name, def->name,
                   def->joined ? "" : " ", def->value);
        continue;
      }
      value = args.at[++i];
    } else if (!def->value && value) {
      diag_error(diag, nowhere, "option '%s' takes no value", def->name);
      continue;
    }
    if (def->read(&p, def, def->name, value))
      seen[def - table] = true;
  }
  options_diag(options, diag);
  check(&p, &positional, seen);
  return diag->errors == errors;
}

void options_diag(const Options *options, Diag *diag) {
  diag->color = options->color;
  diag->json = options->diagnostics_json;
  diag->werror = options->werror;
  diag->disabled = options->no_warnings.at;
  diag->n_disabled = options->no_warnings.len;
}

Emit options_emit(const Options *options) {
  if (options->emit != EMIT_DEFAULT)
    return options->emit;
  if (options->compile)
    return EMIT_OBJ;
  const char *dot = options->output ? strrchr(options->output, '.') : NULL;
  if (dot)
    for (const Word *word = suffix_words; word->name; word++)
      if (strcmp(dot, word->name) == 0)
        return (Emit)word->value;
  return EMIT_C;
}

NetworkOptions options_network(Arena *arena, const Options *options) {
  NetworkOptions network = {.n_bindings = options->parameters.len};
  network.bindings = ARENA_ARRAY(arena, Binding, network.n_bindings);
  for (size_t i = 0; i < network.n_bindings; i++) {
    const ParameterValues *values = &options->parameters.at[i];
    network.bindings[i] =
        (Binding){.name = values->name, .value = values->values[0], .option = values->option};
  }
  if (options->resolutions.len)
    network.resolution = options->resolutions.at[0];
  return network;
}

bool option_next(Verb verb, size_t *i, OptionInfo *info) {
  for (; *i < OPTIONS; ++*i) {
    const OptionDef *def = &table[*i];
    if (!(def->verbs & 1u << verb))
      continue;
    *info = (OptionInfo){def->name, def->value, def->help, def->joined};
    ++*i;
    return true;
  }
  return false;
}

const char *verb_name(Verb verb) { return verbs[verb].name; }
const char *verb_help(Verb verb) { return verbs[verb].help; }

void options_print_help(Writer *w, Verb verb) {
  write_f(w, "usage: %s\n", verbs[verb].usage);
  if (verb == VERB_COMPILE)
    for (size_t v = VERB_COMPILE + 1; v < VERB_COUNT; v++)
      write_f(w, "       %s\n", verbs[v].usage);
  write_f(w, "\n%s\n\noptions:\n", verbs[verb].help);
  for (size_t i = 0; i < OPTIONS; i++) {
    const OptionDef *def = &table[i];
    if (!(def->verbs & 1u << verb))
      continue;
    char left[64];
    size_t n = strlen(def->name);
    memcpy(left, def->name, n);
    if (def->value) {
      if (!def->joined) {
        left[n] = n > 3 ? '=' : ' ';
        n++;
      }
      size_t len = strlen(def->value);
      memcpy(left + n, def->value, len);
      n += len;
    }
    left[n] = '\0';
    if (n >= 24) /* two blanks before the help */
      write_f(w, "  %s\n  %-24s %s\n", left, "", def->help);
    else
      write_f(w, "  %-24s %s\n", left, def->help);
  }
  if (verb == VERB_COMPILE)
    write_text(w, "\n'mncc VERB --help' lists the options of the others.\n");
  write_text(w, "exit status: 0 fine, 1 wrong network or parameter value, 2 wrong option, "
                "3 input or output, 70 internal error\n");
}
