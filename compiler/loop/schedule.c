/* Pass: applies the schedules that kernels carry, directive by directive. */
#include "loop/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "loop/transform.h"

typedef enum DirectiveKind {
  DIRECTIVE_SPLIT,
  DIRECTIVE_DEAL,
  DIRECTIVE_PEEL,
  DIRECTIVE_ORDER,
  DIRECTIVE_UNROLL,
  DIRECTIVE_VECTOR
} DirectiveKind;

enum { MAX_LABELS = 12 };

typedef struct Directive {
  DirectiveKind kind;
  int n_labels;
  const char *labels[MAX_LABELS];
  int64_t factor;
} Directive;

typedef VEC(Directive) Directives;

static const struct {
  const char *name;
  DirectiveKind kind;
  int min_labels, max_labels;
} kinds[] = {
    {"split", DIRECTIVE_SPLIT, 1, 1},
    {"deal", DIRECTIVE_DEAL, 1, 1},
    {"peel", DIRECTIVE_PEEL, 1, 1},
    {"order", DIRECTIVE_ORDER, 2, MAX_LABELS},
    {"unroll", DIRECTIVE_UNROLL, 1, MAX_LABELS},
    {"vector", DIRECTIVE_VECTOR, 1, 1},
};

/* One directive from its words. Null, or what is wrong. */
static const char *parse_directive(Arena *arena, char **words, int n, Directive *d) {
  size_t k = 0;
  while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k].name, words[0]) != 0)
    k++;
  if (k == sizeof kinds / sizeof *kinds)
    return arena_printf(
        arena, "unknown directive '%s'; expected split, deal, peel, order, unroll or vector", words[0]);
  *d = (Directive){.kind = kinds[k].kind};
  int n_labels = n - 1;
  if (d->kind == DIRECTIVE_SPLIT || d->kind == DIRECTIVE_DEAL) {
    char *end = NULL;
    int most = d->kind == DIRECTIVE_SPLIT ? 4096 : 64;
    d->factor = n == 3 ? strtoll(words[2], &end, 10) : 0;
    if (n != 3 || *end || d->factor < 1 || d->factor > most)
      return arena_printf(arena, "expected '%s LABEL N' with N from 1 to %d", words[0], most);
    n_labels = 1;
  }
  if (n_labels != 1 && kinds[k].max_labels == 1)
    return arena_printf(arena, "'%s' takes one loop label", words[0]);
  if (n_labels < kinds[k].min_labels || n_labels > kinds[k].max_labels)
    return arena_printf(arena, "'%s' takes %d to %d loop labels", words[0], kinds[k].min_labels,
                        kinds[k].max_labels);
  d->n_labels = n_labels;
  for (int i = 0; i < n_labels; i++)
    d->labels[i] = intern(arena, words[i + 1]);
  return NULL;
}

static const char *parse(Arena *arena, const char *text, Directives *out) {
  char *copy = arena_strndup(arena, text, strlen(text));
  for (char *at = copy, *next; at; at = next) {
    next = strchr(at, ';');
    if (next)
      *next++ = 0;
    char *words[MAX_LABELS + 2], *save = NULL;
    int n = 0;
    for (char *word = strtok_r(at, " \t\r\n", &save); word;
         word = strtok_r(NULL, " \t\r\n", &save)) {
      if (n == MAX_LABELS + 2)
        return "a directive has too many words";
      words[n++] = word;
    }
    if (n == 0)
      continue;
    Directive directive;
    const char *problem = parse_directive(arena, words, n, &directive);
    if (problem)
      return problem;
    VEC_PUSH(arena, *out, directive);
  }
  return NULL;
}

const char *schedule_check(Arena *arena, const char *text) {
  Directives directives = {0};
  return parse(arena, text, &directives);
}

