/* Which operators run together, how many rows a step makes, how results are
 * stored, and how work is divided for threads.
 *
 * The search is greedy. From a partition of the operators, in the order in which
 * they run, moves lead to others: a region is cut in two, two become one, steps
 * get more or fewer rows, a result is stored in blocks of channels or not, a
 * stage is divided in another way. A move changes the regions of its window, and
 * perhaps the time of the one behind it, which finds other things in the caches.
 * So moves whose windows lie apart are tried in one candidate: hooks note when
 * each stage begins, and windows are compared with the same stretch of the usual
 * candidate in the same round. The moves that win are made together, and the
 * whole, without hooks, must be faster; then the search goes on from there, the
 * moves with the largest share of the time first, until there are no more of
 * them or no time. */
#include <stdlib.h>
#include <string.h>

#include "commands/tune.h"

#if MNCC_HAVE_LLVM

enum { TRIALS = 6, MOST_MOVES = 4096 };
static const double measuring = 3;      /* seconds for the rounds of a batch, and for comparing wholes */
static const double least_share = 0.01; /* of the time, that a window takes to be worth it */
static const double worthwhile = 0.01;  /* of the window's time */
static const double whole_worthwhile = 0.002;

/* ---- partitions ---- */

/* A stage in a partition. */
typedef struct Member {
  const Node *node;
  int64_t rows, step_rows;
  bool begins; /* a region */
  Cut cut;
  int64_t part_size;
  int64_t layout;
} Member;

typedef struct Partition {
  Member *members;
  int n;
} Partition;

static int region_begin(const Partition *p, int at) {
  while (!p->members[at].begins)
    at--;
  return at;
}

static int region_end(const Partition *p, int at) {
  for (at++; at < p->n && !p->members[at].begins;)
    at++;
  return at;
}

/* The partition that a compilation has; how it is divided for threads is left to be chosen again. */
static Partition partition_of(Arena *arena, const Regions *regions) {
  Partition p = {ARENA_ARRAY(arena, Member, regions->graph->nodes.len), 0};
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Stage *stage = &regions->regions.at[r]->stages[s];
      p.members[p.n++] = (Member){stage->node, stage->rows, stage->step_rows, s == 0, CUT_CHOOSE, 0, stage->layout};
    }
  return p;
}

static Partition partition_copy(Arena *arena, const Partition *p) {
  Partition copy = {ARENA_ARRAY(arena, Member, p->n), p->n};
  memcpy(copy.members, p->members, (size_t)p->n * sizeof *p->members);
  return copy;
}

/* The region lines of members [lo, hi). */
static const char *partition_text(Arena *arena, const Partition *p, int lo, int hi) {
  Writer w;
  writer_init(&w);
  for (int i = lo; i < hi; i++) {
    const Member *m = &p->members[i];
    if (m->begins)
      write_text(&w, i > lo ? "\nregion" : "region");
    write_f(&w, " %s", m->node->path);
    if (m->step_rows < m->rows)
      write_f(&w, ":%lld", (long long)m->step_rows);
    Stage stage = {.cut = m->cut, .part_size = m->part_size, .layout = m->layout};
    stage_print_choices(&w, &stage);
  }
  write_text(&w, "\n");
  return writer_take(&w, arena);
}

/* Members [lo, hi), a region, make `rows` rows of the last one in a step, and of the others as many as go with it. */
static void set_rows(Partition *p, int lo, int hi, int64_t rows) {
  int64_t all = p->members[hi - 1].rows;
  for (int i = lo; i < hi; i++) {
    Member *m = &p->members[i];
    int64_t step = (rows * m->rows + all - 1) / all;
    m->step_rows = rows >= all || step > m->rows ? m->rows : step;
    m->cut = CUT_CHOOSE;
  }
}

/* ---- moves ---- */

typedef enum MoveKind { MOVE_SPLIT, MOVE_JOIN, MOVE_ROWS, MOVE_LAYOUT, MOVE_CUT } MoveKind;

