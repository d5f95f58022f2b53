/* The table of contents of the compiler: its stages and passes. */
#include "pipeline.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "loop/lower.h"
#include "loop/prefetch.h"
#include "loop/schedule.h"
#include "plan/plan.h"

/* ---- the passes, as steps of a compilation ---- */

static void parse(Compilation *c) {
  c->ast = ast_parse(c->arena, c->diag, c->source);
  c->included = ast_include(c->arena, c->diag, c->ast);
}

static void expand(Compilation *c) {
  NetworkOptions options = options_network(c->arena, c->options);
  c->network = network_build(c->arena, c->diag, c->ast, &options);
}

static void build(Compilation *c) { c->graph = graph_build(c->arena, c->network); }
static void expand_operators(Compilation *c) { graph_expand(c->graph); }
static void fold_batchnorm(Compilation *c) { graph_fold_batchnorm(c->graph); }
static void fold_affine(Compilation *c) { graph_fold_affine(c->graph); }
static void absorb_permutation(Compilation *c) { graph_absorb_permutation(c->graph); }
static void absorb_padding(Compilation *c) { graph_absorb_padding(c->graph); }
static void remove_identity(Compilation *c) { graph_remove_identity(c->graph); }
static void absorb_elementwise(Compilation *c) { graph_absorb_elementwise(c->graph); }
static void separate_outputs(Compilation *c) { graph_separate_outputs(c->graph); }

static void fuse(Compilation *c) {
  RegionOptions options = {.threads = c->options->threads, .fuse = !c->options->no_fuse,
                           .regions_file = c->regions_file, .schedule_file = c->schedule_file,
                           .tuned_file = c->tuned_file, .shared = c->shared_weights};
  c->regions = region_build(c->arena, c->diag, c->graph, c->target, &options);
}

static void divide_rows(Compilation *c) { region_divide_rows(c->regions); }
static void schedule_rows(Compilation *c) { region_schedule_rows(c->regions); }
static void choose_layouts(Compilation *c) { region_choose_layouts(c->regions, c->diag); }
static void share_memory(Compilation *c) { region_share_memory(c->regions); }

static void choose_schedules(Compilation *c) {
  if (c->schedule_file)
    region_read_schedules(c->regions, c->diag, c->schedule_file);
  c->regions->candidate = c->tile_candidate;
  region_choose_schedules(c->regions, c->diag);
  region_check_tuned(c->regions, c->diag);
}

static void divide_stages(Compilation *c) { region_divide_stages(c->regions, c->diag); }
static void lower(Compilation *c) { c->program = loop_lower(c->arena, c->regions); }
static void read_loops(Compilation *c) { c->program = loop_read(c->arena, c->diag, c->source); }
static void schedule(Compilation *c) { loop_schedule(c->program); }
static void vectorize(Compilation *c) { loop_vectorize(c->program); }
static void unroll(Compilation *c) { loop_unroll(c->program); }
static void simplify(Compilation *c) { loop_simplify(c->program); }

static void prefetch(Compilation *c) {
  Memory memory = {c->target->l2_bytes, c->target->macs_per_line};
  loop_prefetch(c->program, &memory);
}

static void share_loads(Compilation *c) {
  loop_share_loads(c->program, c->target->memory_operands ? c->target->vector_registers : 0);
}

static void plan(Compilation *c) {
  if (c->program->arena_bytes < 0) /* loop text may bring its own */
    plan_arena(c->program, c->target);
}

enum { OPTIONAL = 1, NETWORKS_ONLY = 2, LOOP_TEXT_ONLY = 4 };

typedef struct Pass {
  StageKind stage;
  const char *name;
  void (*run)(Compilation *c);
  int flags;
} Pass;

