/* Pass: groups nodes into regions.
 *
 * The rule: a node that keeps channels apart (depthwise convolution, pooling)
 * is fused with the only reader of its result, if that reader reads one row to
 * make one row and follows at once: the row between them never leaves the first
 * cache, and the tensor between them is never whole in memory. On targets with
 * caches the node before such a pair joins it, and the next pair too, as long as
 * the tensor between would not stay in the second cache (chain_goes_on).
 *
 * A regions file overrides the rule: see regions_file.c. */
#include <string.h>

#include "region/region.h"

/* Channel c of the result depends on the same channel of operand 0 only, and there is a window over rows. */
static bool keeps_channels_apart(const Compute *compute) {
  const Operand *x = &compute->operands[0];
  if (compute->n_reduce == 0 || x->is_weight)
    return false;
  bool window = false;
  for (int d = DIM_R; d < DIM_R + compute->n_reduce; d++) {
    if (x->access[2].coef[d] != 0)
      return false;
    window |= x->access[0].coef[d] != 0;
  }
  return window && access_uses(&x->access[2], DIM_C);
}

/* `second` reads the result of `first`, row y for row y, and is its only reader. */
static bool follows_row_by_row(const Stage *first, const Stage *second) {
  const GTensor *between = first->node->output;
  if (between->n_uses != 1 || between->output >= 0 || first->rows != second->rows || first->rows < 2)
    return false;
  for (int o = 0; o < second->compute.n_operands; o++)
    if (stage_operand_tensor(second, o) == between) {
      int64_t begin, end;
      stage_rows_read(second, o, 1, 1, &begin, &end);
      return begin == 1 && end == 2;
    }
  return false;
}

static int64_t weight_bytes_of(const Stage *stage) {
  int64_t bytes = 0;
  for (int o = 0; o < stage->compute.n_operands; o++)
    if (stage->compute.operands[o].is_weight) {
      int64_t elems = 1;
      for (int i = 0; i < stage->compute.operands[o].rank; i++)
        elems *= stage->compute.operands[o].dims[i];
      bytes += 4 * elems;
    }
  return bytes;
}

/* Rows of one step of a fused pair: on targets with caches as many as keep the rows between the two in a share of the
 * cache that grows with the weights, so that these are read for many pixels at a time; else one. */
static int64_t pair_rows(const Target *target, const Stage *first, const Stage *second) {
  if (!target->l1_bytes)
    return 1;
  int64_t weights = weight_bytes_of(second);
  int64_t room = weights <= target->l1_bytes / 2 ? target->l1_bytes * 3 / 4
                 : weights <= target->l2_bytes / 3 ? 2 * target->l1_bytes
                                                   : target->l2_bytes / 2;
  int64_t row = 4 * first->compute.out[1] * first->compute.out[2];
  int64_t rows = room / row < 1 ? 1 : room / row;
  if (rows >= first->rows)
    return first->rows;
  while (first->rows % rows)
    rows--;
  return rows;
}

static int64_t row_bytes(const Stage *stage) { return 4 * stage->compute.out[1] * stage->compute.out[2]; }

/* `first` makes rows that only `window` reads, which keeps channels apart, and its result would not stay in the second
 * cache until it is read: on targets with caches the three (expand, depthwise, project) run as one row pipeline. */
static bool feeds_window(const Target *target, const Stage *first, const Stage *window) {
  const GTensor *between = first->node->output;
  return target->l2_bytes && between->n_uses == 1 && between->output < 0 && first->rows > 1 &&
         stage_operand_tensor(window, 0) == between && first->rows * row_bytes(first) > target->l2_bytes / 2;
}

/* Sets the rows of one step of every stage of a chain in which the last makes `rows`; bytes of the rows held between. */
static int64_t set_chain_rows(Stage *stages, int n, int64_t rows) {
  int64_t held = 0;
  stages[n - 1].step_rows = rows;
  for (int i = n - 2; i >= 0; i--) {
    const Stage *reader = &stages[i + 1];
    int64_t stride = (stages[i].rows + reader->rows - 1) / reader->rows, step = reader->step_rows * stride;
    int64_t begin, end, middle = reader->rows / 2 / reader->step_rows * reader->step_rows;
    stage_rows_read(reader, 0, middle, reader->step_rows, &begin, &end);
    stages[i].step_rows = step < stages[i].rows ? step : stages[i].rows;
    held += (end - begin > reader->step_rows ? end - begin + step : step) * row_bytes(&stages[i]);
  }
  return held;
}