typedef struct Move {
  MoveKind kind;
  int at;         /* the member that begins a region then, or no longer; that is stored or divided in another way */
  int64_t value;  /* rows; layout; size of a part */
  Cut cut;
  int lo, hi;     /* its window: the members of the regions that change */
  double share;   /* of the time that the window takes */
} Move;

static Partition apply(Arena *arena, const Partition *from, const Move *move) {
  Partition p = partition_copy(arena, from);
  Member *m = &p.members[move->at];
  switch (move->kind) {
  case MOVE_SPLIT:
    m->begins = true;
    for (int i = move->lo; i < move->hi; i++) {
      p.members[i].cut = CUT_CHOOSE;
      if (p.members[i].begins && region_end(&p, i) == i + 1) /* alone */
        p.members[i].step_rows = p.members[i].rows;
    }
    return p;
  case MOVE_JOIN:
    m->begins = false;
    set_rows(&p, move->lo, move->hi, move->value);
    return p;
  case MOVE_ROWS:
    set_rows(&p, move->lo, move->hi, move->value);
    return p;
  case MOVE_LAYOUT:
    m->layout = move->value;
    return p;
  case MOVE_CUT:
    m->cut = move->cut;
    m->part_size = move->value;
    return p;
  }
  return p;
}

typedef struct Search {
  Tune *tune;
  Arena *arena;     /* of all that must stay until the search ends */
  Choice *choice;
  Partition now;
  double *begins;   /* by member of `now`: when it begins, as a share of the run; [n] is 1 */
  int64_t lanes;
  VEC(Move) moves;
  VEC(const char *) tried; /* the lines that moves have led to */
  int made;         /* moves that were made */
} Search;

/* Where the text stands in what was tried; the number of texts if it does not. */
static size_t find_tried(const Search *s, const char *text) {
  size_t i = 0;
  while (i < s->tried.len && strcmp(s->tried.at[i], text) != 0)
    i++;
  return i;
}

static void add_move(Search *s, Move move) {
  move.share = s->begins[move.hi] - s->begins[move.lo];
  if (move.share >= least_share && s->moves.len < MOST_MOVES)
    VEC_PUSH(s->arena, s->moves, move);
}

/* Other numbers of rows for a region: the next divisors and all of them; two more to join two regions. */
static void add_rows(Search *s, MoveKind kind, int at, int lo, int hi) {
  const Partition *p = &s->now;
  int64_t all = p->members[hi - 1].rows, now = p->members[hi - 1].step_rows, found = 0;
  int near = kind == MOVE_JOIN ? 3 : 2;
  if (all < 2)
    return;
  for (int64_t rows = now + (kind == MOVE_ROWS); rows < all && found < near; rows++)
    if (all % rows == 0 && ++found)
      add_move(s, (Move){.kind = kind, .at = at, .value = rows, .lo = lo, .hi = hi});
  found = 0;
  for (int64_t rows = (now < all ? now : all) - 1; rows > 0 && found < near; rows--)
    if (all % rows == 0 && ++found)
      add_move(s, (Move){.kind = kind, .at = at, .value = rows, .lo = lo, .hi = hi});
  if (kind == MOVE_ROWS && now < all)
    add_move(s, (Move){.kind = kind, .at = at, .value = all, .lo = lo, .hi = hi});
}

/* The members of the regions that make or read the result of member `at`. */
static void readers_window(const Partition *p, int at, int *lo, int *hi) {
  *lo = region_begin(p, at);
  *hi = region_end(p, at);
  const GTensor *tensor = p->members[at].node->output;
  for (int i = at + 1; i < p->n; i++)
    for (int k = 0; k < p->members[i].node->n_inputs; k++)
      if (p->members[i].node->inputs[k] == tensor)
        *hi = region_end(p, i);
}

