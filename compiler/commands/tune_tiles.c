/* Which register tiles are the fastest.
 *
 * The network is compiled several times: as usual, then with each stage's second
 * best tile by the model's cost, its third best, and so on. All of these run in
 * every round, with clocks around the calls of each stage, so that it is measured
 * where it stands, fused and with the caches as they are then. Stages of one shape
 * are added up. Those tiles that beat the usual ones by more than the noise are
 * chosen, if the whole is faster with all of them, or else with the better half,
 * and so on. */
#include <stdlib.h>
#include <string.h>

#include "commands/tune.h"

#if MNCC_HAVE_LLVM

enum { CANDIDATES = 8 };
static const double measuring = 8;        /* seconds for all rounds */
static const double worthwhile = 0.02;    /* of the usual tile's time */
static const double comparing = 3;        /* seconds for comparing wholes */
static const double whole_worthwhile = 0.002;

/* Stages of one shape. */
typedef struct Group {
  const char *shape;
  Tile tiles[CANDIDATES];
  Times times[CANDIDATES]; /* of all its stages; n is 0 where there is no such candidate */
  Ratio ratios[CANDIDATES];
  int best;
  double gain; /* seconds that the best one saves */
} Group;

typedef struct Tiles {
  Tune *tune;
  const Choice *choice;
  Arena *arena;
  Candidate candidates[CANDIDATES];
  int n;
  int64_t rounds;
  VEC(Group) groups;
} Tiles;

static bool same_tile(Tile a, Tile b) { return a.columns == b.columns && a.vectors == b.vectors; }

/* ---- candidates ---- */

/* Some stage has another tile than usual. */
static bool is_new(const Tiles *t, const Compilation *c) {
  const Regions *regions = c->regions, *usual = t->candidates[0].c.regions;
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++)
      if (!same_tile(regions->regions.at[r]->stages[s].tile, usual->regions.at[r]->stages[s].tile))
        return true;
  return false;
}

/* The usual tiles, and then others, as long as there are some and time to measure them. False after an error. */
static bool make_candidates(Tiles *t) {
  /* What comes behind takes time too. */
  double behind = tune_measuring(t->tune, CANDIDATES, measuring) + 4 * t->tune->compile_seconds;
  while (t->n < CANDIDATES && (t->n < 2 || tune_seconds_left(t->tune) > behind)) {
    Candidate *candidate = &t->candidates[t->n];
    bool ok = candidate_new(t->tune, t->choice, t->n, WATCH_STAGES, candidate);
    if (ok && (t->n == 0 || is_new(t, &candidate->c))) {
      t->n++;
      continue;
    }
    candidate_free(candidate);
    return ok;
  }
  return true;
}

/* ---- measuring ---- */

static Group *group_of(Tiles *t, const char *shape) {
  for (size_t i = 0; i < t->groups.len; i++)
    if (strcmp(t->groups.at[i].shape, shape) == 0)
      return &t->groups.at[i];
  VEC_PUSH(t->arena, t->groups, (Group){.shape = shape});
  return &t->groups.at[t->groups.len - 1];
}

/* What stages add to their groups, in one round or, before the first, nothing but their tiles. */
static void add_stages(Tiles *t, int k, int64_t round) {
  const Regions *regions = t->candidates[k].c.regions;
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Stage *stage = &regions->regions.at[r]->stages[s];
      if (!stage->tile.columns)
        continue;
      Group *group = group_of(t, stage_shape_text(t->candidates[k].arena, stage));
      if (round < 0) {
        bool other = k == 0 || !same_tile(stage->tile, group->tiles[0]); /* else it has no such candidate: it is the usual one again */
        group->tiles[k] = stage->tile;
        group->times[k] = times_new(t->arena, other ? t->rounds : 0);
      } else if (group->times[k].n) {
        const ProgramStage *measured = loop_stage(t->candidates[k].c.program, stage->node->path);
        group->times[k].seconds[round] += stage_clock_seconds(t->candidates[k].clock, (size_t)measured->index);
      }
    }
}

