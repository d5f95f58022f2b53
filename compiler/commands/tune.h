/* What the parts of mncc tune share: ways to compile the network, and how they
 * are measured against each other.
 *
 * A choice is text, in the form in which it can be asked for on the command line:
 * `region` lines for --regions, lines with tiles for --tuned. A candidate is the
 * network compiled with a choice.
 *
 * Candidates run in turn, round by round, and are compared within each round, so
 * that what disturbs the machine meets all. How fast one is depends on where it
 * lies in memory too, by more than what is looked for. So rounds are in series:
 * before each all candidates move to other memory, and how far the series differ
 * from one another says how sure their mean is. */
#ifndef MNCC_COMMANDS_TUNE_H
#define MNCC_COMMANDS_TUNE_H

#include <stdatomic.h>

#include "commands/session.h"
#include "commands/stage_clock.h"
#include "commands/times.h"

typedef struct Choice {
  const char *regions; /* lines of a regions file; null: as the model chooses */
  const char *tiles;   /* lines of a tuned file, with its head; null: as the model chooses */
} Choice;

typedef struct Tune {
  Session *session;
  const void **in;
  void **out;
  double begun, budget;  /* seconds: when it began (pipeline_seconds), how long it may take */
  double compile_seconds, run_seconds, move_seconds; /* of one candidate: the least that compiling took, the first run and move */
  int64_t rounds;        /* 0: as many as there is time for */
} Tune;

/* A line on standard error: the seconds so far, and what has come out. */
void tune_say(const Tune *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- candidates (tune_measure.c) ---- */

typedef struct Candidate {
  Arena *arena; /* holds all that the compilation has built */
  Diag diag;
  Compilation c;
  Jit *jit;
  JitHooks hooks;
  /* Of the last run: */
  double begun, ended;          /* seconds by run_seconds, as all that is measured */
  StageClock *clock;            /* WATCH_STAGES */
  _Atomic int64_t *stage_begun; /* WATCH_BEGINS: nanoseconds of run_seconds at its first call, by ProgramStage.index; 0: none */
} Candidate;

typedef enum Watch {
  WATCH_NOTHING, /* no hooks at all */
  WATCH_BEGINS,  /* when each stage begins */
  WATCH_STAGES   /* how long each stage takes */
} Watch;

/* Compiles the network with a choice; tile_candidate: see Regions.candidate. False if it cannot be, which is reported if it is all
 * the model's: another choice just does not fit. candidate_free in either case. The candidate stays where it is until then. */
bool candidate_new(Tune *t, const Choice *choice, int tile_candidate, Watch watch, Candidate *candidate);
void candidate_free(Candidate *candidate);
/* Whether the passes take the choice; nothing is compiled to run. */
bool candidate_fits(Tune *t, const Choice *choice);

/* Runs it once to bring what it reads into the caches, then once more; the seconds of that (of this thread, where it is the only one). */
double candidate_run(const Tune *t, Candidate *candidate);

/* Moves it to other memory. False after an error. */
bool candidate_move(Tune *t, Candidate *candidate);

/* Rounds of n candidates for which there are `seconds`. */
int64_t tune_rounds(const Tune *t, int n, double seconds);
/* Round `round` of `rounds` is the first of a series. */
bool tune_series_begins(int64_t rounds, int64_t round);
/* What these rounds then take, in seconds. */
double tune_measuring(const Tune *t, int n, double seconds);
double tune_seconds_left(const Tune *t);

/* ---- comparing ---- */

/* How much of the usual time something takes. */
typedef struct Ratio {
  double mean;    /* of the series, without the extreme ones */
  double error;   /* its standard error; infinite for a single series */
  int64_t series; /* those that count */
} Ratio;

/* What counts of a series. Other work only adds to the time of a run, sometimes to most of them, above all where several threads
 * wait for one another; but the least is fair only between times that each come from one candidate. */
typedef enum Within { WITHIN_MEDIAN, WITHIN_LEAST } Within;

/* Of `other` to `usual`, which have been measured in the same rounds. */
Ratio ratio_of(Arena *arena, const Times *other, const Times *usual, Within within);
/* It is less by so much (0.01: one percent) at least, and by chance less than one only once in forty times. */
bool ratio_wins(Ratio ratio, double at_least);
/* Nor is it likely to be after more rounds: by chance it would be as great as it is only once in forty times. */
bool ratio_loses(Ratio ratio, double at_least);

typedef struct Verdict {
  Ratio ratio;       /* of the other choice's times to the usual one's */
  double medians[2]; /* seconds: of the usual choice, of the other */
  bool wins;         /* the other */
} Verdict;

/* Measures the whole network with both choices, whether the other wins by `at_least`: for so many seconds, and as long as it is
 * not clear some times that. False if one of them cannot be compiled, or after an error. */
bool tune_compare(Tune *t, const Choice *usual, const Choice *other, double seconds, double at_least, Verdict *verdict);

/* ---- what is chosen ---- */

/* Regions, rows, layouts, and how work is divided for threads (tune_regions.c). Sets choice->regions if something wins, and adds
 * to *moves what was changed. False after an error. Goes on until `left` seconds of the budget are left. */
bool tune_regions(Tune *t, Choice *choice, double left, int *moves);

/* Register tiles (tune_tiles.c). Sets choice->tiles if something wins. False after an error. */
bool tune_tiles(Tune *t, Choice *choice);

#endif
