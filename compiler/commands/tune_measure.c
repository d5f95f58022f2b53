/* Compiling and measuring what mncc tune tries. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/tune.h"

#if MNCC_HAVE_LLVM

enum { LEAST_ROUNDS = 9, MOST_ROUNDS = 200 };

void tune_say(const Tune *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%6.1f s: ", pipeline_seconds() - t->begun);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
}

/* ---- hooks ---- */

static int64_t nanoseconds(void) { return (int64_t)(1e9 * pipeline_seconds()); }

static void nothing(void *user, int stage) {
  (void)user;
  (void)stage;
}

/* Several threads may begin a stage. */
static void note_begin(void *user, int stage) {
  _Atomic int64_t *begun = &((Candidate *)user)->stage_begun[stage];
  int64_t none = 0;
  if (atomic_load_explicit(begun, memory_order_relaxed) == 0)
    atomic_compare_exchange_strong(begun, &none, nanoseconds());
}

/* ---- candidates ---- */

static const Source *source_of(Arena *arena, const char *name, const char *text) {
  if (!text)
    return NULL;
  Source *source = ARENA_NEW(arena, Source);
  *source = (Source){name, text, (uint32_t)strlen(text)};
  return source;
}

/* The passes. */
static bool compile(Tune *t, const Choice *choice, int tile_candidate, Candidate *candidate) {
  *candidate = (Candidate){.arena = arena_new()};
  diag_init(&candidate->diag, candidate->arena);
  candidate->diag.quiet = true;
  Compilation *c = &candidate->c;
  *c = t->session->compilation;
  c->arena = candidate->arena;
  /* What the model chooses must compile; what is tried need not. */
  if (choice->regions || choice->tiles || tile_candidate)
    c->diag = &candidate->diag;
  if (choice->regions)
    c->regions_file = source_of(candidate->arena, "<regions>", choice->regions);
  c->tuned_file = source_of(candidate->arena, "<tuned>", choice->tiles);
  c->tile_candidate = tile_candidate;
  return pipeline_go_on(c, STAGE_REGIONS, STAGE_PLAN);
}

bool candidate_fits(Tune *t, const Choice *choice) {
  Candidate candidate;
  bool fits = compile(t, choice, 0, &candidate);
  candidate_free(&candidate);
  return fits;
}

bool candidate_new(Tune *t, const Choice *choice, int tile_candidate, Watch watch, Candidate *candidate) {
  double begun = pipeline_seconds();
  if (!compile(t, choice, tile_candidate, candidate))
    return false;
  const Compilation *c = &candidate->c;
  EmitOptions emit = t->session->emit;
  emit.prefix = "network";
  emit.profile = watch != WATCH_NOTHING;
  candidate->jit = jit_new(c->program, c->target, &emit, c->diag);
  if (!candidate->jit)
    return false;
  size_t stages = c->program->stages.len;
  if (watch == WATCH_BEGINS) {
    candidate->stage_begun = ARENA_ARRAY(candidate->arena, _Atomic int64_t, stages + 1);
    candidate->hooks = (JitHooks){note_begin, nothing, candidate};
  } else if (watch == WATCH_STAGES) {
    candidate->clock = stage_clock_new(candidate->arena, stages, c->options->threads);
    candidate->hooks = stage_clock_hooks(candidate->clock);
  }
  jit_set_hooks(candidate->jit, watch == WATCH_NOTHING ? NULL : &candidate->hooks);
  double seconds = pipeline_seconds() - begun;
  t->compile_seconds = t->compile_seconds > 0 && t->compile_seconds < seconds ? t->compile_seconds : seconds;
  return true;
}

void candidate_free(Candidate *candidate) {
  jit_free(candidate->jit);
  arena_free(candidate->arena);
  *candidate = (Candidate){0};
}

double candidate_run(const Tune *t, Candidate *candidate) {
  jit_run(candidate->jit, t->in, t->out);
  for (size_t s = 0; candidate->stage_begun && s < candidate->c.program->stages.len; s++)
    candidate->stage_begun[s] = 0;
  if (candidate->clock)
    stage_clock_reset(candidate->clock);
  int threads = t->session->compilation.options->threads;
  double start = run_seconds(threads);
  candidate->begun = pipeline_seconds();
  jit_run(candidate->jit, t->in, t->out);
  candidate->ended = pipeline_seconds();
  return run_seconds(threads) - start;
}

double tune_seconds_left(const Tune *t) { return t->begun + t->budget - pipeline_seconds(); }

int64_t tune_rounds(const Tune *t, int n, double seconds) {
  int64_t rounds = (int64_t)(seconds / (2 * n * t->run_seconds + 1e-9));
  return t->rounds ? t->rounds : rounds < LEAST_ROUNDS ? LEAST_ROUNDS : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
}

double tune_measuring(const Tune *t, int n, double seconds) { return (double)(2 * n * tune_rounds(t, n, seconds)) * t->run_seconds; }

/* ---- comparing ---- */

Ratio ratio_of(Arena *arena, const Times *other, const Times *usual) {
  Times ratios = times_new(arena, other->n);
  for (int64_t i = 0; i < other->n; i++)
    ratios.seconds[i] = other->seconds[i] / usual->seconds[i];
  Ratio ratio = {.median = times_quantile(&ratios, 0.5)};
  for (int64_t i = 0; i < other->n; i++)
    ratios.seconds[i] = fabs(ratios.seconds[i] - ratio.median);
  /* For normal noise its deviation is 1.48 times the median of what is off, and that of the median 1.25 / sqrt(n) of it. */
  ratio.error = 1.4826 * 1.2533 * times_quantile(&ratios, 0.5) / sqrt((double)other->n);
  return ratio;
}

bool ratio_wins(Ratio ratio, double at_least) { return ratio.median < 1 - at_least && ratio.median + 2 * ratio.error < 1; }

/* Each choice is compiled twice, in turn: what is compiled anew lies in other memory, and is faster or slower for that. */
bool tune_compare(Tune *t, const Choice *usual, const Choice *other, double seconds, Ratio *ratio, double medians[2]) {
  enum { COPIES = 2 };
  const Choice *choices[2] = {usual, other};
  Candidate candidates[2 * COPIES] = {0};
  bool ok = true;
  for (int k = 0; ok && k < 2 * COPIES; k++)
    ok = candidate_new(t, choices[k % 2], 0, WATCH_NOTHING, &candidates[k]);
  if (ok) {
    Arena *arena = candidates[0].arena;
    int64_t rounds = tune_rounds(t, 2 * COPIES, seconds);
    Times times[2] = {times_new(arena, rounds), times_new(arena, rounds)};
    for (int64_t round = 0; round < rounds; round++)
      for (int k = 0; k < 2 * COPIES; k++) {
        int which = (k + (int)round) % (2 * COPIES);
        times[which % 2].seconds[round] += candidate_run(t, &candidates[which]) / (double)COPIES;
      }
    *ratio = ratio_of(arena, &times[1], &times[0]);
    for (int k = 0; k < 2; k++)
      medians[k] = times_quantile(&times[k], 0.5);
  }
  for (int k = 0; k < 2 * COPIES; k++)
    candidate_free(&candidates[k]);
  return ok;
}

#endif
