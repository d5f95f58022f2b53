/* regions → the entry of the loops.
 *
 * Every region becomes calls, one per step of its row schedule; where the steps
 * repeat with constant distance they are folded into a loop. A region that is
 * divided by rows becomes one parallel statement, whose branches are the steps of
 * its parts. A stage that is divided by itself becomes another, whose kernels
 * make a part of its pixels or channels; parts of equal size share a kernel. */
#include <string.h>

#include "loop/lowering.h"

typedef struct Call {
  Kernel *kernel;
  Arguments arguments;
  int64_t first; /* the row or the part, if the kernel has an argument for it */
  const ProgramStage *stage;
} Call;

typedef VEC(Call) Calls;

static Stmt *call_stmt(Lowering *l, const Call *call, const Affine *first) {
  Stmt *stmt = loop_stmt_new(l->arena, STMT_CALL);
  stmt->callee = call->kernel;
  stmt->stage = call->stage;
  stmt->loc = call->kernel->loc;
  stmt->buffers = ARENA_ARRAY(l->arena, Buffer *, call->arguments.n);
  for (int i = 0; i < call->arguments.n; i++)
    stmt->buffers[i] = call->arguments.at[i];
  stmt->ints = ARENA_ARRAY(l->arena, const Affine *, call->kernel->ints.len);
  if (call->kernel->ints.len)
    stmt->ints[0] = first;
  return stmt;
}

static bool same_call(const Call *a, const Call *b) {
  return a->kernel == b->kernel && a->stage == b->stage && a->arguments.n == b->arguments.n &&
         memcmp(a->arguments.at, b->arguments.at,
                (size_t)a->arguments.n * sizeof *a->arguments.at) == 0;
}

/* How often the `period` calls at `at` repeat, each with a constant distance of its row. */
static size_t repetitions(const Calls *calls, size_t at, size_t period) {
  size_t times = 1;
  for (;; times++)
    for (size_t k = 0; k < period; k++) {
      size_t i = at + times * period + k;
      if (i >= calls->len || !same_call(&calls->at[i], &calls->at[at + k]))
        return times;
      int64_t distance = calls->at[at + period + k].first - calls->at[at + k].first;
      if (calls->at[i].first != calls->at[at + k].first + (int64_t)times * distance)
        return times;
    }
}

/* The calls of one region, repetitions folded into loops: at each place the period that covers
 * most. */
static void push_calls(Lowering *l, const Calls *calls, Block *out) {
  enum { MAX_PERIOD = 64 };
  for (size_t at = 0; at < calls->len;) {
    size_t best_period = 1, best_times = 1;
    for (size_t period = 1; period <= MAX_PERIOD && at + 2 * period <= calls->len; period++) {
      size_t times = repetitions(calls, at, period);
      if (times > 1 && (times - 1) * period > (best_times - 1) * best_period) {
        best_times = times;
        best_period = period;
      }
    }
    if (best_times == 1) {
      const Call *call = &calls->at[at++];
      block_push(l->arena, out, call_stmt(l, call, affine_const(l->arena, call->first)));
      continue;
    }
    Var *var = loop_var_new(l->arena, lower_unique_name(l, "step"));
    Stmt *loop = loop_for_new(l->arena, var, 0, (int64_t)best_times);
    loop->label = intern(l->arena, "step");
    for (size_t k = 0; k < best_period; k++) {
      const Call *call = &calls->at[at + k];
      int64_t distance = calls->at[at + best_period + k].first - call->first;
      const Affine *first = affine_add_const(
          l->arena, affine_scale(l->arena, affine_var(l->arena, var), distance), call->first);
      block_push(l->arena, &loop->body, call_stmt(l, call, first));
    }
    block_push(l->arena, out, loop);
    at += best_times * best_period;
  }
}

/* The step reads beyond the upper or lower border of a tensor. */
static bool is_clipped(const Stage *stage, const Step *step) {
  const Compute *compute = &stage->compute;
  for (int o = 0; o < compute->n_operands; o++) {
    const Operand *operand = &compute->operands[o];
    int64_t first[COMPUTE_MAX_DIMS] = {step->first}, last[COMPUTE_MAX_DIMS] = {step->first + step->rows - 1}, lo, hi;
    for (int r = 0; r < compute->n_reduce; r++)
      last[DIM_R + r] = compute->reduce[r] - 1;
    for (int i = 0; i < operand->rank && !operand->is_weight; i++) {
      if (!access_uses(&operand->access[i], DIM_Y))
        continue;
      access_range(&operand->access[i], DIM_R + compute->n_reduce, first, last, &lo, &hi);
      if (lo < 0 || hi >= operand->dims[i])
        return true;
    }
  }
  return false;
}

/* Steps of one class share a kernel: the same number of rows and, where border rows have kernels of their own, the same
 * first row unless no border is near. */
static bool same_class(const Stage *stage, const Step *a, const Step *b) {
  if (a->stage != b->stage || a->rows != b->rows)
    return false;
  if (!stage->border_kernels || a->first == b->first)
    return true;
  return !is_clipped(stage, a) && !is_clipped(stage, b);
}

/* Range of first rows over the class of a step. */
static void first_rows(const Region *region, const Step *like, int64_t *lo, int64_t *hi) {
  *lo = *hi = like->first;
  for (size_t i = 0; i < region->steps.len; i++) {
    const Step *step = &region->steps.at[i];
    if (!same_class(&region->stages[like->stage], step, like))
      continue;
    *lo = step->first < *lo ? step->first : *lo;
    *hi = step->first > *hi ? step->first : *hi;
  }
}

