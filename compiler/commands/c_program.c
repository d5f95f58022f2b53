/* The weights stay here, as a blob, so that the compiler does not read millions
 * of numbers as text. A second file, a few lines long, calls P_run with
 * pointers from arrays, since the number of its parameters is the network's. */
#include "commands/c_program.h"

#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mnrt.h"
#include "support/output.h"

static const Loc nowhere = {0};
extern char **environ;

typedef void CallFunction(const void *parallel, const void *weights, void *arena, const void *const *inputs, void *const *outputs);

struct CProgram {
  void *library;
  CallFunction *call;
  void *weights, *arena;
  MnrtPool *pool; /* null for one thread */
};

const char *c_program_compiler(void) {
  const char *cc = getenv("CC");
  return cc && cc[strspn(cc, " ")] ? cc : "cc";
}

/* ---- files ---- */

static void write_call(Writer *w, const Program *program) {
  size_t n[2] = {0};
  for (size_t i = 0; i < program->buffers.len; i++) {
    n[0] += program->buffers.at[i]->kind == BUFFER_INPUT;
    n[1] += program->buffers.at[i]->kind == BUFFER_OUTPUT;
  }
  static const char head[] =
      "void model_call(const void *parallel, const void *weights, void *arena, const void *const *in, void *const *out)";
  write_f(w, "#include \"model.h\"\n\n%s;\n\n%s {\n", head, head);
  write_text(w, program->threads > 1 ? "" : "  (void)parallel;\n");
  write_text(w, n[0] ? "" : "  (void)in;\n");
  write_f(w, "  model_run(%sweights, arena", program->threads > 1 ? "parallel, " : "");
  for (size_t k = 0; k < 2; k++)
    for (size_t i = 0; i < n[k]; i++)
      write_f(w, ", %s[%zu]", k ? "out" : "in", i);
  write_text(w, ");\n}\n");
}

static bool write_sources(Session *session, const Program *program, const EmitOptions *emit, const char *folder) {
  enum { MODEL, HEADER, CALL, FILES };
  static const char *const names[FILES] = {"model.c", "model.h", "call.c"};
  Variant variant = {program, session->compilation.target};
  Variants variants = {&variant, 1};
  Outputs *outputs = outputs_new();
  Writer *writers[FILES];
  for (int i = 0; i < FILES; i++)
    writers[i] = outputs_add(outputs, arena_printf(session->arena, "%s/%s", folder, names[i]));
  bool ok = emit_c(writers[MODEL], &variants, emit, &session->diag);
  emit_header(writers[HEADER], &variants, emit);
  write_call(writers[CALL], program);
  if (!ok) {
    outputs_abandon(outputs);
    return false;
  }
  const char *failed = NULL, *problem = outputs_finish(outputs, &failed);
  if (problem)
    diag_error(&session->diag, nowhere, "cannot write '%.200s': %s", failed, problem);
  return !problem;
}

static void remove_folder(Session *session, const char *folder) {
  static const char *const names[] = {"model.c", "model.h", "call.c", "model.so"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    unlink(arena_printf(session->arena, "%s/%s", folder, names[i]));
  rmdir(folder);
}

/* ---- the compiler ---- */

typedef VEC(char *) Arguments;

/* Appends the words of `text`, which blanks keep apart. */
static void push_words(Arena *arena, Arguments *arguments, const char *text) {
  for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
    size_t n = strcspn(text, " ");
    VEC_PUSH(arena, *arguments, arena_strndup(arena, text, n));
    text += n;
  }
}

/* What the target's C wants of the compiler, less the remark in parentheses. */
static void push_flags(Arena *arena, Arguments *arguments, const Target *target) {
  const char *flags = target->c_flags ? target->c_flags : "";
  push_words(arena, arguments, arena_strndup(arena, flags, strcspn(flags, "(")));
}

