/* mncc: arguments → one command → exit status. */
#include <stdio.h>

#include "commands/commands.h"
#include "completion.h"
#include "highlighting.h"
#include "options.h"
#include "pipeline.h"

/* The questions that need no input. True if one was asked. */
static bool answer(const Options *options) {
  Writer w;
  writer_init(&w);
  if (options->help)
    options_print_help(&w, options->verb);
  else if (options->version)
    write_f(&w, "mncc %s%s\n", MNCC_VERSION, MNCC_HAVE_LLVM ? " with LLVM" : " without LLVM");
  else if (options->list_passes)
    pipeline_list(&w);
  else if (options->completion)
    completion_print(&w, options->completion);
  else if (options->highlighting)
    highlighting_print(&w, options->highlighting);
  else if (options->print_ops)
    op_print_all(&w);
  else if (options->print_ops_man)
    op_print_manual(&w);
  else if (options->print_targets)
    target_print_all(&w);
  bool answered = w.len > 0;
  if (answered)
    fwrite(w.data, 1, w.len, stdout);
  writer_free(&w);
  return answered;
}

static int run(const Options *options) {
  switch (options->verb) {
  case VERB_COMPILE:
    return command_compile(options);
  case VERB_COST:
    return command_cost(options);
  case VERB_RUN:
    return command_run(options);
  case VERB_BENCH:
    return command_bench(options);
  case VERB_VERIFY:
    return command_verify(options);
  case VERB_TUNE:
    return command_tune(options);
  case VERB_FMT:
    return command_fmt(options);
  case VERB_COUNT:
    break;
  }
  return EXIT_INTERNAL;
}

int main(int argc, char **argv) {
  Arena *arena = arena_new();
  Diag diag;
  diag_init(&diag, arena);
  Options options;
  int status = EXIT_USAGE;
  if (options_parse(arena, &diag, argc, argv, &options))
    status = answer(&options) ? EXIT_FINE : run(&options);
  if (fflush(stdout) != 0 && status == EXIT_FINE)
    status = EXIT_IO;
  arena_free(arena);
  return status;
}
