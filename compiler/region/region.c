/* Making regions, and questions that several region passes ask. */
#include "region/region.h"

#include <stdlib.h>
#include <string.h>

void stage_init(Arena *arena, Stage *stage, const Node *node) {
  stage->node = node;
  node_compute(arena, node, &stage->compute);
  stage->rows = stage->step_rows = stage->compute.out[0];
  stage->in_place = -1;
  stage->layout = LAYOUT_CHOOSE;
}

Region *region_new(Regions *regions, int n_stages) {
  Region *region = ARENA_NEW(regions->arena, Region);
  region->n_stages = n_stages;
  region->stages = ARENA_ARRAY(regions->arena, Stage, n_stages);
  VEC_PUSH(regions->arena, regions->regions, region);
  return region;
}

int region_stage_of(const Region *region, const GTensor *tensor) {
  for (int i = 0; i < region->n_stages; i++)
    if (region->stages[i].node->output == tensor)
      return i;
  return -1;
}

const GTensor *stage_operand_tensor(const Stage *stage, int o) {
  const Operand *operand = &stage->compute.operands[o];
  return operand->is_weight ? NULL : stage->node->inputs[operand->source];
}

void stage_rows_read(const Stage *stage, int o, int64_t first, int64_t rows, int64_t *begin, int64_t *end) {
  int64_t hwc[3];
  shape_hwc(&stage_operand_tensor(stage, o)->shape, hwc);
  const int64_t *dims = stage->compute.operands[o].dims;
  if (dims[0] != hwc[0] || dims[1] != hwc[1] || dims[2] != hwc[2]) {
    *begin = 0;
    *end = hwc[0];
    return;
  }
  compute_rows_read(&stage->compute, o, first, rows, begin, end);
}

/* ---- parts ---- */

int64_t stage_cut_extent(const Stage *stage, Cut cut) {
  switch (cut) {
  case CUT_CHOOSE:
  case CUT_NONE:
    return 0;
  case CUT_ROWS:
    return stage->rows;
  case CUT_PIXELS:
    return stage->rows * stage->compute.out[DIM_X];
  case CUT_CHANNELS:
    return stage->compute.out[DIM_C];
  }
  return 0;
}

static int parts_of(const Stage *stage) {
  int64_t extent = stage_cut_extent(stage, stage->cut);
  return extent && stage->part_size ? (int)((extent + stage->part_size - 1) / stage->part_size) : 1;
}

int stage_parts(const Stage *stage) { return stage->cut == CUT_ROWS ? 1 : parts_of(stage); }

int region_parts(const Region *region) {
  const Stage *last = &region->stages[region->n_stages - 1];
  return last->cut == CUT_ROWS ? parts_of(last) : 1;
}

void region_part_rows(const Region *region, int part, int64_t *first, int64_t *end) {
  const Stage *last = &region->stages[region->n_stages - 1];
  int64_t size = region_parts(region) > 1 ? last->part_size : last->rows;
  *first = part * size;
  *end = *first + size < last->rows ? *first + size : last->rows;
}

void region_first_rows(const Region *region, int64_t first, int64_t *firsts) {
  for (int s = region->n_stages - 1; s >= 0; s--) {
    const Stage *stage = &region->stages[s];
    bool read = false;
    firsts[s] = s == region->n_stages - 1 ? first : 0;
    for (int r = s + 1; first > 0 && r < region->n_stages; r++)
      for (int o = 0; o < region->stages[r].compute.n_operands; o++) {
        if (stage_operand_tensor(&region->stages[r], o) != stage->node->output)
          continue;
        int64_t begin, end;
        stage_rows_read(&region->stages[r], o, firsts[r], 1, &begin, &end);
        firsts[s] = !read || begin < firsts[s] ? begin : firsts[s];
        read = true;
      }
    if (read)
      firsts[s] -= firsts[s] % stage->step_rows;
  }
}

