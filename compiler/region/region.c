/* Questions that several region passes ask. */
#include "region/region.h"

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

void region_unknown_path(const Regions *regions, Diag *diag, Loc loc) {
  VEC(const char *) paths = {0};
  for (size_t i = 0; i < regions->graph->nodes.len; i++)
    VEC_PUSH(regions->arena, paths, regions->graph->nodes.at[i]->path);
  const char *word = arena_strndup(regions->arena, loc.source->text + loc.begin, loc.end - loc.begin);
  const char *near = nearest_word(word, paths.at, paths.len);
  diag_error(diag, loc, "no operator of the graph has the path '%s'%s%s%s", word, near ? "; did you mean '" : "",
             near ? near : "", near ? "'?" : "");
}
