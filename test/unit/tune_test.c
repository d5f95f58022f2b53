/* What mncc tune measures with: a network that moves to other memory computes the
 * same, and ratios win by more than the series differ. */
#include <math.h>
#include <string.h>

#include "commands/tune.h"
#include "check.h"

static Arena *arena;

/* ---- moving ---- */

static int calls;

static void count(void *user, int stage) {
  (void)user;
  (void)stage;
  calls++;
}

static Jit *compile(Compilation *c, EmitOptions *emit, int threads) {
  static const char text[] = "network t() { input x: f32[6, 10, 8]; x -> conv(1x1, 32) -> relu -> depthwise(3x3) -> output y; }";
  Diag *diag = ARENA_NEW(arena, Diag);
  diag_init(diag, arena);
  Source *source = ARENA_NEW(arena, Source);
  *source = (Source){"t.mn", text, (uint32_t)strlen(text)};
  Options *options = ARENA_NEW(arena, Options);
  options->threads = threads;
  *c = (Compilation){.arena = arena, .diag = diag, .options = options, .source = source, .target = target_find("generic")};
  bool stopped;
  CHECK(pipeline_run(c, STAGE_PLAN, NULL, &stopped));
  const WeightDecl **decls = c->network->weights.at;
  emit->weights = weights_random(arena, 1, decls, c->network->weights.len);
  emit->prefix = "t";
  emit->profile = true;
  emit->optimize = 1;
  return jit_new(c->program, c->target, emit, diag);
}

static void test_move(int threads) {
  enum { IN = 6 * 10 * 8, OUT = 6 * 10 * 32 };
  static float x[IN], first[OUT], then[OUT];
  for (int i = 0; i < IN; i++)
    x[i] = (float)(i % 17) - 8;
  Compilation c;
  EmitOptions emit = {0};
  Jit *jit = compile(&c, &emit, threads);
  CHECK(jit != NULL);
  if (!jit)
    return;
  JitHooks hooks = {count, count, NULL};
  const void *in[] = {x};
  void *out[] = {first};
  calls = 0;
  if (threads == 1) /* they count without a lock */
    jit_set_hooks(jit, &hooks);
  jit_run(jit, in, out);
  int once = calls;
  CHECK(threads > 1 || once > 0);
  out[0] = then;
  for (int i = 0; i < 3; i++) {
    memset(then, 0, sizeof then);
    CHECK(jit_move(jit, c.diag));
    jit_run(jit, in, out);
    CHECK(memcmp(first, then, sizeof first) == 0);
  }
  CHECK(calls == 4 * once);
  jit_free(jit);
}

/* ---- comparing ---- */

enum { ROUNDS = 64, LONG = 4 }; /* a series of 64 rounds has four */

/* Both times by round: `ratio`, and what a series adds to it and a round; signs alternate. */
static Ratio measured(double ratio, double by_series, double by_round) {
  Times usual = times_new(arena, ROUNDS), other = times_new(arena, ROUNDS);
  for (int i = 0; i < ROUNDS; i++) {
    double sign = i / LONG % 2 ? 1 : -1, within = i % 2 ? 1 : -1;
    usual.seconds[i] = 0.01 * (1 + 0.5 * (i % 3)); /* the machine's speed varies for both */
    other.seconds[i] = usual.seconds[i] * (ratio + sign * by_series + within * by_round);
  }
  return ratio_of(arena, &other, &usual, WITHIN_MEDIAN);
}

static void test_ratios(void) {
  Ratio even = measured(0.99, 0, 0.02);
  CHECK(fabs(even.mean - 0.99) < 1e-9 && even.error < 1e-9);
  CHECK(ratio_wins(even, 0.002) && !ratio_wins(even, 0.02));
  /* What a place in memory does is not averaged out by more rounds there. */
  Ratio lucky = measured(0.99, 0.03, 0);
  CHECK(fabs(lucky.mean - 0.99) < 1e-9 && lucky.error > 0.005 && !ratio_wins(lucky, 0.002));
  CHECK(ratio_wins(measured(0.95, 0.03, 0), 0.002));
  CHECK(!ratio_wins(measured(1.01, 0, 0), 0) && ratio_loses(measured(1.01, 0, 0), 0));
  CHECK(!ratio_loses(lucky, 0.002) && !ratio_loses(even, 0.002) && ratio_loses(even, 0.02));
}

/* A burst in a few series counts for nothing. */
static void test_burst(void) {
  Times usual = times_new(arena, ROUNDS), other = times_new(arena, ROUNDS);
  for (int i = 0; i < ROUNDS; i++) {
    usual.seconds[i] = 1;
    other.seconds[i] = i / LONG == 3 || i / LONG == 9 ? 5 : 0.98;
  }
  Ratio ratio = ratio_of(arena, &other, &usual, WITHIN_MEDIAN);
  CHECK(fabs(ratio.mean - 0.98) < 1e-9 && ratio_wins(ratio, 0.01));
}

/* Runs that are held up, even most of them, count for nothing as long as some are not. */
static void test_held_up(void) {
  Times usual = times_new(arena, ROUNDS), other = times_new(arena, ROUNDS);
  for (int i = 0; i < ROUNDS; i++) {
    usual.seconds[i] = i % LONG == 1 ? 1 : 3 + i % 5;
    other.seconds[i] = i % LONG == 2 ? 0.98 : 3 + i % 7;
  }
  Ratio ratio = ratio_of(arena, &other, &usual, WITHIN_LEAST);
  CHECK(fabs(ratio.mean - 0.98) < 1e-9 && ratio_wins(ratio, 0.01));
  CHECK(!ratio_wins(ratio_of(arena, &other, &usual, WITHIN_MEDIAN), 0.01));
}

/* One round says nothing of how far others would be off. */
static void test_single(void) {
  Times usual = times_new(arena, 1), other = times_new(arena, 1);
  usual.seconds[0] = 2;
  other.seconds[0] = 1;
  Ratio ratio = ratio_of(arena, &other, &usual, WITHIN_LEAST);
  CHECK(!ratio_wins(ratio, 0) && !ratio_loses(ratio, 0));
}

int main(void) {
  arena = arena_new();
  test_move(1);
  test_move(2);
  test_ratios();
  test_burst();
  test_held_up();
  test_single();
  arena_free(arena);
  if (failures)
    fprintf(stderr, "%d failures\n", failures);
  return failures != 0;
}
