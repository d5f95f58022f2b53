/* mncc tune NET.mn -o FILE: which register tiles are the fastest on this machine.
 *
 * The network is compiled several times: as usual, then with each stage's second
 * best tile by the model's cost, its third best, and so on. All of these run in
 * every round, with the hooks of a profile, so that each stage is measured where
 * it stands, fused and with the caches as they are then. Stages of one shape are
 * added up. A tile that beats the usual one by more than the noise goes into the
 * file; and in the end the whole, with and without the file, must be faster, or
 * the file stays without entries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/ports.h"
#include "commands/stage_clock.h"
#include "commands/times.h"

static const Loc nowhere = {0};

#if MNCC_HAVE_LLVM

enum { CANDIDATES = 8, LEAST_ROUNDS = 7, MOST_ROUNDS = 200 };
static const double default_seconds = 8; /* for all rounds, unless --repeat says how many */
static const double worthwhile = 0.98;   /* of the usual tile's time */

/* One way to compile the network. */
typedef struct Candidate {
  Compilation c;
  Jit *jit;
  JitHooks hooks;
  StageClock *clock; /* of the run under way */
  Times *times;      /* by stage */
} Candidate;

/* Stages of one shape. */
typedef struct Group {
  const char *shape;
  Tile tiles[CANDIDATES];
  double seconds[CANDIDATES]; /* of all its stages; 0: not with this candidate */
  int best;
} Group;

typedef struct Tune {
  Session *session;
  const void **in;
  void **out;
  Candidate candidates[CANDIDATES];
  int n;
  int64_t rounds;
  VEC(Group) groups;
} Tune;

/* ---- compiling ---- */

static bool same_tile(Tile a, Tile b) { return a.columns == b.columns && a.vectors == b.vectors; }

/* Some stage has another tile than usual. */
static bool is_new(const Tune *t, const Compilation *c) {
  const Regions *regions = c->regions, *usual = t->candidates[0].c.regions;
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      if (!same_tile(regions->regions.at[r]->stages[s].tile, usual->regions.at[r]->stages[s].tile))
        return true;
    }
  return false;
}

static Jit *compile(Tune *t, Compilation *c, bool profile) {
  EmitOptions emit = t->session->emit;
  emit.prefix = "network";
  emit.profile = profile;
  return jit_new(c->program, c->target, &emit, &t->session->diag);
}

/* The next candidate; false after an error. *more: there was one. */
static bool add_candidate(Tune *t, bool *more) {
  Arena *arena = t->session->arena;
  Candidate *candidate = &t->candidates[t->n];
  candidate->c = t->session->compilation;
  candidate->c.tile_candidate = t->n;
  if (!pipeline_go_on(&candidate->c, STAGE_GRAPH, STAGE_PLAN))
    return false;
  *more = t->n == 0 || is_new(t, &candidate->c);
  if (!*more)
    return true;
  size_t stages = candidate->c.program->stages.len;
  candidate->times = ARENA_ARRAY(arena, Times, stages + 1);
  candidate->clock = stage_clock_new(arena, stages, candidate->c.options->threads);
  candidate->hooks = stage_clock_hooks(candidate->clock);
  candidate->jit = compile(t, &candidate->c, true);
  if (!candidate->jit)
    return false;
  jit_set_hooks(candidate->jit, &candidate->hooks);
  t->n++;
  return true;
}

/* ---- measuring ---- */

static double timed_run(const Tune *t, Jit *jit) {
  int threads = t->session->compilation.options->threads;
  double start = run_seconds(threads);
  jit_run(jit, t->in, t->out);
  return run_seconds(threads) - start;
}

static void measure(Tune *t) {
  int64_t repeat = t->session->compilation.options->repeat;
  timed_run(t, t->candidates[0].jit);
  int64_t rounds = (int64_t)(default_seconds / (2 * t->n * timed_run(t, t->candidates[0].jit) + 1e-9));
  t->rounds = repeat ? repeat : rounds < LEAST_ROUNDS ? LEAST_ROUNDS : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
  for (int k = 0; k < t->n; k++)
    for (size_t s = 0; s < t->candidates[k].c.program->stages.len; s++)
      t->candidates[k].times[s] = times_new(t->session->arena, t->rounds);
  for (int64_t round = 0; round < t->rounds; round++)
    for (int k = 0; k < t->n; k++) {
      Candidate *candidate = &t->candidates[k];
      size_t stages = candidate->c.program->stages.len;
      timed_run(t, candidate->jit); /* brings its weights into the caches */
      stage_clock_reset(candidate->clock);
      timed_run(t, candidate->jit);
      for (size_t s = 0; s < stages; s++)
        candidate->times[s].seconds[round] = stage_clock_seconds(candidate->clock, s);
    }
}

/* ---- choosing ---- */

static Group *group_of(Tune *t, const char *shape) {
  for (size_t i = 0; i < t->groups.len; i++)
    if (strcmp(t->groups.at[i].shape, shape) == 0)
      return &t->groups.at[i];
  VEC_PUSH(t->session->arena, t->groups, (Group){.shape = shape});
  return &t->groups.at[t->groups.len - 1];
}