/* The other layout of a result in the arena that has more than one pixel and more channels than a vector. */
static void add_layout(Search *s, const Regions *regions, int at) {
  const GTensor *tensor = s->now.members[at].node->output;
  int64_t hwc[3], block = regions->channel_block[tensor->id];
  shape_hwc(&tensor->shape, hwc);
  if (tensor->output >= 0 || hwc[0] * hwc[1] < 2 || hwc[2] <= s->lanes)
    return;
  int lo, hi;
  readers_window(&s->now, at, &lo, &hi);
  add_move(s, (Move){.kind = MOVE_LAYOUT, .at = at, .value = block ? 0 : s->lanes, .lo = lo, .hi = hi});
}

/* Other ways to divide a stage for threads. */
static void add_cuts(Search *s, const Regions *regions, const Region *region, int at) {
  static const Cut cuts[] = {CUT_NONE, CUT_ROWS, CUT_PIXELS, CUT_CHANNELS};
  int lo = region_begin(&s->now, at), hi = region_end(&s->now, at);
  const Stage *stage = &region->stages[at - lo];
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts && regions->threads > 1; i++) {
    int64_t size = stage_part_size(regions, region, stage, cuts[i]);
    if (cuts[i] != stage->cut && (cuts[i] != CUT_NONE || stage->cut != CUT_CHOOSE) && (size || cuts[i] == CUT_NONE))
      add_move(s, (Move){.kind = MOVE_CUT, .at = at, .cut = cuts[i], .value = size, .lo = lo, .hi = hi});
  }
}

static int by_share(const void *a, const void *b) {
  const Move *x = a, *y = b;
  if (x->share != y->share)
    return x->share < y->share ? 1 : -1;
  if (x->kind != y->kind)
    return x->kind < y->kind ? -1 : 1;
  if (x->at != y->at)
    return x->at < y->at ? -1 : 1;
  return (x->value > y->value) - (x->value < y->value);
}

/* All moves from here that were not tried, those with the largest share first. */
static void find_moves(Search *s, const Regions *regions) {
  s->moves.len = 0;
  const Partition *p = &s->now;
  for (size_t r = 0, at = 0; r < regions->regions.len; r++) {
    const Region *region = regions->regions.at[r];
    int lo = (int)at, hi = lo + region->n_stages;
    add_rows(s, MOVE_ROWS, lo, lo, hi);
    if (hi < p->n && p->members[hi - 1].rows > 1)
      add_rows(s, MOVE_JOIN, hi, lo, region_end(p, hi));
    for (int i = lo; i < hi; i++) {
      if (i > lo)
        add_move(s, (Move){.kind = MOVE_SPLIT, .at = i, .lo = lo, .hi = hi});
      add_layout(s, regions, i);
      add_cuts(s, regions, region, i);
    }
    at += (size_t)region->n_stages;
  }
  if (s->moves.len)
    qsort(s->moves.at, s->moves.len, sizeof *s->moves.at, by_share);
  size_t n = 0;
  Arena *scratch = arena_new();
  for (size_t i = 0; i < s->moves.len; i++) {
    const Move *move = &s->moves.at[i];
    Partition q = apply(scratch, p, move);
    if (find_tried(s, partition_text(scratch, &q, move->lo, move->hi)) == s->tried.len)
      s->moves.at[n++] = *move;
  }
  s->moves.len = n;
  arena_free(scratch);
}

/* ---- a batch of candidates ---- */

typedef struct Trial {
  Candidate candidate;
  VEC(Move) moves;
  Partition partition;
  bool compiles;
} Trial;

typedef struct Batch {
  Search *search;
  Arena *arena;
  Candidate usual;
  Trial trials[TRIALS];
  int most, n;
  int64_t rounds;
  double *begins[TRIALS + 1]; /* seconds of the usual one and of the trials: by round and member, and one more for the end */
} Batch;

/* Where what a window does is over: behind the region that follows it. */
static int window_end(const Partition *p, const Move *move) { return move->hi < p->n ? region_end(p, move->hi) : p->n; }

static bool lies_apart(const Partition *p, const Trial *trial, const Move *move) {
  for (size_t i = 0; i < trial->moves.len; i++) {
    const Move *other = &trial->moves.at[i];
    if (move->lo < window_end(p, other) && other->lo < window_end(p, move))
      return false;
  }
  return true;
}