static void mark(Block *block, const char *label, LoopMode mode) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *stmt = block->stmts.at[i];
    if (stmt->kind == STMT_FOR && stmt->label && strcmp(stmt->label, label) == 0 &&
        (mode != LOOP_VECTOR || loop_is_parallel(stmt)))
      stmt->mode = mode;
    mark(&stmt->body, label, mode);
    mark(&stmt->otherwise, label, mode);
  }
}

static void apply(Transform *t, Kernel *kernel, const Directive *d) {
  switch (d->kind) {
  case DIRECTIVE_SPLIT:
    loop_split(t, &kernel->body, d->labels[0], d->factor);
    return;
  case DIRECTIVE_DEAL:
    loop_deal(t, &kernel->body, d->labels[0], d->factor);
    return;
  case DIRECTIVE_PEEL:
    loop_peel(t, &kernel->body, d->labels[0]);
    return;
  case DIRECTIVE_ORDER:
    loop_order(t, &kernel->body, d->labels, d->n_labels);
    return;
  case DIRECTIVE_UNROLL:
  case DIRECTIVE_VECTOR:
    for (int i = 0; i < d->n_labels; i++)
      mark(&kernel->body, d->labels[i], d->kind == DIRECTIVE_VECTOR ? LOOP_VECTOR : LOOP_UNROLL);
    return;
  }
}

void loop_schedule(Program *program) {
  bool any = false;
  for (size_t k = 0; k < program->kernels.len; k++) {
    Kernel *kernel = program->kernels.at[k];
    if (!kernel->schedule)
      continue;
    Directives directives = {0};
    const char *problem = parse(program->arena, kernel->schedule, &directives);
    if (problem)
      BUG("kernel '%s': schedule: %s", kernel->name, problem); /* the readers have checked it */
    Transform t = {.arena = program->arena, .names = {.arena = program->arena}};
    collect_names(program->arena, kernel, &t.names);
    for (size_t i = 0; i < directives.len; i++)
      apply(&t, kernel, &directives.at[i]);
    kernel->schedule = NULL;
    any = true;
  }
  /* Vectors and unrolling need the bounds that peeling has made constant. */
  if (any)
    loop_simplify(program);
}

/* ---- what the transformations share ---- */

bool loop_is_parallel(const Stmt *loop) {
  Arena *scratch = arena_new();
  bool carries = sets_outer_value(scratch, &loop->body);
  arena_free(scratch);
  return !carries;
}

bool loop_constant_bounds(const Stmt *loop, int64_t *lo, int64_t *hi) {
  return loop->n_lower == 1 && loop->n_upper == 1 && loop->step == 1 &&
         affine_is_const(loop->lower[0], lo) && affine_is_const(loop->upper[0], hi);
}

Var *transform_var(Transform *t, const char *name) {
  /* Labels such as "x.i" are no identifiers. */
  char *plain = arena_strndup(t->arena, name, strlen(name));
  size_t n = 0;
  for (const char *c = name; *c; c++)
    if (*c != '.')
      plain[n++] = *c;
  plain[n] = 0;
  name = plain;
  const char *base = intern(t->arena, name);
  for (int i = 1; ptr_map_get(&t->names, base); i++)
    base = intern(t->arena, arena_printf(t->arena, "%s_%d", name, i));
  ptr_map_put(&t->names, base, (void *)(uintptr_t)base);
  return loop_var_new(t->arena, base);
}

Stmt *transform_loop(Transform *t, const Stmt *like, Var *var, int64_t lo, int64_t hi,
                     int64_t step) {
  Stmt *loop = loop_for_new(t->arena, var, lo, hi);
  loop->loc = like->loc;
  loop->label = like->label;
  loop->mode = like->mode;
  loop->step = step;
  return loop;
}

Block transform_copy(Transform *t, const Stmt *loop, const Affine *with) {
  Rewrite rewrite = {
      .arena = t->arena, .map = {.arena = t->arena}, .suffix = "", .names = &t->names};
  ptr_map_put(&rewrite.map, loop->var, (void *)(uintptr_t)with);
  Block out = {0};
  rewrite_block(&rewrite, &loop->body, &out);
  return out;
}