/* One stage's kernels so far, by class of step. */
typedef struct Made {
  Step step;
  Call call;
} Made;

/* A region on its way: for each stage what profiles count, its weights and, in the part at hand, its kernels. */
typedef struct Driver {
  Lowering *l;
  const Region *region;
  const ProgramStage **stages;
  Buffer *(*weights)[COMPUTE_MAX_OPERANDS];
  VEC(Made) *made;
} Driver;

static Call call_of_step(Driver *d, const Step *step) {
  const Stage *stage = &d->region->stages[step->stage];
  for (size_t k = 0; k < d->made[step->stage].len; k++)
    if (same_class(stage, &d->made[step->stage].at[k].step, step)) {
      Call call = d->made[step->stage].at[k].call;
      call.first = step->first;
      return call;
    }
  Made new = {.step = *step, .call = {.stage = d->stages[step->stage]}};
  Piece piece = {.rows = step->rows, .cut = CUT_NONE};
  first_rows(d->region, step, &piece.first_lo, &piece.first_hi);
  new.call.kernel = lower_kernel(d->l, stage, d->weights[step->stage], &piece, &new.call.arguments);
  new.call.first = step->first;
  VEC_PUSH(d->l->arena, d->made[step->stage], new);
  return new.call;
}

static void push_branch(Lowering *l, Stmt *parallel, const Calls *calls) {
  Stmt *branch = loop_stmt_new(l->arena, STMT_BRANCH);
  branch->loc = parallel->loc;
  push_calls(l, calls, &branch->body);
  block_push(l->arena, &parallel->body, branch);
}

static Stmt *parallel_stmt(Lowering *l, const Stage *stage) {
  Stmt *parallel = loop_stmt_new(l->arena, STMT_PARALLEL);
  parallel->loc = stage->node->loc;
  return parallel;
}

/* A stage that is divided by itself: a call for each part. All but the last are of one size. */
static void push_stage_parts(Driver *d, int s) {
  const Stage *stage = &d->region->stages[s];
  int64_t extent = stage_cut_extent(stage, stage->cut), whole = extent / stage->part_size;
  Stmt *parallel = parallel_stmt(d->l, stage);
  for (int64_t part = 0; part < stage_parts(stage); part++) {
    Piece piece = {.rows = stage->rows, .cut = stage->cut, .size = stage->part_size, .part_hi = whole - 1};
    if (part == whole) {
      piece.size = extent - whole * stage->part_size;
      piece.part_lo = piece.part_hi = whole;
    }
    Calls calls = {0};
    Call call = {.first = part, .stage = d->stages[s]};
    call.kernel = lower_kernel(d->l, stage, d->weights[s], &piece, &call.arguments);
    VEC_PUSH(d->l->arena, calls, call);
    push_branch(d->l, parallel, &calls);
  }
  block_push(d->l->arena, &d->l->program->entry, parallel);
}

/* All steps, one after the other, but for stages that are divided by themselves. */
static void push_steps(Driver *d) {
  Calls calls = {0};
  for (size_t i = 0; i < d->region->steps.len; i++) {
    const Step *step = &d->region->steps.at[i];
    if (stage_parts(&d->region->stages[step->stage]) == 1) {
      Call call = call_of_step(d, step);
      VEC_PUSH(d->l->arena, calls, call);
      continue;
    }
    push_calls(d->l, &calls, &d->l->program->entry);
    calls.len = 0;
    push_stage_parts(d, step->stage);
  }
  push_calls(d->l, &calls, &d->l->program->entry);
}

/* A region that is divided by rows: the steps of each part are a branch, with rings of its own. */
static void push_row_parts(Driver *d) {
  const Region *region = d->region;
  Stmt *parallel = parallel_stmt(d->l, &region->stages[region->n_stages - 1]);
  size_t at = 0;
  for (int part = 0; part < region_parts(region); part++) {
    for (int s = 0; s < region->n_stages; s++) {
      d->made[s].len = 0;
      if (part > 0)
        lower_stage_buffer(d->l, &region->stages[s], part);
    }
    Calls calls = {0};
    for (; at < region->steps.len && region->steps.at[at].part == part; at++) {
      Call call = call_of_step(d, &region->steps.at[at]);
      VEC_PUSH(d->l->arena, calls, call);
    }
    push_branch(d->l, parallel, &calls);
  }
  block_push(d->l->arena, &d->l->program->entry, parallel);
}

static const ProgramStage *program_stage(Lowering *l, const Stage *stage) {
  ProgramStage *s = loop_stage(l->program, stage->node->path);
  s->note = lower_describe(l->arena, stage);
  s->macs += stage->node->macs;
  return s;
}

void lower_region(Lowering *l, const Region *region) {
  Driver driver = {.l = l, .region = region}, *d = &driver;
  d->stages = ARENA_ARRAY(l->arena, const ProgramStage *, region->n_stages);
  d->weights = arena_alloc_array(l->arena, (size_t)region->n_stages, sizeof *d->weights);
  d->made = arena_alloc_array(l->arena, (size_t)region->n_stages, sizeof *d->made);
  for (int s = 0; s < region->n_stages; s++) {
    lower_stage_buffer(l, &region->stages[s], 0);
    d->stages[s] = program_stage(l, &region->stages[s]);
    for (int o = 0; o < region->stages[s].compute.n_operands; o++)
      if (region->stages[s].compute.operands[o].is_weight)
        d->weights[s][o] = lower_weight_buffer(l, &region->stages[s], &region->stages[s].compute.operands[o]);
  }
  if (region_parts(region) > 1)
    push_row_parts(d);
  else
    push_steps(d);
}
