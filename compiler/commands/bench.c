/* mncc bench NET.mn: how long each stage takes, and how near to the most that the
 * machine can do.
 *
 * The network is compiled twice, with and without the hooks of a profile, and a
 * loop of multiply-adds beside it. In each round all three run, so that they
 * share what the machine is at then; what is reported are medians over the
 * rounds. Runs on one thread are measured in that thread's own time, others, and
 * stages, which are short, by the clock. Before each measured run goes one that is
 * not, which fills the caches with the weights of that copy. */
#include <string.h>

#include "commands/commands.h"
#include "commands/peak.h"
#include "commands/ports.h"
#include "commands/stage_clock.h"
#include "commands/times.h"

#if MNCC_HAVE_LLVM

enum { MIN_ROUNDS = 5, MAX_ROUNDS = 1000 };
static const double default_seconds = 2; /* for all rounds, where --repeat does not say how many */

typedef struct Bench {
  Session *session;
  const Program *program;
  Jit *plain, *profiled;
  Peak *peak;
  const void **in;
  void **out;
  int threads;
  StageClock *clock;
  JitHooks hooks;

  int64_t rounds;
  Times plain_times, profiled_times, peak_times; /* of the peak: seconds for an operation */
  Times *stage_times;
} Bench;

/* ---- measuring ---- */

static double timed_run(const Bench *b, Jit *jit) {
  double start = run_seconds(b->threads);
  jit_run(jit, b->in, b->out);
  return run_seconds(b->threads) - start;
}

static int compile(Bench *b) {
  Session *session = b->session;
  const Target *target = session->compilation.target;
  session->emit.prefix = "network";
  EmitOptions profile = session->emit;
  profile.profile = true;
  b->plain = jit_new(b->program, target, &session->emit, &session->diag);
  b->profiled = b->plain ? jit_new(b->program, target, &profile, &session->diag) : NULL;
  b->peak = b->profiled ? peak_new(session) : NULL;
  if (!b->peak)
    return session_failed(session);
  b->clock = stage_clock_new(session->arena, b->program->stages.len, b->threads);
  b->hooks = stage_clock_hooks(b->clock);
  jit_set_hooks(b->profiled, &b->hooks);
  return EXIT_FINE;
}

/* As many as take two seconds, unless --repeat says. */
static int64_t choose_rounds(const Bench *b) {
  int64_t repeat = b->session->compilation.options->repeat;
  if (repeat)
    return repeat;
  timed_run(b, b->plain);
  int64_t rounds = (int64_t)(default_seconds / (4 * timed_run(b, b->plain) + 1e-9));
  return rounds < MIN_ROUNDS ? MIN_ROUNDS : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
}

static void measure(Bench *b) {
  Arena *arena = b->session->arena;
  size_t stages = b->program->stages.len;
  b->rounds = choose_rounds(b);
  b->plain_times = times_new(arena, b->rounds);
  b->profiled_times = times_new(arena, b->rounds);
  b->peak_times = times_new(arena, b->rounds);
  b->stage_times = ARENA_ARRAY(arena, Times, stages + 1);
  for (size_t s = 0; s < stages; s++)
    b->stage_times[s] = times_new(arena, b->rounds);
  for (int64_t round = 0; round < b->rounds; round++) {
    timed_run(b, b->plain);
    b->plain_times.seconds[round] = timed_run(b, b->plain);
    timed_run(b, b->profiled);
    stage_clock_reset(b->clock);
    b->profiled_times.seconds[round] = timed_run(b, b->profiled);
    for (size_t s = 0; s < stages; s++)
      b->stage_times[s].seconds[round] = stage_clock_seconds(b->clock, s);
    b->peak_times.seconds[round] = 1 / peak_measure(b->peak);
  }
}

/* ---- reporting ---- */

/* One line of the report. */
typedef struct Row {
  const char *name, *operators;
  int64_t macs, calls;
  double seconds;
} Row;

static double median(Times *times) { return times_quantile(times, 0.5); }
static double peak_speed(Bench *b) { return 1 / median(&b->peak_times); }
static double speed(const Row *row) { return row->seconds > 0 ? 2.0 * (double)row->macs / row->seconds : 0; }

static Row stage_row(Bench *b, size_t s) {
  const ProgramStage *stage = b->program->stages.at[s];
  return (Row){stage->path, stage->note, stage->macs, stage_clock_calls(b->clock, s), median(&b->stage_times[s])};
}

static Row total_row(Bench *b) {
  return (Row){"unprofiled run", "", b->program->macs, 0, median(&b->plain_times)};
}

/* Seconds that are spent in stages; the median of the rounds' sums is not the sum of medians, but near. */
static double stages_seconds(Bench *b) {
  double sum = 0;
  for (size_t s = 0; s < b->program->stages.len; s++)
    sum += median(&b->stage_times[s]);
  return sum;
}

static void row_text(Writer *w, Bench *b, const Row *row, int name_width, double all) {
  write_f(w, "%-*s %12lld %10.4f %6.1f %%", name_width, row->name, (long long)row->macs, 1e3 * row->seconds,
          all > 0 ? 100 * row->seconds / all : 0);
  if (row->macs)
    write_f(w, " %9.2f %7.1f %%", 1e-9 * speed(row), 100 * speed(row) / peak_speed(b));
  else
    write_f(w, " %9s %9s", "", "");
  write_f(w, "%s%s\n", *row->operators ? "  " : "", row->operators);
}