/* Rows of the steps of a chain: as many as let the rows between the stages stay in a quarter of the second cache, but two where
 * they stay in half of it, since a window that moves down by one row reads most of its rows again; false if even single
 * rows take more than all of it. */
static bool chain_rows(const Target *target, Stage *stages, int n) {
  int64_t best = 1, all = stages[n - 1].rows;
  for (int64_t rows = 2; rows <= all; rows++)
    if (all % rows == 0 && set_chain_rows(stages, n, rows) <= target->l2_bytes / (rows == 2 ? 2 : 4))
      best = rows;
  return set_chain_rows(stages, n, best) <= target->l2_bytes;
}

/* A chain of n stages goes on with a window and its follower: the rows between would not stay in the second cache
 * otherwise, and the follower's weights are few enough to be read again for every step. */
static bool chain_goes_on(const Target *target, Stage *stages, int n) {
  return keeps_channels_apart(&stages[n].compute) && feeds_window(target, &stages[n - 1], &stages[n]) &&
         follows_row_by_row(&stages[n], &stages[n + 1]) && weight_bytes_of(&stages[n + 1]) <= target->l2_bytes / 6;
}

enum { MAX_CHAIN = 15 };

/* The longest group that starts at node i, of `left` nodes that follow one another. */
static int group_at(const Target *target, Stage *stages, int left) {
  int n = 1;
  if (left >= 3 && !keeps_channels_apart(&stages[0].compute) && keeps_channels_apart(&stages[1].compute) &&
      feeds_window(target, &stages[0], &stages[1]) && follows_row_by_row(&stages[1], &stages[2])) {
    n = 3;
    chain_rows(target, stages, n);
  } else if (left >= 2 && keeps_channels_apart(&stages[0].compute) && follows_row_by_row(&stages[0], &stages[1])) {
    n = 2;
    stages[0].step_rows = stages[1].step_rows = pair_rows(target, &stages[0], &stages[1]);
  }
  while (n > 1 && n + 2 <= left && chain_goes_on(target, stages, n)) {
    int64_t before[MAX_CHAIN];
    for (int s = 0; s < n + 2; s++)
      before[s] = stages[s].step_rows;
    if (!chain_rows(target, stages, n + 2)) {
      for (int s = 0; s < n + 2; s++)
        stages[s].step_rows = before[s];
      break;
    }
    n += 2;
  }
  return n;
}

static void group(Regions *regions, bool fuse) {
  for (size_t i = 0; i < regions->graph->nodes.len;) {
    Stage stages[MAX_CHAIN] = {0};
    int left = 0;
    for (; left < (fuse ? MAX_CHAIN : 1) && i + (size_t)left < regions->graph->nodes.len; left++)
      stage_init(regions->arena, &stages[left], regions->graph->nodes.at[i + (size_t)left]);
    int n = group_at(regions->target, stages, left);
    Region *region = region_new(regions, n);
    memcpy(region->stages, stages, (size_t)n * sizeof *stages);
    i += (size_t)n;
  }
}

Regions *region_build(Arena *arena, Diag *diag, const Graph *graph, const Target *target, const RegionOptions *options) {
  Regions *regions = ARENA_NEW(arena, Regions);
  regions->arena = arena;
  regions->graph = graph;
  regions->target = target;
  regions->threads = options->threads;
  regions->tuned_by_shape.arena = arena;
  regions->shared = options->shared;
  regions->channel_block = ARENA_ARRAY(arena, int64_t, graph_tensor_count(graph));
  bool hint = options->tuned_file && region_read_tuned(regions, diag, options->tuned_file);
  if (options->regions_file)
    return region_read_file(regions, diag, options->regions_file, false) ? regions : NULL;
  if (!hint || !options->fuse || !region_read_file(regions, diag, options->tuned_file, true))
    group(regions, options->fuse);
  return regions;
}