/* Deals out moves to trials, the first ones first; those that go nowhere stay. */
static void deal(Batch *b) {
  Search *s = b->search;
  size_t left = 0;
  for (size_t i = 0; i < s->moves.len; i++) {
    const Move move = s->moves.at[i];
    int k = 0;
    while (k < b->most && !lies_apart(&s->now, &b->trials[k], &move))
      k++;
    if (k == b->most) {
      s->moves.at[left++] = move;
      continue;
    }
    Trial *trial = &b->trials[k];
    if (!trial->moves.len)
      trial->partition = s->now;
    VEC_PUSH(b->arena, trial->moves, move);
    trial->partition = apply(b->arena, &trial->partition, &move);
    VEC_PUSH(s->arena, s->tried, partition_text(s->arena, &trial->partition, move.lo, move.hi));
    b->n = k + 1 > b->n ? k + 1 : b->n;
  }
  s->moves.len = left;
}

static bool compile(Batch *b, const Partition *p, Candidate *candidate) {
  Choice choice = {partition_text(b->arena, p, 0, p->n), b->search->choice->tiles};
  return candidate_new(b->search->tune, &choice, 0, WATCH_BEGINS, candidate);
}

/* Compiles what was dealt; without the moves that make a trial impossible. */
static bool compile_all(Batch *b) {
  Search *s = b->search;
  if (!compile(b, &s->now, &b->usual))
    return false;
  for (int k = 0; k < b->n; k++) {
    Trial *trial = &b->trials[k];
    trial->compiles = compile(b, &trial->partition, &trial->candidate);
    for (size_t i = 0; !trial->compiles && i < trial->moves.len;) {
      candidate_free(&trial->candidate);
      Partition alone = apply(b->arena, &s->now, &trial->moves.at[i]);
      Choice choice = {partition_text(b->arena, &alone, 0, alone.n), s->choice->tiles};
      if (candidate_fits(s->tune, &choice)) {
        i++;
        continue;
      }
      trial->moves.at[i] = trial->moves.at[--trial->moves.len];
    }
    if (!trial->compiles && trial->moves.len) {
      trial->partition = s->now;
      for (size_t i = 0; i < trial->moves.len; i++)
        trial->partition = apply(b->arena, &trial->partition, &trial->moves.at[i]);
      trial->compiles = compile(b, &trial->partition, &trial->candidate);
    }
  }
  return true;
}

/* When members begin in the run that is over; what is not there any more begins with the next one. */
static void note_begins(const Partition *p, const Candidate *candidate, double *begins) {
  begins[p->n] = candidate->ended - candidate->begun;
  for (int i = p->n - 1; i >= 0; i--) {
    const ProgramStage *stage = loop_stage(candidate->c.program, p->members[i].node->path);
    double begun = 1e-9 * (double)candidate->stage_begun[stage->index] - candidate->begun;
    begins[i] = begun > 0 && begun < begins[i + 1] ? begun : begins[i + 1];
  }
  begins[0] = 0;
}

/* The usual candidate, or that of trial which - 1; null if it does not compile. */
static Candidate *candidate_at(Batch *b, int which) {
  if (which == 0)
    return &b->usual;
  return b->trials[which - 1].compiles ? &b->trials[which - 1].candidate : NULL;
}

/* False after an error. */
static bool measure(Batch *b) {
  Tune *t = b->search->tune;
  int members = b->search->now.n + 1;
  b->rounds = tune_rounds(t, b->n + 1, measuring);
  for (int k = 0; k <= b->n; k++)
    b->begins[k] = ARENA_ARRAY(b->arena, double, b->rounds * members);
  for (int64_t round = 0; round < b->rounds; round++) {
    for (int k = 0; k <= b->n && tune_series_begins(b->rounds, round); k++)
      if (candidate_at(b, k) && !candidate_move(t, candidate_at(b, k)))
        return false;
    for (int k = 0; k <= b->n; k++) {
      int which = (k + (int)round) % (b->n + 1);
      Candidate *candidate = candidate_at(b, which);
      if (!candidate)
        continue;
      candidate_run(t, candidate);
      note_begins(&b->search->now, candidate, b->begins[which] + round * members);
    }
  }
  return true;
}

