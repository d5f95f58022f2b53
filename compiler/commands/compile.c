/* mncc NET.mn -o FILE: passes, then the output language, then the files, which
 * appear together or not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands/commands.h"
#include "commands/session.h"
#include "support/output.h"

static const Loc nowhere = {0};

/* The stage that an output is made from. */
static StageKind last_stage(Emit emit) {
  switch (emit) {
  case EMIT_TOKENS:
  case EMIT_AST:
    return STAGE_AST;
  case EMIT_NETWORK:
  case EMIT_PYTORCH:
    return STAGE_NETWORK;
  case EMIT_GRAPH:
  case EMIT_DOT:
    return STAGE_GRAPH;
  case EMIT_REGIONS:
    return STAGE_REGIONS;
  case EMIT_LOOPS:
    return STAGE_LOOPS;
  case EMIT_PLAN:
  case EMIT_DEFAULT:
  case EMIT_C:
  case EMIT_LLVM:
  case EMIT_BC:
  case EMIT_ASM:
  case EMIT_OBJ:
    return STAGE_PLAN;
  }
  return STAGE_PLAN;
}

/* `path` with its suffix (of the last component) replaced. */
static const char *with_suffix(Arena *arena, const char *path, const char *suffix) {
  const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
  size_t stem = dot && (!slash || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);
  return arena_printf(arena, "%.*s%s", (int)stem, path, suffix);
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* The network's name as a C identifier. */
static const char *default_prefix(Arena *arena, const char *name) {
  char *prefix = arena_strndup(arena, name, strlen(name));
  for (char *c = prefix; *c; c++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *c))
      *c = '_';
  return prefix;
}

static bool is_identifier(const char *text) {
  if (!*text || (*text >= '0' && *text <= '9'))
    return false;
  for (; *text; text++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *text))
      return false;
  return true;
}

static bool emits_code(Emit emit) { return last_stage(emit) == STAGE_PLAN && emit != EMIT_PLAN; }

/* C, LLVM IR, assembly or an object into `w`. */
static bool emit_program(Session *session, const Variants *variants, Emit emit, Writer *w) {
  if (emit == EMIT_C) {
    if (session->emit.triple) {
      diag_error(&session->diag, nowhere, "C is made for a target of the table, not for the triple '%s' (mncc --print-targets)",
                 session->emit.triple);
      return false;
    }
    return emit_c(w, variants, &session->emit, &session->diag);
  }
#if MNCC_HAVE_LLVM
  LlvmOutput output = emit == EMIT_LLVM ? LLVM_TEXT : emit == EMIT_BC ? LLVM_BITCODE : emit == EMIT_ASM ? LLVM_ASSEMBLY : LLVM_OBJECT;
  return emit_llvm(w, variants, &session->emit, output, &session->diag);
#else
  diag_error(&session->diag, nowhere, "this mncc was built without LLVM and emits C only (build it with -DMNCC_LLVM=ON)");
  return false;
#endif
}

static void write_zeros(Writer *w, int64_t n) {
  static const char zeros[64];
  for (; n > 0; n -= (int64_t)sizeof zeros)
    write_bytes(w, zeros, n < (int64_t)sizeof zeros ? (size_t)n : sizeof zeros);
}

/* The buffer's bytes, some at a time. */
static bool write_weight(Session *session, Writer *w, const Buffer *buffer) {
  enum { AT_A_TIME = 16384 };
  unsigned char bytes[AT_A_TIME * sizeof(int32_t)];
  Arena *scratch = arena_new();
  WeightReader reader = weight_reader(scratch, buffer, session->weights, &session->diag, false);
  int64_t n = buffer_elems(buffer);
  bool ok = true;
  for (int64_t begin = 0; begin < n && ok && !w->dropped; begin += AT_A_TIME) {
    int64_t now = n - begin < AT_A_TIME ? n - begin : AT_A_TIME;
    ok = weight_read(&reader, begin, now, bytes);
    write_bytes(w, bytes, ok ? (size_t)(now * elem_bytes(buffer->elem)) : 0);
  }
  arena_free(scratch);
  return ok;
}