/* False after an error. */
static bool measure(Tiles *t) {
  t->rounds = tune_rounds(t->tune, t->n, measuring);
  for (int k = 0; k < t->n; k++)
    add_stages(t, k, -1);
  for (int64_t round = 0; round < t->rounds; round++) {
    for (int k = 0; k < t->n && tune_series_begins(t->rounds, round); k++)
      if (!candidate_move(t->tune, &t->candidates[k]))
        return false;
    for (int k = 0; k < t->n; k++) {
      int which = (k + (int)round) % t->n;
      candidate_run(t->tune, &t->candidates[which]);
      add_stages(t, which, round);
    }
  }
  return true;
}

static int by_gain(const void *a, const void *b) {
  const Group *x = a, *y = b;
  if (x->gain != y->gain)
    return x->gain < y->gain ? 1 : -1;
  return strcmp(x->shape, y->shape);
}

/* Chooses, and puts in front what gains most; how many groups have another tile. */
static int choose(Tiles *t) {
  int chosen = 0;
  for (size_t i = 0; i < t->groups.len; i++) {
    Group *group = &t->groups.at[i];
    group->ratios[0].mean = 1;
    for (int k = 1; k < t->n; k++) {
      if (!group->times[k].n)
        continue;
      group->ratios[k] = ratio_of(t->arena, &group->times[k], &group->times[0], WITHIN_MEDIAN);
      if (ratio_wins(group->ratios[k], worthwhile) && group->ratios[k].mean < group->ratios[group->best].mean)
        group->best = k;
    }
    Times usual = group->times[0];
    group->gain = group->best ? (1 - group->ratios[group->best].mean) * times_quantile(&usual, 0.5) : 0;
    chosen += group->best > 0;
  }
  if (t->groups.len)
    qsort(t->groups.at, t->groups.len, sizeof *t->groups.at, by_gain);
  return chosen;
}

/* The tiles of the first groups. */
static const char *tiles_text(Tiles *t, int chosen) {
  Writer w;
  writer_init(&w);
  write_f(&w, "%s\n", region_tuned_target(t->arena, t->candidates[0].c.target));
  for (int i = 0; i < chosen; i++) {
    Group *group = &t->groups.at[i];
    const Tile *tile = &group->tiles[group->best], *usual = &group->tiles[0];
    write_f(&w, "%s: tile %lldx%lld  // %.4f ms; %lldx%lld takes %.4f ms\n", group->shape, (long long)tile->columns,
            (long long)tile->vectors, 1e3 * times_quantile(&group->times[group->best], 0.5), (long long)usual->columns,
            (long long)usual->vectors, 1e3 * times_quantile(&group->times[0], 0.5));
  }
  return writer_take(&w, t->tune->session->arena);
}

bool tune_tiles(Tune *tune, Choice *choice) {
  Tiles t = {.tune = tune, .choice = choice, .arena = arena_new()};
  bool ok = make_candidates(&t) && measure(&t);
  int found = ok ? choose(&t) : 0, chosen = found;
  Choice other = *choice;
  Verdict verdict = {0};
  while (chosen && !verdict.wins) {
    other.tiles = tiles_text(&t, chosen);
    if (!tune_compare(tune, choice, &other, comparing, whole_worthwhile, &verdict) || !verdict.wins)
      chosen = tune_seconds_left(tune) > 8 * tune->compile_seconds ? chosen / 2 : 0;
  }
  tune_say(tune, "%zu shapes, %d tiles of each at most, %lld rounds: %s", t.groups.len, t.n, (long long)t.rounds,
           verdict.wins ? arena_printf(t.arena, "%d other tiles, %.2f %% of the time saved", chosen, 100 * (1 - verdict.ratio.mean))
           : found      ? arena_printf(t.arena, "%d other tiles do not make the whole faster", found)
                        : "the usual tiles are the fastest");
  for (int k = 0; k < CANDIDATES; k++)
    candidate_free(&t.candidates[k]);
  if (verdict.wins)
    choice->tiles = other.tiles;
  arena_free(t.arena);
  return ok;
}

#endif
