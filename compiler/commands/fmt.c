/* mncc fmt: networks to the same networks, formatted. A file with an error stays
 * as it is and does not keep the others from being formatted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ast/ast.h"
#include "commands/commands.h"
#include "support/output.h"

static const Loc nowhere = {0};

static bool is_loop_text(const char *path) {
  size_t len = strlen(path);
  return len >= 4 && strcmp(path + len - 4, ".mnl") == 0;
}

static int put(Diag *diag, const Options *options, const Source *source, const char *path, const Writer *w) {
  bool same = w->len == source->len && (w->len == 0 || memcmp(w->data, source->text, w->len) == 0);
  if (options->check) {
    if (!same)
      printf("%s\n", source->name);
    return same ? EXIT_FINE : EXIT_USER;
  }
  if (options->in_place && same)
    return EXIT_FINE;
  const char *problem = write_file(options->in_place ? path : "-", w->data, w->len);
  if (problem)
    diag_error(diag, nowhere, "cannot write '%s': %s", options->in_place ? path : "-", problem);
  return problem ? EXIT_IO : EXIT_FINE;
}

static int format_file(Arena *arena, Diag *diag, const Options *options, const char *path) {
  if (is_loop_text(path)) {
    diag_error(diag, nowhere, "'%s' is loop text, which --emit=loops prints in its form; fmt formats networks", path);
    return EXIT_USER;
  }
  if (options->in_place && strcmp(path, "-") == 0) {
    diag_error(diag, nowhere, "'-i' needs files; what standard input holds goes to standard output");
    return EXIT_USAGE;
  }
  char *text = NULL;
  size_t len = 0;
  const char *problem = read_file(path, &text, &len);
  if (!problem && len > UINT32_MAX / 2)
    problem = "the file is larger than 2 GB";
  if (problem) {
    diag_error(diag, nowhere, "cannot read '%s': %s", path, problem);
    free(text);
    return EXIT_IO;
  }
  Source source = {strcmp(path, "-") == 0 ? "<stdin>" : path, text, (uint32_t)len};
  Writer w;
  writer_init(&w);
  int status = ast_format(&w, arena, diag, &source) ? put(diag, options, &source, path, &w) : EXIT_USER;
  writer_free(&w);
  free(text);
  return status;
}

int command_fmt(const Options *options) {
  int status = EXIT_FINE;
  for (size_t i = 0; i < options->inputs.len; i++) {
    Arena *arena = arena_new();
    Diag diag;
    diag_init(&diag, arena);
    options_diag(options, &diag);
    int one = format_file(arena, &diag, options, options->inputs.at[i]);
    status = one > status ? one : status;
    arena_free(arena);
  }
  return status;
}