static void report_text(Writer *w, Bench *b) {
  const char *target = b->session->compilation.target->name;
  int width = (int)strlen("unprofiled run");
  for (size_t s = 0; s < b->program->stages.len; s++) {
    int n = (int)strlen(b->program->stages.at[s]->path);
    width = n > width ? n : width;
  }
  write_f(w, "%s for %s, ", b->program->name, target);
  if (b->threads > 1)
    write_f(w, "%d threads, ", b->threads);
  write_f(w, "medians of %lld round%s\n\n", (long long)b->rounds, b->rounds == 1 ? "" : "s");
  write_f(w, "%-*s %12s %10s %8s %9s %9s  operators\n", width, "stage", "MACs", "ms", "of run", "GFLOP/s", "of peak");
  double stages = stages_seconds(b), profiled = median(&b->profiled_times);
  for (size_t s = 0; s < b->program->stages.len; s++) {
    Row row = stage_row(b, s);
    row_text(w, b, &row, width, profiled);
  }
  Row between = {"between stages", "", 0, 0, profiled - stages}, total = total_row(b);
  Row run = {"profiled run", "", total.macs, 0, profiled};
  row_text(w, b, &between, width, profiled);
  row_text(w, b, &run, width, profiled);
  row_text(w, b, &total, width, profiled);
  write_f(w, "\nunprofiled: least %.4f ms, 10 to 90 %% of the runs %.4f to %.4f ms; profiling adds %.1f %%\n",
          1e3 * times_quantile(&b->plain_times, 0), 1e3 * times_quantile(&b->plain_times, 0.1),
          1e3 * times_quantile(&b->plain_times, 0.9), 100 * (profiled / total.seconds - 1));
  if (b->threads > 1)
    write_f(w, "peak of %d threads", b->threads);
  else
    write_text(w, "peak of one core");
  write_f(w, ", measured between the runs: %.2f GFLOP/s (%s)\n", 1e-9 * peak_speed(b), peak_text(b->peak));
}

static void row_json(Writer *w, Bench *b, const Row *row) {
  write_text(w, "{\"path\": ");
  write_quoted(w, row->name);
  write_text(w, ", \"operators\": ");
  write_quoted(w, row->operators);
  write_f(w, ", \"macs\": %lld, \"calls\": %lld, \"ms\": %.6f, \"gflops\": %.4f, \"of_peak\": %.5f}", (long long)row->macs,
          (long long)row->calls, 1e3 * row->seconds, 1e-9 * speed(row), speed(row) / peak_speed(b));
}

static void report_json(Writer *w, Bench *b) {
  Row total = total_row(b);
  write_text(w, "{\"network\": ");
  write_quoted(w, b->program->name);
  write_text(w, ", \"target\": ");
  write_quoted(w, b->session->compilation.target->name);
  write_f(w, ", \"threads\": %d, \"rounds\": %lld, \"macs\": %lld,\n", b->threads, (long long)b->rounds, (long long)b->program->macs);
  write_f(w, " \"ms\": %.6f, \"least_ms\": %.6f, \"ms_10\": %.6f, \"ms_90\": %.6f, \"profiled_ms\": %.6f,\n", 1e3 * total.seconds,
          1e3 * times_quantile(&b->plain_times, 0), 1e3 * times_quantile(&b->plain_times, 0.1),
          1e3 * times_quantile(&b->plain_times, 0.9), 1e3 * median(&b->profiled_times));
  write_f(w, " \"gflops\": %.4f, \"peak_gflops\": %.4f, \"of_peak\": %.5f, \"peak\": ", 1e-9 * speed(&total), 1e-9 * peak_speed(b),
          speed(&total) / peak_speed(b));
  write_quoted(w, peak_text(b->peak));
  write_text(w, ",\n \"stages\": [");
  for (size_t s = 0; s < b->program->stages.len; s++) {
    Row row = stage_row(b, s);
    write_text(w, s ? ",\n  " : "\n  ");
    row_json(w, b, &row);
  }
  write_text(w, "]}\n");
}

static void row_csv(Writer *w, Bench *b, const Row *row) {
  write_f(w, "%s,\"%s\",%lld,%lld,%.6f,%.4f,%.5f\n", row->name, row->operators, (long long)row->macs, (long long)row->calls,
          1e3 * row->seconds, 1e-9 * speed(row), speed(row) / peak_speed(b));
}

static void report_csv(Writer *w, Bench *b) {
  write_text(w, "stage,operators,macs,calls,ms,gflops,of_peak\n");
  for (size_t s = 0; s < b->program->stages.len; s++) {
    Row row = stage_row(b, s);
    row_csv(w, b, &row);
  }
  Row total = total_row(b);
  row_csv(w, b, &total);
}

static int report(Bench *b) {
  const Options *options = b->session->compilation.options;
  Writer w;
  writer_init(&w);
  switch (options->format) {
  case FORMAT_TEXT:
    report_text(&w, b);
    break;
  case FORMAT_JSON:
    report_json(&w, b);
    break;
  case FORMAT_CSV:
    report_csv(&w, b);
    break;
  }
  int status = session_write(b->session, &w);
  writer_free(&w);
  return status;
}

/* ---- the command ---- */

static int bench(Session *session) {
  Compilation *c = &session->compilation;
  Ports inputs = {0}, outputs = {0};
  int status = ports_prepare(session, STAGE_PLAN, &inputs, &outputs);
  if (status != EXIT_FINE)
    return status;
  Bench b = {.session = session, .program = c->program, .threads = c->options->threads, .in = ports_in(session, &inputs), .out = ports_out(session, &outputs)};
  status = compile(&b);
  if (status == EXIT_FINE) {
    measure(&b);
    status = report(&b);
  }
  peak_free(b.peak);
  jit_free(b.profiled);
  jit_free(b.plain);
  return status;
}

#else

static int bench(Session *session) {
  diag_error(&session->diag, (Loc){0}, "this mncc was built without LLVM: bench compiles in memory by LLVM");
  return EXIT_USER;
}

#endif

int command_bench(const Options *options) { return session_run(options, "bench", bench); }
