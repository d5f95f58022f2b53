/* Pass: groups nodes into regions, and reads --regions files.
 *
 * The rule: a node that keeps channels apart (depthwise convolution, pooling)
 * is fused with the only reader of its result, if that reader reads one row to
 * make one row and follows at once: the row between them never leaves the first
 * cache, and the tensor between them is never whole in memory. On targets with
 * caches the node before such a pair joins it, and the next pair too, as long as
 * the tensor between would not stay in the second cache (chain_goes_on).
 *
 * A regions file overrides the rule:
 *
 *     region conv0
 *     region separable0.depthwise0:1 separable0.conv0:1   // :rows of a step; none: all rows
 *     region conv1 depthwise1/channels:64                 // how a stage is divided for threads: see cuts.c
 *
 * Regions run in the order of the file, stages in the order of their line. */
#include <stdlib.h>
#include <string.h>

#include "region/region.h"

static void stage_init(Arena *arena, Stage *stage, const Node *node) {
  stage->node = node;
  node_compute(arena, node, &stage->compute);
  stage->rows = stage->step_rows = stage->compute.out[0];
  stage->in_place = -1;
}

static Region *region_new(Regions *regions, int n_stages) {
  Region *region = ARENA_NEW(regions->arena, Region);
  region->n_stages = n_stages;
  region->stages = ARENA_ARRAY(regions->arena, Stage, n_stages);
  VEC_PUSH(regions->arena, regions->regions, region);
  return region;
}

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

/* Rows of the steps of a chain: as many as let the rows between the stages stay in a quarter of the second cache; false if
 * even single rows take more than half of it. */
static bool chain_rows(const Target *target, Stage *stages, int n) {
  int64_t best = 1, all = stages[n - 1].rows;
  for (int64_t rows = 2; rows <= all; rows++)
    if (all % rows == 0 && set_chain_rows(stages, n, rows) <= target->l2_bytes / 4)
      best = rows;
  return set_chain_rows(stages, n, best) <= target->l2_bytes / 2;
}

/* A chain of n stages goes on with a window and its follower: the rows between would not stay in the second cache
 * otherwise, and the follower's weights are few enough to be read again for every step. */
