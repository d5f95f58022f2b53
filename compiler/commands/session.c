#include "commands/session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/output.h"

static const Loc nowhere = {0};

static bool has_suffix(const char *text, const char *suffix) {
  size_t n = strlen(text), k = strlen(suffix);
  return n >= k && strcmp(text + n - k, suffix) == 0;
}

/* Reads `path` into a Source. EXIT_FINE or EXIT_IO. */
static int read_source(Session *session, const char *path, Source *source) {
  size_t len;
  char *text = NULL;
  const char *problem = read_file(path, &text, &len);
  VEC_PUSH(session->arena, session->texts, text);
  if (!problem && len > UINT32_MAX / 2)
    problem = "the file is larger than 2 GB";
  if (problem) {
    diag_error(&session->diag, nowhere, "cannot read '%s': %s", path, problem);
    return EXIT_IO;
  }
  *source = (Source){strcmp(path, "-") == 0 ? "<stdin>" : path, text, (uint32_t)len};
  return EXIT_FINE;
}

/* ---- targets ---- */

/* A target's name that `name` may have been meant for, or null. */
static const char *nearest_target(Session *session, const char *name) {
  VEC(const char *) names = {0};
  VEC_PUSH(session->arena, names, target_native(session->arena)->name);
  for (size_t i = 0; i < target_count(); i++)
    VEC_PUSH(session->arena, names, target_at(i)->name);
  return nearest_word(name, names.at, names.len);
}