bool region_read_outside(const Region *region, int s) {
  const GTensor *tensor = region->stages[s].node->output;
  int inside = 0;
  for (int i = 0; i < region->n_stages; i++)
    for (int k = 0; k < region->stages[i].node->n_inputs; k++)
      inside += region->stages[i].node->inputs[k] == tensor;
  return tensor->output >= 0 || tensor->n_uses == 0 || inside < tensor->n_uses;
}

bool region_in_single_steps(const Region *region) {
  for (int s = 0; s < region->n_stages; s++)
    if (region->stages[s].step_rows != region->stages[s].rows)
      return false;
  return true;
}

/* ---- flat walks ---- */

static bool reads_own_pixel(const Stage *stage, int o) {
  const Operand *operand = &stage->compute.operands[o];
  int n = DIM_R + stage->compute.n_reduce;
  for (int i = 0; i < 2 && !operand->is_weight; i++) {
    if (operand->dims[i] != stage->compute.out[i] || operand->access[i].offset != 0 ||
        operand->access[i].quotient.times != 0)
      return false;
    for (int d = 0; d < n; d++) {
      bool stays = d >= DIM_R && stage->compute.reduce[d - DIM_R] == 1; /* the one tap of a 1x1 window */
      if (operand->access[i].coef[d] != (d == i) && !stays)
        return false;
    }
  }
  for (int i = operand->is_weight ? 0 : 2; i < operand->rank; i++)
    if (access_uses(&operand->access[i], DIM_Y) || access_uses(&operand->access[i], DIM_X))
      return false;
  return true;
}

bool stage_can_be_flat(const Region *region, const Stage *stage) {
  if (stage->step_rows < 2 || (stage->ring_rows < stage->rows && stage->ring_rows % stage->step_rows != 0))
    return false;
  for (int o = 0; o < stage->compute.n_operands; o++) {
    if (!reads_own_pixel(stage, o))
      return false;
    const GTensor *tensor = stage_operand_tensor(stage, o);
    int p = tensor ? region_stage_of(region, tensor) : -1;
    if (p >= 0 && region->stages[p].ring_rows < region->stages[p].rows &&
        region->stages[p].ring_rows % stage->step_rows != 0)
      return false;
  }
  return true;
}

/* ---- paths ---- */

static int compare_texts(const char *a, size_t a_len, const char *b, size_t b_len) {
  int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
  return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_path(const void *a, const void *b) {
  const char *x = (*(const Node *const *)a)->path, *y = (*(const Node *const *)b)->path;
  return compare_texts(x, strlen(x), y, strlen(y));
}

PathIndex region_index_paths(const Regions *regions) {
  PathIndex index = {.n = regions->graph->nodes.len};
  index.nodes = ARENA_ARRAY(regions->arena, const Node *, index.n);
  for (size_t i = 0; i < index.n; i++) {
    index.nodes[i] = regions->graph->nodes.at[i];
    size_t length = strlen(index.nodes[i]->path);
    index.longest = length > index.longest ? length : index.longest;
  }
  if (index.n)
    qsort(index.nodes, index.n, sizeof *index.nodes, by_path);
  return index;
}

const Node *path_index_find(const PathIndex *index, const char *text, size_t len) {
  size_t low = 0, high = index->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const Node *node = index->nodes[middle];
    int order = compare_texts(text, len, node->path, strlen(node->path));
    if (order == 0)
      return node;
    if (order > 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

void region_unknown_path(const Regions *regions, Diag *diag, Loc loc) {
  VEC(const char *) paths = {0};
  for (size_t i = 0; i < regions->graph->nodes.len && !diag->limit_noted; i++)
    VEC_PUSH(regions->arena, paths, regions->graph->nodes.at[i]->path);
  const char *word = arena_strndup(regions->arena, loc.source->text + loc.begin, loc.end - loc.begin);
  const char *near = nearest_word(word, paths.at, paths.len);
  region_complain(regions, diag, loc, "no operator of the graph has the path '%s'%s%s%s", word, near ? "; did you mean '" : "",
             near ? near : "", near ? "'?" : "");
}