/* Seconds from member lo to member hi in a round. */
static double span(const Batch *b, int which, int64_t round, int lo, int hi) {
  const double *begins = b->begins[which] + round * (b->search->now.n + 1);
  return begins[hi] - begins[lo];
}

static Times window_times(const Batch *b, int which, int lo, int hi) {
  Times times = times_new(b->arena, b->rounds);
  for (int64_t i = 0; i < b->rounds; i++)
    times.seconds[i] = span(b, which, i, lo, hi);
  return times;
}

/* Of the usual window, that of a move: the median of all candidates that leave it as it is. What is compiled twice is not
 * equally fast, for it lies in other memory, and the usual candidate alone would tell its luck. */
static Times usual_times(const Batch *b, const Move *move, int hi) {
  Times times = times_new(b->arena, b->rounds);
  for (int64_t i = 0; i < b->rounds; i++) {
    double spans[TRIALS + 1];
    Times all = {spans, 0};
    spans[all.n++] = span(b, 0, i, move->lo, hi);
    for (int k = 0; k < b->n; k++)
      if (b->trials[k].compiles && lies_apart(&b->search->now, &b->trials[k], move))
        spans[all.n++] = span(b, k + 1, i, move->lo, hi);
    times.seconds[i] = times_quantile(&all, 0.5);
  }
  return times;
}

/* A move that has won. */
typedef struct Winner {
  Move move;
  double gain; /* seconds */
} Winner;

static int by_gain(const void *a, const void *b) {
  const Winner *x = a, *y = b;
  return (x->gain < y->gain) - (x->gain > y->gain);
}

typedef VEC(Winner) Winners;

/* The moves of the batch that win, those that gain most first. */
static Winners find_winners(Batch *b) {
  Winners winners = {0};
  for (int k = 0; k < b->n; k++)
    for (size_t i = 0; b->trials[k].compiles && i < b->trials[k].moves.len; i++) {
      const Move *move = &b->trials[k].moves.at[i];
      int end = window_end(&b->search->now, move);
      Times usual = usual_times(b, move, end), other = window_times(b, k + 1, move->lo, end);
      Ratio ratio = ratio_of(b->arena, &other, &usual, WITHIN_MEDIAN);
      if (ratio_wins(ratio, worthwhile))
        VEC_PUSH(b->arena, winners, ((Winner){*move, (1 - ratio.mean) * times_quantile(&usual, 0.5)}));
    }
  if (winners.len)
    qsort(winners.at, winners.len, sizeof *winners.at, by_gain);
  return winners;
}

/* Of winners whose windows overlap the first one. */
static Winners apart(Batch *b, const Winners *winners) {
  Winners best = {0};
  Trial chosen = {0};
  for (size_t i = 0; i < winners->len; i++)
    if (lies_apart(&b->search->now, &chosen, &winners->at[i].move)) {
      VEC_PUSH(b->arena, chosen.moves, winners->at[i].move);
      VEC_PUSH(b->arena, best, winners->at[i]);
    }
  return best;
}

/* Others are in another place now: what has won and was not made may be tried again. */
static void forget(Batch *b, const Partition *before, const Winners *winners) {
  Search *s = b->search;
  for (size_t i = 0; i < winners->len; i++) {
    const Move *move = &winners->at[i].move;
    Partition p = apply(b->arena, before, move);
    size_t at = find_tried(s, partition_text(b->arena, &p, move->lo, move->hi));
    if (at < s->tried.len)
      s->tried.at[at] = s->tried.at[--s->tried.len];
  }
}

