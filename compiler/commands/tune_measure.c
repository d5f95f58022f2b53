/* Compiling and measuring what mncc tune tries. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/tune.h"

#if MNCC_HAVE_LLVM

enum { LEAST_ROUNDS = 9, MOST_ROUNDS = 200, SERIES_ROUNDS = 4, ENOUGH_SERIES = 8, LOOKS = 4 };

void tune_say(const Tune *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%6.1f s: ", pipeline_seconds() - t->begun);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
}

/* ---- hooks ---- */

/* The clock by which runs are measured. */
static double now(const Candidate *candidate) { return run_seconds(candidate->c.options->threads); }

static void nothing(void *user, int stage) {
  (void)user;
  (void)stage;
}

/* Several threads may begin a stage. */
static void note_begin(void *user, int stage) {
  const Candidate *candidate = user;
  _Atomic int64_t *begun = &candidate->stage_begun[stage];
  int64_t none = 0;
  if (atomic_load_explicit(begun, memory_order_relaxed) == 0)
    atomic_compare_exchange_strong(begun, &none, (int64_t)(1e9 * now(candidate)));
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
  candidate->begun = now(candidate);
  jit_run(candidate->jit, t->in, t->out);
  candidate->ended = now(candidate);
  return candidate->ended - candidate->begun;
}

bool candidate_move(Tune *t, Candidate *candidate) {
  double begun = pipeline_seconds();
  bool ok = jit_move(candidate->jit, &t->session->diag);
  double seconds = pipeline_seconds() - begun;
  t->move_seconds = t->move_seconds > 0 && t->move_seconds < seconds ? t->move_seconds : seconds;
  return ok;
}

double tune_seconds_left(const Tune *t) { return t->begun + t->budget - pipeline_seconds(); }

/* Few rounds are short series, so that there are enough of them; a power of two. */
static int64_t series_rounds(int64_t rounds) {
  int64_t length = SERIES_ROUNDS;
  while (length > 1 && rounds / length < ENOUGH_SERIES)
    length /= 2;
  return length;
}

int64_t tune_rounds(const Tune *t, int n, double seconds) {
  int64_t rounds = (int64_t)(seconds / (n * (2 * t->run_seconds + t->move_seconds / (double)SERIES_ROUNDS) + 1e-9));
  return t->rounds ? t->rounds : rounds < LEAST_ROUNDS ? LEAST_ROUNDS : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
}

double tune_measuring(const Tune *t, int n, double seconds) {
  int64_t rounds = tune_rounds(t, n, seconds), series = (rounds + series_rounds(rounds) - 1) / series_rounds(rounds);
  return n * (2 * (double)rounds * t->run_seconds + (double)series * t->move_seconds);
}

bool tune_series_begins(int64_t rounds, int64_t round) { return round % series_rounds(rounds) == 0; }

/* ---- comparing ---- */

/* Of rounds [begin, end): the median of their ratios. */
static double median_ratio(Arena *arena, const Times *other, const Times *usual, int64_t begin, int64_t end) {
  Times ratios = times_new(arena, end - begin);
  for (int64_t k = begin; k < end; k++)
    ratios.seconds[k - begin] = other->seconds[k] / usual->seconds[k];
  return times_quantile(&ratios, 0.5);
}

static double least(const Times *times, int64_t begin, int64_t end) {
  double seconds = times->seconds[begin];
  for (int64_t k = begin + 1; k < end; k++)
    seconds = times->seconds[k] < seconds ? times->seconds[k] : seconds;
  return seconds;
}

/* The ratio of each series. */
static Times series_ratios(Arena *arena, const Times *other, const Times *usual, Within within) {
  int64_t length = series_rounds(other->n), n = (other->n + length - 1) / length;
  Times ratios = times_new(arena, n);
  for (int64_t i = 0; i < n; i++) {
    int64_t begin = i * length, end = begin + length < other->n ? begin + length : other->n;
    ratios.seconds[i] = within == WITHIN_MEDIAN ? median_ratio(arena, other, usual, begin, end)
                                                : least(other, begin, end) / least(usual, begin, end);
  }
  return ratios;
}