static const Pass passes[] = {
    {STAGE_AST, "parse", parse, NETWORKS_ONLY},
    {STAGE_NETWORK, "expand", expand, NETWORKS_ONLY},
    {STAGE_GRAPH, "build", build, NETWORKS_ONLY},
    {STAGE_GRAPH, "expand-operators", expand_operators, NETWORKS_ONLY},
    {STAGE_GRAPH, "remove-identity", remove_identity, NETWORKS_ONLY | OPTIONAL},
    {STAGE_GRAPH, "fold-batchnorm", fold_batchnorm, NETWORKS_ONLY | OPTIONAL},
    {STAGE_GRAPH, "absorb-padding", absorb_padding, NETWORKS_ONLY | OPTIONAL},
    {STAGE_GRAPH, "fold-affine", fold_affine, NETWORKS_ONLY | OPTIONAL},
    {STAGE_GRAPH, "absorb-permutation", absorb_permutation, NETWORKS_ONLY | OPTIONAL},
    {STAGE_GRAPH, "absorb-elementwise", absorb_elementwise, NETWORKS_ONLY | OPTIONAL},
    {STAGE_GRAPH, "separate-outputs", separate_outputs, NETWORKS_ONLY},
    {STAGE_REGIONS, "fuse", fuse, NETWORKS_ONLY},
    {STAGE_REGIONS, "divide-rows", divide_rows, NETWORKS_ONLY},
    {STAGE_REGIONS, "schedule-rows", schedule_rows, NETWORKS_ONLY},
    {STAGE_REGIONS, "choose-layouts", choose_layouts, NETWORKS_ONLY | OPTIONAL},
    {STAGE_REGIONS, "share-memory", share_memory, NETWORKS_ONLY | OPTIONAL},
    {STAGE_REGIONS, "choose-schedules", choose_schedules, NETWORKS_ONLY},
    {STAGE_REGIONS, "divide-stages", divide_stages, NETWORKS_ONLY},
    {STAGE_LOOPS, "lower", lower, NETWORKS_ONLY},
    {STAGE_LOOPS, "read", read_loops, LOOP_TEXT_ONLY},
    {STAGE_LOOPS, "schedule", schedule, OPTIONAL},
    {STAGE_LOOPS, "vectorize", vectorize, OPTIONAL},
    {STAGE_LOOPS, "unroll", unroll, OPTIONAL},
    {STAGE_LOOPS, "simplify", simplify, OPTIONAL},
    {STAGE_LOOPS, "prefetch", prefetch, OPTIONAL},
    {STAGE_LOOPS, "share-loads", share_loads, OPTIONAL},
    {STAGE_PLAN, "plan", plan, 0},
};
enum { N_PASSES = sizeof passes / sizeof *passes };

static const char *const stage_names[] = {"ast", "network", "graph", "regions", "loops", "plan"};

void pipeline_print(Writer *w, const Compilation *c, StageKind stage) {
  switch (stage) {
  case STAGE_AST:
    ast_print(w, c->ast);
    return;
  case STAGE_NETWORK:
    network_print(w, c->network);
    return;
  case STAGE_GRAPH:
    graph_print(w, c->graph);
    return;
  case STAGE_REGIONS:
    region_print(w, c->regions);
    return;
  case STAGE_LOOPS:
    loop_print(w, c->program);
    return;
  case STAGE_PLAN:
    plan_print(w, c->program);
    return;
  }
}

/* ---- verification ---- */

typedef struct Report {
  Compilation *c;
  bool users_fault; /* text that was read; otherwise a pass has broken something */
  int violations;
} Report;

static void report_violation(void *user, Loc loc, const char *message) {
  Report *report = user;
  report->violations++;
  if (report->users_fault)
    diag_error(report->c->diag, loc, "%s", message);
  else
    fprintf(stderr, "loops: %s\n", message);
}

static void verify(Compilation *c, const Pass *pass) {
  switch (pass->stage) {
  case STAGE_AST:
    return;
  case STAGE_NETWORK:
    network_verify(c->network);
    return;
  case STAGE_GRAPH:
    graph_verify(c->graph);
    return;
  case STAGE_REGIONS:
    region_verify(c->regions);
    return;
  case STAGE_LOOPS:
  case STAGE_PLAN: {
    Report report = {c, pass->flags & LOOP_TEXT_ONLY, 0};
    loop_verify(c->program, report_violation, &report);
    if (!report.violations || report.users_fault)
      return;
    Writer w;
    writer_init(&w);
    loop_print(&w, c->program);
    fprintf(stderr, "%s", w.data);
    BUG("after pass '%s': the loops violate %d invariant%s", pass->name, report.violations, report.violations == 1 ? "" : "s");
  }
  }
}

/* ---- the runner ---- */

static bool named(const Strings *names, const char *name) {
  for (size_t i = 0; i < names->len; i++)
    if (strcmp(names->at[i], name) == 0)
      return true;
  return false;
}