/* Makes the moves that win if the whole is faster then; else the better half of them, and so on. True if some were made. */
static bool make(Batch *b, Winners *winners) {
  Search *s = b->search;
  for (; winners->len; winners->len /= 2) {
    Partition p = s->now;
    for (size_t i = 0; i < winners->len; i++)
      p = apply(s->arena, &p, &winners->at[i].move);
    Choice now = {partition_text(b->arena, &s->now, 0, s->now.n), s->choice->tiles}, other = now;
    other.regions = partition_text(s->tune->session->arena, &p, 0, p.n);
    Verdict verdict;
    if (tune_compare(s->tune, &now, &other, measuring, whole_worthwhile, &verdict) && verdict.wins) {
      s->now = p;
      s->choice->regions = other.regions;
      s->made += (int)winners->len;
      tune_say(s->tune, "%zu move%s of regions: %.4f ms instead of %.4f ms, ratio %.4f +- %.4f", winners->len,
               winners->len == 1 ? "" : "s", 1e3 * verdict.medians[1], 1e3 * verdict.medians[0], verdict.ratio.mean, verdict.ratio.error);
      return true;
    }
  }
  return false;
}

static void batch_free(Batch *b) {
  candidate_free(&b->usual);
  for (int k = 0; k < TRIALS; k++)
    candidate_free(&b->trials[k].candidate);
  arena_free(b->arena);
}

/* The candidates for which there is time, so that `left` seconds are left. */
static int trials_in_time(const Search *s, double left) {
  const Tune *t = s->tune;
  double seconds = tune_seconds_left(t) - left - tune_measuring(t, TRIALS + 1, measuring), trials = seconds / t->compile_seconds - 1;
  return trials < 1 ? 0 : trials < (double)TRIALS ? (int)trials : TRIALS;
}

/* Tries the first moves, in `most` candidates. False after an error. */
static bool run_batch(Search *s, int most, bool *made) {
  Batch *b = ARENA_NEW(s->arena, Batch);
  b->search = s;
  b->most = most;
  b->arena = arena_new();
  size_t before = s->moves.len;
  deal(b);
  bool ok = compile_all(b) && measure(b);
  *made = false;
  if (ok) {
    Winners winners = find_winners(b), best = apart(b, &winners);
    Partition now = s->now;
    tune_say(s->tune, "%zu of %zu moves of regions tried in %d candidates, %lld rounds: %zu promising", before - s->moves.len, before, b->n,
             (long long)b->rounds, winners.len);
    *made = make(b, &best);
    if (*made)
      forget(b, &now, &winners);
  }
  batch_free(b);
  return ok;
}

/* ---- the search ---- */

/* Looks around from where the search is: where the time goes, and the moves from here. False after an error. */
static bool look_around(Search *s) {
  enum { RUNS = 5 };
  Candidate candidate;
  bool ok = candidate_new(s->tune, s->choice, 0, WATCH_BEGINS, &candidate);
  if (ok && !s->now.n)
    s->now = partition_of(s->arena, candidate.c.regions);
  double *begins = ARENA_ARRAY(s->arena, double, s->now.n + 1);
  s->begins = ARENA_ARRAY(s->arena, double, s->now.n + 1);
  for (int i = 0; ok && i < RUNS; i++) {
    candidate_run(s->tune, &candidate);
    note_begins(&s->now, &candidate, begins);
    for (int k = 0; k <= s->now.n; k++)
      s->begins[k] += begins[k] / begins[s->now.n] / (double)RUNS;
  }
  if (ok)
    find_moves(s, candidate.c.regions);
  candidate_free(&candidate);
  return ok;
}

bool tune_regions(Tune *t, Choice *choice, double left, int *moves) {
  Search s = {.tune = t, .arena = arena_new(), .choice = choice, .lanes = t->session->compilation.target->vector_bytes / 4};
  bool ok = look_around(&s);
  for (int most; ok && s.moves.len && (most = trials_in_time(&s, left)) > 0;) {
    bool made;
    ok = run_batch(&s, most, &made);
    if (ok && made)
      ok = look_around(&s);
  }
  if (ok && s.moves.len)
    tune_say(t, "%zu moves of regions are left; --budget gives more time", s.moves.len);
  *moves += s.made;
  arena_free(s.arena);
  return ok;
}

#endif