/* All weights in the order and at the offsets of the layout. */
static bool write_blob(Session *session, const Variants *variants, Writer *w) {
  WeightLayout layout = weight_layout(session->arena, variants);
  int64_t at = 0;
  bool ok = true;
  for (size_t i = 0; i < layout.n && ok; i++) {
    const WeightPlace *place = &layout.places[i];
    if (place->first != i)
      continue;
    write_zeros(w, place->offset - at);
    ok = write_weight(session, w, place->buffer);
    at = place->offset + place->bytes;
  }
  return ok;
}

/* ---- dependencies (-MMD) ---- */

/* A file's name as make reads it: blanks and '#' by a backslash, as are the backslashes before them,
 * '$' twice. */
static void write_make_name(Writer *w, const char *name) {
  for (const char *c = name; *c; c++) {
    if (*c == ' ' || *c == '\t' || *c == '#') {
      for (const char *back = c; back > name && back[-1] == '\\'; back--)
        write_text(w, "\\");
      write_text(w, "\\");
    }
    if (*c == '$')
      write_text(w, "$");
    write_bytes(w, c, 1);
  }
}

/* What was read beside the network: included files, weights, choices. */
static void list_dependencies(Session *session, Strings *files) {
  const Compilation *c = &session->compilation;
  for (size_t i = 0; i < c->included.len; i++)
    VEC_PUSH(session->arena, *files, c->included.at[i]->source->name);
  if (session->weights_file)
    VEC_PUSH(session->arena, *files, session->weights_file);
  if (c->regions_file)
    VEC_PUSH(session->arena, *files, c->regions_file->name);
  if (c->schedule_file)
    VEC_PUSH(session->arena, *files, c->schedule_file->name);
  for (size_t i = 0; i < session->targets.len; i++)
    if (session->tuned[i])
      VEC_PUSH(session->arena, *files, session->tuned[i]->name);
}

/* The rule is a file like the others, so it appears with them. */
static bool add_dependencies(Session *session, Outputs *outputs) {
  const Options *options = session->compilation.options;
  if (!options->dependencies)
    return true;
  const char *output = options->output && strcmp(options->output, "-") != 0 ? options->output : NULL;
  if (!output && (!options->dependency_file || !options->dependency_targets.len)) {
    diag_error(&session->diag, nowhere, "-MMD needs -o FILE, or -MF and -MT");
    return false;
  }
  const char *path = options->dependency_file ? options->dependency_file
                                              : with_suffix(session->arena, output, ".d");
  Writer *w = outputs_add(outputs, path);
  Strings files = {0};
  VEC_PUSH(session->arena, files, session->source.name);
  list_dependencies(session, &files);
  if (options->dependency_targets.len == 0)
    write_make_name(w, output);
  for (size_t i = 0; i < options->dependency_targets.len; i++)
    write_f(w, "%s%s", i ? " " : "", options->dependency_targets.at[i]); /* make's text, as given */
  write_text(w, ":");
  for (size_t i = 0; i < files.len; i++) {
    write_text(w, " \\\n  ");
    write_make_name(w, files.at[i]);
  }
  write_text(w, "\n");
  for (size_t i = 1; options->dependency_phony && i < files.len; i++) {
    write_text(w, "\n");
    write_make_name(w, files.at[i]);
    write_text(w, ":\n");
  }
  return true;
}

/* All appear, with the dependencies; the set is gone. */
static int finish_outputs(Session *session, Outputs *outputs) {
  if (!add_dependencies(session, outputs)) {
    outputs_abandon(outputs);
    return EXIT_USAGE;
  }
  const char *failed = NULL;
  const char *problem = outputs_finish(outputs, &failed);
  if (!problem)
    return EXIT_FINE;
  diag_error(&session->diag, nowhere, "cannot write '%s': %s", failed, problem);
  return EXIT_IO;
}

/* The network planned for each of the session's targets, of which the first has been done. Null after errors. */
static const Variants *plan_variants(Session *session) {
  Arena *arena = session->arena;
  Variants *variants = ARENA_NEW(arena, Variants);
  Variant *at = ARENA_ARRAY(arena, Variant, session->targets.len);
  for (size_t i = 0; i < session->targets.len; i++) {
    Compilation c = session->compilation;
    c.target = session->targets.at[i];
    c.tuned_file = session->tuned[i];
    if (i > 0 && c.regions)
      c.shared_weights.blocks = region_weight_blocks(c.regions); /* of the first */
    if (i > 0 && c.options->verbose)
      fprintf(stderr, "for %s\n", c.target->name);
    if (i > 0 && !pipeline_go_on(&c, STAGE_REGIONS, STAGE_PLAN))
      return NULL;
    if (i > 0)
      loop_number_stages(c.program, at[0].program);
    at[i] = (Variant){c.program, c.target};
  }
  *variants = (Variants){at, session->targets.len};
  return variants;
}