static int unknown_target(Session *session, const char *name, const char *otherwise) {
  const char *near = nearest_target(session, name);
  diag_error(&session->diag, nowhere, "unknown target '%s'%s%s%s (mncc --print-targets lists them%s)", name,
             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", otherwise);
  return EXIT_USAGE;
}

/* A row of the table or an LLVM triple. */
static int find_target(Session *session, const char *name) {
  const Target *target = target_find(name), *native = target_native(session->arena);
  if (strcmp(name, native->name) == 0)
    target = native;
  if (!target && strchr(name, '-')) {
    target = target_find("generic");
    session->emit.triple = name;
  }
  if (!target)
    return unknown_target(session, name, "; a triple such as arm-none-eabi will do too");
  VEC_PUSH(session->arena, session->targets, target);
  return EXIT_FINE;
}

/* Every processor that has what `a` asks for has what `b` asks for. */
static bool asks_for_all_of(const Target *a, const Target *b) {
  for (size_t i = 0; i < b->dispatch.n; i++) {
    bool found = false;
    for (size_t k = 0; k < a->dispatch.n && !found; k++)
      found = a->dispatch.at[k].bit == b->dispatch.at[i].bit;
    if (!found)
      return false;
  }
  return true;
}

/* What is wrong with a list up to its last target, or null. */
static const char *list_problem(Session *session, bool last) {
  Arena *arena = session->arena;
  size_t n = session->targets.len;
  const Target *target = session->targets.at[n - 1], *first = session->targets.at[0];
  if (!last && target->dispatch.n == 0)
    return arena_printf(arena, "there is no way to ask a processor whether it runs '%s', which can only be the last of several",
                        target->name);
  if (target->triple && first->triple && strcmp(target->triple, first->triple) != 0)
    return arena_printf(arena, "'%s' and '%s' are of different architectures", first->name, target->name);
  for (size_t i = 0; i + 1 < n; i++) {
    const Target *before = session->targets.at[i];
    if (before == target)
      return arena_printf(arena, "'%s' is named twice", target->name);
    if (asks_for_all_of(target, before))
      return arena_printf(arena, "'%s' would never be chosen behind '%s', which runs wherever it does; the best comes first",
                          target->name, before->name);
  }
  return NULL;
}

/* Options that make sense for one target only. */
static const char *one_target_option(const Options *options) {
  return options->cpu        ? "-mcpu"
         : options->features ? "-mattr"
         : options->schedule ? "--schedule"
                             : NULL;
}

/* Several of the table, one file for all: the best first. */
static int find_targets(Session *session, const Options *options) {
  const char *option = one_target_option(options);
  if (options->verb != VERB_COMPILE || option) {
    diag_error(&session->diag, nowhere, "%s%s is for one target, and --target=%.200s names several",
               option ? "" : "mncc ", option ? option : verb_name(options->verb), options->target);
    return EXIT_USAGE;
  }
  const char *native = target_native(session->arena)->name;
  for (const char *at = options->target;; at++) {
    size_t len = strcspn(at, ",");
    const char *name = arena_strndup(session->arena, at, len), *problem;
    const Target *target = target_find(name);
    at += len;
    if (!len)
      problem = "a target's name is missing";
    else if (!target && strcmp(name, native) == 0)
      problem = "'native' is the machine that mncc runs on; a file for several names targets of the table";
    else if (!target && strchr(name, '-') && !nearest_target(session, name))
      problem = arena_printf(session->arena, "a list is of targets of the table, not of triples such as '%s'", name);
    else if (!target)
      return unknown_target(session, name, "");
    else {
      VEC_PUSH(session->arena, session->targets, target);
      problem = list_problem(session, !*at);
    }
    if (problem) {
      diag_error(&session->diag, nowhere, "--target=%.200s: %s", options->target, problem);
      return EXIT_USAGE;
    }
    if (!*at)
      return EXIT_FINE;
  }
}

/* Channels of a vector of the widest of several targets. 0 for one target. */
static int64_t widest_vector(const Session *session) {
  int64_t lanes = 0;
  for (size_t i = 0; i < session->targets.len && session->targets.len > 1; i++) {
    int64_t own = session->targets.at[i]->vector_bytes / 4;
    lanes = own > lanes ? own : lanes;
  }
  return lanes;
}

/* In a file for several targets, a row that is for any triple is for that of the others. */
static void share_triple(Session *session) {
  for (size_t i = 1; i < session->targets.len; i++) {
    Target *target = ARENA_NEW(session->arena, Target);
    *target = *session->targets.at[i];
    target->triple = session->targets.at[0]->triple;
    session->targets.at[i] = target;
  }
}

static int choose_targets(Session *session, const Options *options) {
  const char *names = options->target ? options->target : "generic";
  int status = strchr(names, ',') ? find_targets(session, options) : find_target(session, names);
  if (status != EXIT_FINE)
    return status;
  share_triple(session);
  session->compilation.target = session->targets.at[0];
  session->compilation.shared_weights.vector = widest_vector(session);
  return EXIT_FINE;
}

/* ---- files beside the network ---- */

/* A file of choices. EXIT_FINE or EXIT_IO. */
static int read_choices(Session *session, const char *path, const Source **into) {
  Source *source = ARENA_NEW(session->arena, Source);
  int status = read_source(session, path, source);
  *into = source;
  return status;
}

/* "'target x86-64-v4, vectors of 64 bytes, 32 registers' or ..." */
static const char *expected_targets(const Session *session) {
  const char *text = "";
  for (size_t i = 0; i < session->targets.len; i++)
    text = arena_printf(session->arena, "%s%s'%s'", text, i == 0 ? "" : " or ",
                        region_tuned_target(session->arena, session->targets.at[i]));
  return text;
}

/* Which target of a list a tuned file was measured for; -1 after an error. */
static int target_of_tuned(Session *session, const Source *file) {
  Loc line = region_tuned_target_line(file);
  for (size_t i = 0; i < session->targets.len && line.source; i++)
    if (region_is_tuned_target(session->targets.at[i], line))
      return (int)i;
  if (line.source)
    diag_error(&session->diag, line, "this was measured for no target of the list; expected %s", expected_targets(session));
  else
    diag_error(&session->diag, (Loc){file, 0, 0}, "the file does not say for which target it was measured; expected %s",
               expected_targets(session));
  return -1;
}

/* Each file belongs to the target that it names; one target takes any, and what does not fit is warned of when it is used. */
static int read_tuned(Session *session, const Options *options) {
  size_t targets = session->targets.len;
  session->tuned = ARENA_ARRAY(session->arena, const Source *, targets);
  if (targets == 1 && options->tuned.len > 1) {
    diag_error(&session->diag, nowhere, "--tuned names %zu files for one target; give the one that was measured for '%s'",
               options->tuned.len, session->targets.at[0]->name);
    return EXIT_USAGE;
  }
  for (size_t i = 0; i < options->tuned.len; i++) {
    const Source *file;
    int status = read_choices(session, options->tuned.at[i], &file);
    if (status != EXIT_FINE)
      return status;
    int at = targets == 1 ? 0 : target_of_tuned(session, file);
    if (at < 0)
      return EXIT_USER;
    if (session->tuned[at]) {
      diag_error(&session->diag, nowhere, "--tuned: '%.200s' and '%.200s' were both measured for '%s'; give one of them",
                 session->tuned[at]->name, file->name, session->targets.at[at]->name);
      return EXIT_USAGE;
    }
    session->tuned[at] = file;
  }
  session->compilation.tuned_file = session->tuned[0];
  return EXIT_FINE;
}

int session_open(Session *session, const Options *options) {
  *session = (Session){.arena = arena_new()};
  diag_init(&session->diag, session->arena);
  options_diag(options, &session->diag);
  Compilation *c = &session->compilation;
  c->arena = session->arena;
  c->diag = &session->diag;
  c->options = options;
  c->source = &session->source;
  c->is_loop_text = has_suffix(options->input, ".mnl");
  if (!pipeline_check_options(&session->diag, options))
    return EXIT_USAGE;
  if (c->is_loop_text && options->threads > 1) {
    diag_error(&session->diag, nowhere, "--threads is for networks; loop text says 'threads %d' itself", options->threads);
    return EXIT_USAGE;
  }
  int status = choose_targets(session, options);
  if (status == EXIT_FINE)
    status = read_source(session, options->input, &session->source);
  if (status == EXIT_FINE && options->regions)
    status = read_choices(session, options->regions, &c->regions_file);
  if (status == EXIT_FINE && options->schedule)
    status = read_choices(session, options->schedule, &c->schedule_file);
  if (status == EXIT_FINE)
    status = read_tuned(session, options);
  if (options->cpu)
    session->emit.cpu = options->cpu;
  if (options->features)
    session->emit.features = options->features;
  session->emit.optimize = options->optimize;
  session->emit.profile = options->profile;
  session->emit.weights_as_blob = options->weights_as == WEIGHTS_AS_BLOB;
  return status;
}

void session_close(Session *session) {
  if (session->weights)
    weights_close(session->weights);
  for (size_t i = 0; i < session->texts.len; i++)
    free(session->texts.at[i]);
  arena_free(session->arena);
}

int session_failed(const Session *session) { return session->diag.errors ? EXIT_USER : EXIT_INTERNAL; }

/* ---- weights ---- */

typedef VEC(const WeightDecl *) Decls;

/* The tensors that a recipe of loop text names; a role is not known there. */
static void collect_tensors(Arena *arena, const Recipe *recipe, Decls *decls) {
  if (!recipe)
    return;
  collect_tensors(arena, recipe->a, decls);
  collect_tensors(arena, recipe->b, decls);
  if (recipe->kind != RECIPE_TENSOR)
    return;
  for (size_t i = 0; i < decls->len; i++)
    if (strcmp(decls->at[i]->name, recipe->name) == 0)
      return;
  WeightDecl *decl = ARENA_NEW(arena, WeightDecl);
  decl->name = recipe->name;
  decl->role = ROLE_KERNEL;
  decl->rank = recipe->rank;
  decl->fan_in = 1;
  for (int d = 0; d < recipe->rank; d++) {
    decl->dims[d] = recipe->dims[d];
    decl->fan_in *= d ? recipe->dims[d] : 1;
  }
  VEC_PUSH(arena, *decls, decl);
}

static void wanted_tensors(Session *session, Decls *decls) {
  const Compilation *c = &session->compilation;
  if (c->network) {
    for (size_t i = 0; i < c->network->weights.len; i++)
      VEC_PUSH(session->arena, *decls, c->network->weights.at[i]);
    return;
  }
  for (size_t i = 0; i < c->program->buffers.len; i++)
    collect_tensors(session->arena, c->program->buffers.at[i]->recipe, decls);
}

/* `name` in the folder of the input file. */
static const char *beside_input(Session *session, const char *name) {
  const char *input = session->source.name, *slash = strrchr(input, '/');
  if (!slash || name[0] == '/')
    return name;
  return arena_printf(session->arena, "%.*s%s", (int)(slash - input + 1), input, name);
}

/* The file to read, or null after an error. */
static const char *weights_path(Session *session) {
  const Compilation *c = &session->compilation;
  if (c->options->weights)
    return c->options->weights;
  if (c->network && c->network->weights_file)
    return beside_input(session, c->network->weights_file);
  const char *input = session->source.name, *slash = strrchr(input, '/'), *dot = strrchr(input, '.');
  size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - input) : strlen(input);
  const char *beside = arena_printf(session->arena, "%.*s.safetensors", (int)stem, input);
  if (access(beside, F_OK) == 0)
    return beside;
  diag_error(&session->diag, nowhere,
             "the network needs weights: give --weights FILE or --weights random:SEED, name a file in the network (weights "
             "\"…\";), or put '%s' beside it",
             beside);
  return NULL;
}