static bool chain_goes_on(const Target *target, Stage *stages, int n) {
  return keeps_channels_apart(&stages[n].compute) && feeds_window(target, &stages[n - 1], &stages[n]) &&
         follows_row_by_row(&stages[n], &stages[n + 1]) && weight_bytes_of(&stages[n + 1]) <= target->l2_bytes / 8;
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

/* ---- the file ---- */

typedef struct Reader {
  Diag *diag;
  const Source *source;
  uint32_t at;
} Reader;

static Loc loc_at(const Reader *r, uint32_t begin, uint32_t end) { return (Loc){r->source, begin, end}; }

/* Next word of the line, without comments; false at the end of the line. */
static bool next_word(Reader *r, uint32_t *begin, uint32_t *end) {
  const char *text = r->source->text;
  while (text[r->at] == ' ' || text[r->at] == '\t' || text[r->at] == '\r')
    r->at++;
  if (text[r->at] == '/' && text[r->at + 1] == '/')
    while (text[r->at] && text[r->at] != '\n')
      r->at++;
  if (r->at >= r->source->len || text[r->at] == '\n')
    return false;
  *begin = r->at;
  while (r->at < r->source->len && !strchr(" \t\r\n", text[r->at]))
    r->at++;
  *end = r->at;
  return true;
}

/* PATH or PATH:ROWS, and then perhaps /CUT. */
static bool read_stage(Reader *r, Regions *regions, uint32_t begin, uint32_t end, bool *taken, Stage *stage) {
  const char *text = r->source->text;
  uint32_t word_end = end;
  while (end > begin && text[end - 1] != '/')
    end--;
  end = end > begin ? end - 1 : word_end;
  uint32_t name_end = end;
  int64_t rows = 0;
  for (uint32_t i = end; i > begin; i--)
    if (text[i - 1] == ':') {
      char *after;
      rows = strtoll(text + i, &after, 10);
      if (after != text + end || i == end || rows < 1) {
        diag_error(r->diag, loc_at(r, i - 1, end), "expected the rows of a step behind ':', a whole number from 1");
        return false;
      }
      name_end = i - 1;
      break;
    }
  size_t length = name_end - begin;
  for (size_t i = 0; i < regions->graph->nodes.len; i++) {
    const Node *node = regions->graph->nodes.at[i];
    if (strlen(node->path) != length || memcmp(node->path, text + begin, length) != 0)
      continue;
    if (taken[i]) {
      diag_error(r->diag, loc_at(r, begin, name_end), "'%s' is in a region already", node->path);
      return false;
    }
    taken[i] = true;
    stage_init(regions->arena, stage, node);
    if (rows)
      stage->step_rows = rows < stage->rows ? rows : stage->rows;
    stage->loc = loc_at(r, begin, word_end);
    return end == word_end || stage_read_cut(regions->arena, r->diag, loc_at(r, end + 1, word_end), stage);
  }
  region_unknown_path(regions, r->diag, loc_at(r, begin, name_end));
  return false;
}

/* Every operand of a stage must come from before it. */
static bool check_order(const Regions *regions, const Region *region, int s, Diag *diag, Loc loc) {
  const Node *node = region->stages[s].node;
  for (int k = 0; k < node->n_inputs; k++) {
    const Node *producer = node->inputs[k]->producer;
    bool found = producer == NULL;
    for (int i = 0; !found && i < s; i++)
      found = region->stages[i].node == producer;
    for (size_t g = 0; !found && regions->regions.at[g] != region; g++)
      found = region_stage_of(regions->regions.at[g], producer->output) >= 0;
    if (!found) {
      diag_error(diag, loc, "'%s' runs before '%s', whose result it reads", node->path, producer->path);
      return false;
    }
  }
  return true;
}

static bool read_line(Reader *r, Regions *regions, bool *taken) {
  uint32_t begin, end;
  if (!next_word(r, &begin, &end))
    return true;
  uint32_t line = begin;
  if (end - begin != 6 || memcmp(r->source->text + begin, "region", 6) != 0) {
    diag_error(r->diag, loc_at(r, begin, end), "expected 'region' and the paths of its operators");
    return false;
  }
  VEC(Stage) stages = {0};
  while (next_word(r, &begin, &end)) {
    Stage stage = {0};
    if (!read_stage(r, regions, begin, end, taken, &stage))
      return false;
    VEC_PUSH(regions->arena, stages, stage);
  }
  if (stages.len == 0) {
    diag_error(r->diag, loc_at(r, line, r->at), "a region needs at least one operator");
    return false;
  }
  Region *region = region_new(regions, (int)stages.len);
  memcpy(region->stages, stages.at, stages.len * sizeof *stages.at);
  for (int s = 0; s < region->n_stages; s++)
    if (!check_order(regions, region, s, r->diag, loc_at(r, line, r->at)))
      return false;
  return region_check_cuts(regions, region, r->diag);
}

static bool read_regions(Regions *regions, Diag *diag, const Source *file) {
  Reader r = {diag, file, 0};
  bool *taken = ARENA_ARRAY(regions->arena, bool, regions->graph->nodes.len + 1);
  while (r.at < file->len) {
    if (!read_line(&r, regions, taken))
      return false;
    while (r.at < file->len && file->text[r.at] != '\n')
      r.at++;
    r.at++;
  }
  for (size_t i = 0; i < regions->graph->nodes.len; i++)
    if (!taken[i]) {
      diag_error(diag, loc_at(&r, file->len, file->len), "'%s' is in no region", regions->graph->nodes.at[i]->path);
      return false;
    }
  return true;
}

Regions *region_build(Arena *arena, Diag *diag, const Graph *graph, const Target *target, const RegionOptions *options) {
  Regions *regions = ARENA_NEW(arena, Regions);
  regions->arena = arena;
  regions->graph = graph;
  regions->target = target;
  regions->threads = options->threads;
  regions->channel_block = ARENA_ARRAY(arena, int64_t, graph_tensor_count(graph));
  if (!options->regions_file)
    group(regions, options->fuse);
  else if (!read_regions(regions, diag, options->regions_file))
    return NULL;
  return regions;
}