/* Code with its header, and the blob where it is asked for. */
static bool write_program(Session *session, const Variants *variants, Emit emit, const char *path, Outputs *outputs) {
  Arena *arena = session->arena;
  bool to_file = strcmp(path, "-") != 0;
  double start = pipeline_seconds();
  Writer *w = outputs_add(outputs, path);
  if (!emit_program(session, variants, emit, w))
    return false;
  if (session->compilation.options->verbose)
    fprintf(stderr, "%-20s %8.3f ms, %zu bytes\n", emit_name(emit), 1e3 * (pipeline_seconds() - start), w->drained + w->len);
  if (to_file && (emit == EMIT_C || emit == EMIT_OBJ || emit == EMIT_ASM))
    emit_header(outputs_add(outputs, with_suffix(arena, path, ".h")), variants, &session->emit);
  if (!to_file || !session->emit.weights_as_blob)
    return true;
  const char *blob = with_suffix(arena, path, ".bin");
  emit_blob_assembly(outputs_add(outputs, with_suffix(arena, path, "_weights.S")), variants, &session->emit, base_name(blob));
  return write_blob(session, variants, outputs_add(outputs, blob));
}

static int compile_program(Session *session, Emit emit) {
  const Options *options = session->compilation.options;
  const Program *program = session->compilation.program;
  Arena *arena = session->arena;
  bool to_file = options->output && strcmp(options->output, "-") != 0;
  if (!to_file && emit != EMIT_C && emit != EMIT_LLVM && emit != EMIT_ASM) {
    diag_error(&session->diag, nowhere, "%s is binary: say where it goes with -o FILE", emit_name(emit));
    return EXIT_USAGE;
  }
  if (options->prefix && !is_identifier(options->prefix)) {
    diag_error(&session->diag, nowhere, "--prefix: '%s' is no C identifier", options->prefix);
    return EXIT_USAGE;
  }
  int status = session_weights(session);
  if (status != EXIT_FINE)
    return status;
  const Variants *variants = plan_variants(session);
  if (!variants)
    return session_failed(session);
  const char *path = to_file ? options->output : "-";
  const char *file = to_file ? base_name(options->output) : arena_printf(arena, "%s.c", program->name);
  session->emit.prefix = options->prefix ? options->prefix : default_prefix(arena, program->name);
  session->emit.file_name = file;
  session->emit.header_name = with_suffix(arena, file, ".h");

  Outputs *outputs = outputs_new();
  bool ok = write_program(session, variants, emit, path, outputs);
  if (ok && !session->diag.errors)
    return finish_outputs(session, outputs);
  outputs_abandon(outputs);
  return session_failed(session);
}

/* Text of a stage. */
static int write_text_output(Session *session, const Writer *w) {
  const char *output = session->compilation.options->output;
  Outputs *outputs = outputs_new();
  write_bytes(outputs_add(outputs, output ? output : "-"), w->data, w->len);
  return finish_outputs(session, outputs);
}

static void print_stage(Session *session, Emit emit, Writer *w) {
  const Compilation *c = &session->compilation;
  if (emit == EMIT_DOT)
    graph_print_dot(w, c->graph);
  else if (emit == EMIT_PYTORCH)
    network_print_pytorch(w, c->network);
  else
    pipeline_print(w, c, last_stage(emit));
}

/* What there is one of for each target is shown for one target only. */
static bool refuse_list(Session *session, const char *what) {
  diag_error(&session->diag, nowhere, "%s is for one target at a time, and --target names %zu", what, session->targets.len);
  return true;
}

static bool shows_one_of_several(Session *session, Emit emit) {
  const Options *options = session->compilation.options;
  StageKind last = last_stage(emit);
  if (session->targets.len == 1)
    return false;
  if (options->stop_after)
    return refuse_list(session, "--stop-after");
  return last >= STAGE_REGIONS && !emits_code(emit) && refuse_list(session, arena_printf(session->arena, "--emit=%s", emit_name(emit)));
}