/* The mean without the lowest and the highest fifth, for disturbances come in bursts, and its error after Yuen: from the deviation
 * when those that are left out have the value of the next that is not. */
Ratio ratio_of(Arena *arena, const Times *other, const Times *usual, Within within) {
  Times series = series_ratios(arena, other, usual, within);
  times_quantile(&series, 0.5); /* puts them in order */
  int64_t out = series.n / 5;
  Ratio ratio = {.series = series.n - 2 * out};
  for (int64_t i = out; i < series.n - out; i++)
    ratio.mean += series.seconds[i] / (double)ratio.series;
  double squares = 0;
  for (int64_t i = 0; i < series.n; i++) {
    int64_t kept = i < out ? out : i >= series.n - out ? series.n - out - 1 : i;
    double off = series.seconds[kept] - ratio.mean; /* from the mean of what is left, which is close enough */
    squares += off * off;
  }
  double n = (double)series.n;
  ratio.error = series.n > 1 ? sqrt(squares / (n - 1)) / ((double)ratio.series / n * sqrt(n)) : INFINITY;
  return ratio;
}

/* How far the mean is off only once in forty times, on one side. */
static double margin(Ratio ratio) {
  /* Student's t by degrees of freedom. */
  static const double by_chance[] = {12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23};
  enum { KNOWN = sizeof by_chance / sizeof *by_chance };
  int64_t freedom = ratio.series - 1;
  return freedom < 1 ? INFINITY : by_chance[(freedom < KNOWN ? freedom : KNOWN) - 1] * ratio.error;
}

bool ratio_wins(Ratio ratio, double at_least) { return ratio.mean < 1 - at_least && ratio.mean + margin(ratio) < 1; }

bool ratio_loses(Ratio ratio, double at_least) { return ratio.mean - margin(ratio) > 1 - at_least; }

/* Both run in turn, rounds [begin, end) of series that are as long as those of `rounds`. False after an error. */
static bool run_both(Tune *t, Candidate candidates[2], Times times[2], int64_t rounds, int64_t begin, int64_t end) {
  for (int64_t round = begin; round < end; round++) {
    for (int k = 0; k < 2 && tune_series_begins(rounds, round); k++)
      if (!candidate_move(t, &candidates[k]))
        return false;
    for (int k = 0; k < 2; k++) {
      int which = (k + (int)round) % 2;
      times[which].seconds[round] = candidate_run(t, &candidates[which]);
    }
  }
  return true;
}

/* Runs both as often as there is time for in `seconds`, and as often again until it is clear which is faster; not if the number of
 * rounds was asked for, and not longer than the budget. False after an error. */
static bool judge(Tune *t, Candidate candidates[2], double seconds, double at_least, Verdict *verdict) {
  Arena *arena = candidates[0].arena;
  int64_t rounds = tune_rounds(t, 2, seconds), looks = t->rounds ? 1 : LOOKS;
  Times times[2] = {times_new(arena, looks * rounds), times_new(arena, looks * rounds)};
  for (int64_t n = rounds; n <= looks * rounds; n += rounds) {
    times[0].n = times[1].n = n;
    if (!run_both(t, candidates, times, rounds, n - rounds, n))
      return false;
    verdict->ratio = ratio_of(arena, &times[1], &times[0], WITHIN_LEAST);
    verdict->wins = ratio_wins(verdict->ratio, at_least);
    if (verdict->wins || ratio_loses(verdict->ratio, at_least) || tune_seconds_left(t) < seconds)
      break;
  }
  for (int k = 0; k < 2; k++)
    verdict->medians[k] = times_quantile(&times[k], 0.5);
  return true;
}

bool tune_compare(Tune *t, const Choice *usual, const Choice *other, double seconds, double at_least, Verdict *verdict) {
  *verdict = (Verdict){0};
  Candidate candidates[2] = {0};
  bool ok = candidate_new(t, usual, 0, WATCH_NOTHING, &candidates[0]) &&
            candidate_new(t, other, 0, WATCH_NOTHING, &candidates[1]) && judge(t, candidates, seconds, at_least, verdict);
  for (int k = 0; k < 2; k++)
    candidate_free(&candidates[k]);
  return ok;
}

#endif