int session_weights(Session *session) {
  const Compilation *c = &session->compilation;
  Decls decls = {0};
  wanted_tensors(session, &decls);
  if (decls.len == 0)
    return EXIT_FINE;
  if (c->options->weights_random) {
    session->weights = weights_random(session->arena, c->options->weights_seed, decls.at, decls.len);
  } else {
    const char *path = weights_path(session);
    if (!path)
      return EXIT_USER;
    session->weights = weights_open(session->arena, &session->diag, nowhere, path);
    if (!session->weights)
      return access(path, R_OK) == 0 ? EXIT_USER : EXIT_IO;
    session->weights_file = path;
    if (!weights_check(session->weights, &session->diag, nowhere, decls.at, decls.len))
      return EXIT_USER;
  }
  session->emit.weights = session->weights;
  return EXIT_FINE;
}

int session_run(const Options *options, const char *verb, int run(Session *session)) {
  Session session;
  int status = session_open(&session, options);
  if (status == EXIT_FINE && session.compilation.is_loop_text) {
    diag_error(&session.diag, nowhere, "'%s' is loop text: %s takes a network", session.source.name, verb);
    status = EXIT_USAGE;
  }
  if (status == EXIT_FINE)
    status = run(&session);
  session_close(&session);
  return status;
}

int session_write(Session *session, const Writer *w) {
  const char *named = session->compilation.options->output, *output = named ? named : "-";
  const char *problem = write_file(output, w->data, w->len);
  if (problem)
    diag_error(&session->diag, nowhere, "cannot write '%.200s': %s", output, problem);
  return problem ? EXIT_IO : EXIT_FINE;
}