static int compile(Session *session) {
  Compilation *c = &session->compilation;
  Emit emit = c->options->syntax_only ? EMIT_NETWORK : options_emit(c->options);
  StageKind last = c->is_loop_text && c->options->syntax_only ? STAGE_LOOPS : last_stage(emit);
  if (c->is_loop_text && last < STAGE_LOOPS) {
    diag_error(&session->diag, nowhere, "'%s' is loop text: it has no %s", session->source.name, emit_name(emit));
    return EXIT_USAGE;
  }
  if (shows_one_of_several(session, emit))
    return EXIT_USAGE;
  Writer w;
  writer_init(&w);
  int status;
  bool stopped = false;
  if (emit == EMIT_TOKENS)
    tokens_print(&w, session->arena, &session->diag, &session->source);
  else
    pipeline_run(c, last, &w, &stopped);
  if (session->diag.errors) {
    status = EXIT_USER;
  } else if (c->options->syntax_only) {
    status = finish_outputs(session, outputs_new());
  } else if (emit == EMIT_TOKENS || stopped) {
    status = write_text_output(session, &w);
  } else if (emits_code(emit)) {
    status = compile_program(session, emit);
  } else {
    print_stage(session, emit, &w);
    status = write_text_output(session, &w);
  }
  writer_free(&w);
  return status;
}

static int compile_one(const Options *options) {
  Session session;
  int status = session_open(&session, options);
  if (options->verbose)
    fprintf(stderr, "%s\n", session.source.name ? session.source.name : options->input);
  if (status == EXIT_FINE)
    status = compile(&session);
  if (options->verbose)
    fprintf(stderr, "%-20s %8.1f MB\n", "memory", 1e-6 * (double)arena_used_bytes(session.arena));
  session_close(&session);
  return status;
}

/* ---- several inputs ---- */

static bool is_folder(const char *path) {
  struct stat info;
  size_t len = strlen(path);
  return (len && path[len - 1] == '/') || (stat(path, &info) == 0 && S_ISDIR(info.st_mode));
}

/* DIR/NAME.c for NAME.mn. */
static const char *output_in(Arena *arena, const Options *options, const char *folder, const char *input) {
  const char *suffix = emit_suffix(arena, options_emit(options));
  const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
  return arena_printf(arena, "%s%s%s", folder, slash, with_suffix(arena, base_name(input), suffix));
}

/* The outputs of all inputs, in order; false after an error. */
static bool name_outputs(Arena *arena, Diag *diag, const Options *options, const char **outputs) {
  size_t n = options->inputs.len;
  bool silent = options->syntax_only;
  const char *folder = options->output && is_folder(options->output) ? options->output : NULL;
  if (n > 1 && !folder && !silent) {
    diag_error(diag, nowhere, "several networks need a folder for what is made of each: -o DIR/");
    return false;
  }
  if (n > 1 && (options->prefix || options->dependency_file)) {
    diag_error(diag, nowhere, "%s is for one network at a time", options->prefix ? "--prefix" : "-MF");
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    const char *input = options->inputs.at[i];
    if (folder && strcmp(input, "-") == 0) {
      diag_error(diag, nowhere, "standard input has no name: say with -o FILE what is made of it");
      return false;
    }
    outputs[i] = folder ? output_in(arena, options, folder, input) : options->output;
    for (size_t k = 0; k < i && folder; k++)
      if (strcmp(outputs[i], outputs[k]) == 0) {
        diag_error(diag, nowhere, "'%s' and '%s' would both be written to '%s'", options->inputs.at[k], input, outputs[i]);
        return false;
      }
  }
  return true;
}

/* All are compiled, whatever becomes of the others; the status is that of the first that failed. */
int command_compile(const Options *options) {
  Arena *arena = arena_new();
  Diag diag;
  diag_init(&diag, arena);
  options_diag(options, &diag);
  size_t n = options->inputs.len;
  const char **outputs = ARENA_ARRAY(arena, const char *, n);
  int status = name_outputs(arena, &diag, options, outputs) ? EXIT_FINE : EXIT_USAGE;
  for (size_t i = 0; i < n && diag.errors == 0; i++) {
    Options one = *options;
    one.input = options->inputs.at[i];
    one.output = outputs[i];
    int result = compile_one(&one);
    status = status == EXIT_FINE ? result : status;
  }
  arena_free(arena);
  return status;
}