static void add_times(Tune *t, int k) {
  Candidate *candidate = &t->candidates[k];
  const Regions *regions = candidate->c.regions;
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Stage *stage = &regions->regions.at[r]->stages[s];
      if (!stage->tile.columns)
        continue;
      Group *group = group_of(t, stage_shape_text(t->session->arena, stage));
      const ProgramStage *measured = loop_stage(candidate->c.program, stage->node->path);
      group->tiles[k] = stage->tile;
      if (k && same_tile(stage->tile, group->tiles[0]))
        continue; /* it has no such candidate: this is the usual one, once more */
      group->seconds[k] += times_quantile(&candidate->times[measured->index], 0.5);
    }
}

static void choose(Tune *t) {
  for (int k = 0; k < t->n; k++)
    add_times(t, k);
  for (size_t i = 0; i < t->groups.len; i++) {
    Group *group = &t->groups.at[i];
    for (int k = 1; k < t->n; k++) {
      double most = group->best ? group->seconds[group->best] : worthwhile * group->seconds[0];
      if (group->seconds[k] > 0 && group->seconds[k] < most)
        group->best = k;
    }
  }
}

/* ---- the file ---- */

static void write_tuned(Writer *w, const Tune *t, bool entries) {
  const Regions *regions = t->candidates[0].c.regions;
  write_f(w, "// Register tiles for %s, measured by mncc tune. Read by --tuned.\n%s\n", regions->graph->name,
          region_tuned_target(regions));
  for (size_t i = 0; i < t->groups.len && entries; i++) {
    const Group *group = &t->groups.at[i];
    const Tile *tile = &group->tiles[group->best], *usual = &group->tiles[0];
    if (group->best)
      write_f(w, "%s: tile %lldx%lld  // %.4f ms; %lldx%lld takes %.4f ms\n", group->shape, (long long)tile->columns,
              (long long)tile->vectors, 1e3 * group->seconds[group->best], (long long)usual->columns,
              (long long)usual->vectors, 1e3 * group->seconds[0]);
  }
}

/* The whole with the chosen tiles against the whole as usual, both without hooks; false after an error. */
static bool measure_whole(Tune *t, const Writer *w, double seconds[2]) {
  Source *source = ARENA_NEW(t->session->arena, Source);
  *source = (Source){"<tuned>", arena_strndup(t->session->arena, w->data, w->len), (uint32_t)w->len};
  Compilation c = t->session->compilation;
  c.tuned_file = source;
  if (!pipeline_go_on(&c, STAGE_GRAPH, STAGE_PLAN))
    return false;
  Jit *jits[2] = {compile(t, &t->candidates[0].c, false), compile(t, &c, false)};
  bool ok = jits[0] && jits[1];
  if (ok) {
    Times times[2] = {times_new(t->session->arena, t->rounds), times_new(t->session->arena, t->rounds)};
    for (int64_t round = 0; round < t->rounds; round++)
      for (int k = 0; k < 2; k++) {
        timed_run(t, jits[k]);
        times[k].seconds[round] = timed_run(t, jits[k]);
      }
    for (int k = 0; k < 2; k++)
      seconds[k] = times_quantile(&times[k], 0.5);
  }
  jit_free(jits[0]);
  jit_free(jits[1]);
  return ok;
}

static int write_result(Tune *t) {
  double seconds[2] = {0, 0};
  size_t chosen = 0;
  for (size_t i = 0; i < t->groups.len; i++)
    chosen += t->groups.at[i].best > 0;
  Writer w;
  writer_init(&w);
  write_tuned(&w, t, true);
  bool ok = !chosen || measure_whole(t, &w, seconds);
  bool faster = chosen && seconds[1] < seconds[0];
  if (ok && !faster) {
    writer_free(&w);
    writer_init(&w);
    write_tuned(&w, t, false);
  }
  int status = ok ? session_write(t->session, &w) : session_failed(t->session);
  writer_free(&w);
  if (status != EXIT_FINE)
    return status;
  fprintf(stderr, "%zu shapes, %d tiles of each at most, %lld rounds: ", t->groups.len, t->n, (long long)t->rounds);
  if (faster)
    fprintf(stderr, "%zu other tiles, %.4f ms instead of %.4f ms\n", chosen, 1e3 * seconds[1], 1e3 * seconds[0]);
  else
    fprintf(stderr, "nothing is faster than the usual tiles\n");
  return EXIT_FINE;
}

/* ---- the command ---- */

static int tune_candidates(Tune *t) {
  bool more = true;
  while (more && t->n < CANDIDATES)
    if (!add_candidate(t, &more))
      return session_failed(t->session);
  measure(t);
  choose(t);
  return write_result(t);
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
  int status = ports_prepare(session, STAGE_NETWORK, &inputs, &outputs);
  if (status != EXIT_FINE)
    return status;
  Tune t = {.session = session, .in = ports_in(session, &inputs), .out = ports_out(session, &outputs)};
  status = tune_candidates(&t);
  for (int k = 0; k < t.n; k++)
    jit_free(t.candidates[k].jit);
  return status;
}

#else

static int tune(Session *session) {
  diag_error(&session->diag, nowhere, "this mncc was built without LLVM: tune compiles in memory by LLVM");
  return EXIT_USER;
}

#endif

int command_tune(const Options *options) { return session_run(options, "tune", tune); }
