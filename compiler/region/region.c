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
