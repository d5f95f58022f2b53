/* mncc tune NET.mn -o FILE: measures on this machine what else a model chooses.
 *
 * First which operators run together, how many rows their steps make, how results
 * are stored, and for several threads how the work is divided (tune_regions.c);
 * then register tiles (tune_tiles.c). Each goes on from what was found before. In the
 * end the whole is compared with what the model chooses: it must be faster by more
 * than chance explains, or the file stays without entries. */
#include <stdio.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/ports.h"
#include "commands/tune.h"

static const Loc nowhere = {0};

#if MNCC_HAVE_LLVM

static const double default_budget = 90; /* seconds */
static const double final_seconds = 5, final_worthwhile = 0.002, tile_seconds = 8;

/* ---- the file ---- */

static bool has_line(const char *text, const char *line, size_t len) {
  for (const char *at = text; (at = strstr(at, "region")) != NULL; at++)
    if ((at == text || at[-1] == '\n') && strncmp(at, line, len) == 0 && at[len] == '\n')
      return true;
  return false;
}

/* The lines of a regions file, with a comment where the model has others. */
static void write_regions(Writer *w, const char *text, const char *model) {
  while (*text) {
    size_t len = strcspn(text, "\n");
    write_f(w, "%.*s%s\n", (int)len, text, has_line(model, text, len) ? "" : "  // not the model's");
    text += len + (text[len] == '\n');
  }
}

/* The lines of a regions file that a compilation has chosen. */
static const char *region_lines(Arena *arena, const Regions *regions) {
  Writer w;
  writer_init(&w);
  region_print_lines(&w, regions);
  return writer_take(&w, arena);
}

/* What --tuned reads. */
static void write_tuned(Writer *w, const Regions *model, const Choice *choice, const double medians[2]) {
  write_f(w, "// For %s, measured by mncc tune; read by --tuned.\n", model->graph->name);
  if (choice->regions || choice->tiles)
    write_f(w, "// %.4f ms; what the model chooses takes %.4f ms\n", 1e3 * medians[1], 1e3 * medians[0]);
  if (choice->tiles)
    write_text(w, choice->tiles);
  else
    write_f(w, "%s\n", region_tuned_target(model->arena, model->target));
  if (!choice->regions)
    return;
  write_f(w, "%s\n", region_tuned_network(model));
  write_regions(w, choice->regions, region_lines(model->arena, model));
}

static int write_result(const Tune *t, const Regions *model, const Choice *choice, const double medians[2]) {
  Writer w;
  writer_init(&w);
  write_tuned(&w, model, choice, medians);
  int status = session_write(t->session, &w);
  writer_free(&w);
  return status;
}

/* ---- the command ---- */

/* Spells out how the regions are divided for threads. */
static bool spell_out(Tune *t, Choice *choice) {
  Candidate candidate;
  bool ok = !choice->regions || candidate_new(t, choice, 0, WATCH_NOTHING, &candidate);
  if (!choice->regions)
    return ok;
  if (ok)
    choice->regions = region_lines(t->session->arena, candidate.c.regions);
  candidate_free(&candidate);
  return ok;
}

/* Compares the choice with the model's; takes it back if it is not faster. */
static bool settle(Tune *t, Choice *choice, double medians[2]) {
  const Choice model = {0};
  Verdict verdict;
  if (!choice->regions && !choice->tiles) {
    tune_say(t, "nothing is faster than what the model chooses");
    return true;
  }
  if (!tune_compare(t, &model, choice, final_seconds, final_worthwhile, &verdict))
    return false;
  memcpy(medians, verdict.medians, sizeof verdict.medians);
  tune_say(t, "%.4f ms, the model's choice %.4f ms, ratio %.4f +- %.4f%s", 1e3 * medians[1], 1e3 * medians[0], verdict.ratio.mean,
           verdict.ratio.error, verdict.wins ? "" : ": no faster, nothing is written");
  if (!verdict.wins)
    *choice = model;
  return true;
}

/* How long a run and a move take, for planning: the least of a few, for the first ones find cold caches. False after an error. */
static bool time_runs(Tune *t, Candidate *candidate) {
  enum { RUNS = 3 };
  for (int i = 0; i < RUNS; i++) {
    double seconds = candidate_run(t, candidate);
    t->run_seconds = i == 0 || seconds < t->run_seconds ? seconds : t->run_seconds;
    if (!candidate_move(t, candidate))
      return false;
  }
  return true;
}

static int tune_choice(Tune *t) {
  const Options *options = t->session->compilation.options;
  Choice choice = {0};
  Candidate model;
  double medians[2] = {0, 0};
  int moves = 0;
  bool ok = candidate_new(t, &choice, 0, WATCH_NOTHING, &model) && time_runs(t, &model);
  double left = 10 * t->compile_seconds + tune_measuring(t, 8, tile_seconds) + 2 * tune_measuring(t, 2, final_seconds);
  left = left < 0.4 * t->budget ? left : 0.4 * t->budget; /* for tiles and the end */
  if (ok && !options->regions && !options->no_fuse)       /* else they are asked for */
    ok = tune_regions(t, &choice, left, &moves);
  ok = ok && (options->schedule || tune_tiles(t, &choice)) && spell_out(t, &choice) && settle(t, &choice, medians);
  int status = ok ? write_result(t, model.c.regions, &choice, medians) : session_failed(t->session);
  candidate_free(&model);
  return status;
}

static int tune(Session *session) {
  Compilation *c = &session->compilation;
  if (!c->options->output) {
    diag_error(&session->diag, nowhere, "say where the result goes: -o net.tune");
    return EXIT_USAGE;
  }
  if (!c->target->l1_bytes) {
    diag_error(&session->diag, nowhere, "target '%s' has no tiles to choose from; give the machine's own, --target=native",
               c->target->name);
    return EXIT_USAGE;
  }
  Ports inputs = {0}, outputs = {0};
  int status = ports_prepare(session, STAGE_GRAPH, &inputs, &outputs);
  if (status != EXIT_FINE)
    return status;
  Tune t = {.session = session, .in = ports_in(session, &inputs), .out = ports_out(session, &outputs)};
  t.begun = pipeline_seconds();
  t.budget = c->options->budget ? (double)c->options->budget : default_budget;
  t.rounds = c->options->repeat;
  return tune_choice(&t);
}

#else

static int tune(Session *session) {
  diag_error(&session->diag, nowhere, "this mncc was built without LLVM: tune compiles in memory by LLVM");
  return EXIT_USER;
}

#endif

int command_tune(const Options *options) { return session_run(options, "tune", tune); }