static bool run_compiler(Session *session, const char *folder) {
  Arena *arena = session->arena;
  Arguments arguments = {0};
  push_words(arena, &arguments, c_program_compiler());
  push_words(arena, &arguments, "-std=c99 -O2 -fPIC -shared -o");
  VEC_PUSH(arena, arguments, arena_printf(arena, "%s/model.so", folder));
  push_flags(arena, &arguments, session->compilation.target);
  VEC_PUSH(arena, arguments, arena_printf(arena, "%s/model.c", folder));
  VEC_PUSH(arena, arguments, arena_printf(arena, "%s/call.c", folder));
  VEC_PUSH(arena, arguments, NULL);
  pid_t child;
  int status = 0, error = posix_spawnp(&child, arguments.at[0], NULL, NULL, arguments.at, environ);
  while (!error && waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  bool absent = error == ENOENT || (!error && WIFEXITED(status) && WEXITSTATUS(status) == 127);
  if (absent)
    diag_error(&session->diag, nowhere, "the C compiler '%.200s' was not found; set CC to one, or leave C out with --no-c",
               arguments.at[0]);
  else if (error)
    diag_error(&session->diag, nowhere, "cannot run the C compiler '%.200s': %s", arguments.at[0], strerror(error));
  else if (status)
    diag_error(&session->diag, nowhere, "the C compiler '%.200s' failed; its messages are above", c_program_compiler());
  return !error && status == 0;
}

/* ---- loading ---- */

static bool load(Session *session, CProgram *c, const char *folder) {
  c->library = dlopen(arena_printf(session->arena, "%s/model.so", folder), RTLD_NOW | RTLD_LOCAL);
  void *symbol = c->library ? dlsym(c->library, "model_call") : NULL;
  if (!symbol) {
    diag_error(&session->diag, nowhere, "cannot load what the C compiler made: %s", dlerror());
    return false;
  }
  memcpy(&c->call, &symbol, sizeof symbol); /* ISO C has no conversion to a function */
  return true;
}

static void *new_memory(int64_t bytes, int align) {
  void *memory = mnrt_arena_new((size_t)bytes, (size_t)(align > 0 ? align : 1));
  if (!memory)
    out_of_memory();
  return memory;
}

static bool make_weights(Session *session, const Program *program, CProgram *c) {
  Variant variant = {program, session->compilation.target};
  WeightLayout layout = weight_layout(session->arena, &(Variants){&variant, 1});
  c->weights = new_memory(layout.total_bytes, layout.align);
  for (size_t i = 0; i < layout.n; i++)
    if (!weight_bytes(layout.places[i].buffer, session->weights, &session->diag, false,
                      (char *)c->weights + layout.places[i].offset))
      return false;
  return true;
}

static bool make(Session *session, const Program *program, CProgram *c, const char *folder) {
  EmitOptions emit = session->emit;
  emit.prefix = "model";
  emit.file_name = "model.c";
  emit.header_name = "model.h";
  emit.weights_as_blob = true;
  emit.profile = false;
  return write_sources(session, program, &emit, folder) && run_compiler(session, folder) && load(session, c, folder) &&
         make_weights(session, program, c);
}

CProgram *c_program_new(Session *session, const Program *program) {
  const char *parent = getenv("TMPDIR");
  char *folder = arena_printf(session->arena, "%s/mncc-XXXXXX", parent && *parent ? parent : "/tmp");
  if (!mkdtemp(folder)) {
    diag_error(&session->diag, nowhere, "cannot make a folder for the C compiler, '%.200s': %s", folder, strerror(errno));
    return NULL;
  }
  CProgram *c = calloc(1, sizeof *c);
  if (!c)
    out_of_memory();
  c->arena = new_memory(program->arena_bytes, program->arena_align);
  if (program->threads > 1)
    c->pool = mnrt_pool_new(program->threads, 0);
  bool ok = program->threads <= 1 || c->pool;
  if (!ok)
    diag_error(&session->diag, nowhere, "no memory for %d threads, or the system has no more", program->threads);
  ok = ok && make(session, program, c, folder);
  remove_folder(session, folder);
  if (ok)
    return c;
  c_program_free(c);
  return NULL;
}

void c_program_run(CProgram *c, const void *const *inputs, void *const *outputs) {
  mncc_parallel parallel = mnrt_pool_parallel(c->pool);
  c->call(c->pool ? &parallel : NULL, c->weights, c->arena, inputs, outputs);
}

void c_program_free(CProgram *c) {
  if (!c)
    return;
  if (c->library)
    dlclose(c->library);
  mnrt_pool_free(c->pool);
  mnrt_arena_free(c->weights);
  mnrt_arena_free(c->arena);
  free(c);
}