double pipeline_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Text that was read is always verified: that is how its author hears of mistakes. */
static bool must_verify(const Compilation *c, const Pass *pass) {
  return c->options->verify != 0 || (pass->flags & LOOP_TEXT_ONLY);
}

static bool run_pass(Compilation *c, const Pass *pass) {
  double start = pipeline_seconds();
  pass->run(c);
  double made = pipeline_seconds();
  if (c->diag->errors)
    return false;
  if (must_verify(c, pass))
    verify(c, pass);
  if (c->options->verbose)
    fprintf(stderr, "%-20s %8.3f ms, verified in %.3f ms\n", pass->name, 1e3 * (made - start), 1e3 * (pipeline_seconds() - made));
  if (named(&c->options->print_after, pass->name) || named(&c->options->print_after, "all")) {
    Writer w;
    writer_init(&w);
    write_f(&w, "// after %s\n", pass->name);
    pipeline_print(&w, c, pass->stage);
    fputs(w.data, stderr);
    writer_free(&w);
  }
  return c->diag->errors == 0;
}

/* Some passes are for networks only, some for loop text. */
static bool applies(const Compilation *c, const Pass *pass) {
  return !(pass->flags & (c->is_loop_text ? NETWORKS_ONLY : LOOP_TEXT_ONLY));
}

/* Runs the pass unless it is left out; false after errors. */
static bool take_pass(Compilation *c, const Pass *pass) {
  bool skip = (pass->flags & OPTIONAL) && (named(&c->options->skip, pass->name) || named(&c->options->skip, "all"));
  return skip || run_pass(c, pass);
}

bool pipeline_run(Compilation *c, StageKind last, Writer *out, bool *stopped) {
  *stopped = false;
  for (int i = 0; i < N_PASSES && passes[i].stage <= last; i++) {
    const Pass *pass = &passes[i];
    if (!applies(c, pass))
      continue;
    if (!take_pass(c, pass))
      return false;
    if (c->options->stop_after && strcmp(c->options->stop_after, pass->name) == 0) {
      pipeline_print(out, c, pass->stage);
      *stopped = true;
      return true;
    }
  }
  return true;
}

bool pipeline_go_on(Compilation *c, StageKind first, StageKind last) {
  for (int i = 0; i < N_PASSES && passes[i].stage <= last; i++)
    if (passes[i].stage >= first && applies(c, &passes[i]) && !take_pass(c, &passes[i]))
      return false;
  return true;
}

void pipeline_list(Writer *w) {
  for (int i = 0; i < N_PASSES; i++)
    write_f(w, "%-8s %-20s%s%s\n", stage_names[passes[i].stage], passes[i].name, passes[i].flags & OPTIONAL ? " optional" : "",
            passes[i].flags & LOOP_TEXT_ONLY ? " loop text only" : "");
}

const char *pipeline_pass_name(int i, bool *optional) {
  if (i >= N_PASSES)
    return NULL;
  *optional = (passes[i].flags & OPTIONAL) != 0;
  return passes[i].name;
}

static bool check_name(Diag *diag, const char *option, const char *name, int needed) {
  const char *names[N_PASSES];
  for (int i = 0; i < N_PASSES; i++) {
    names[i] = passes[i].name;
    if (strcmp(name, passes[i].name) != 0)
      continue;
    if (needed && !(passes[i].flags & needed)) {
      diag_error(diag, (Loc){0}, "%s: pass '%s' is not optional", option, name);
      return false;
    }
    return true;
  }
  const char *near = nearest_word(name, names, N_PASSES);
  diag_error(diag, (Loc){0}, "%s: no pass is called '%s'%s%s%s (mncc --list-passes lists them)", option, name,
             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  return false;
}

bool pipeline_check_options(Diag *diag, const Options *options) {
  bool ok = true;
  if (options->stop_after)
    ok &= check_name(diag, "--stop-after", options->stop_after, 0);
  for (size_t i = 0; i < options->print_after.len; i++)
    if (strcmp(options->print_after.at[i], "all") != 0)
      ok &= check_name(diag, "--print-after", options->print_after.at[i], 0);
  for (size_t i = 0; i < options->skip.len; i++)
    if (strcmp(options->skip.at[i], "all") != 0)
      ok &= check_name(diag, "--skip", options->skip.at[i], OPTIONAL);
  return ok;
}
