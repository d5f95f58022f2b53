/* Pass: a stage that reads an operand only at the position it writes may take
 * over its memory (in place), if nobody reads the operand afterwards: the
 * operand is whole in the arena, no other stage of this region and no later
 * region reads it. */
#include "region/region.h"

static bool read_later(const Regions *regions, size_t from, const GTensor *tensor) {
  for (size_t r = from; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Node *node = regions->regions.at[r]->stages[s].node;
      for (int k = 0; k < node->n_inputs; k++)
        if (node->inputs[k] == tensor)
          return true;
    }
  return false;
}

/* Stages of the region that read the tensor, and by how many operands. */
static int reads_inside(const Region *region, const GTensor *tensor) {
  int n = 0;
  for (int s = 0; s < region->n_stages; s++)
    for (int o = 0; o < region->stages[s].compute.n_operands; o++)
      n += stage_operand_tensor(&region->stages[s], o) == tensor;
  return n;
}

static const Stage *stage_of_tensor(const Regions *regions, const GTensor *tensor) {
  for (size_t r = 0; r < regions->regions.len; r++) {
    int s = region_stage_of(regions->regions.at[r], tensor);
    if (s >= 0)
      return &regions->regions.at[r]->stages[s];
  }
  return NULL;
}

void region_share_memory(Regions *regions) {
  for (size_t r = 0; r < regions->regions.len; r++) {
    Region *region = regions->regions.at[r];
    for (int s = 0; s < region->n_stages; s++) {
      Stage *stage = &region->stages[s];
      for (int o = 0; stage->storage == STORAGE_WHOLE && o < stage->compute.n_operands; o++) {
        const GTensor *tensor = stage_operand_tensor(stage, o);
        if (!tensor || !tensor->producer || tensor->shape.elem != stage->node->output->shape.elem || region_stage_of(region, tensor) >= 0 ||
            !compute_is_pointwise_access(&stage->compute, o) || reads_inside(region, tensor) != 1 ||
            read_later(regions, r + 1, tensor))
          continue;
        int64_t hwc[3];
        shape_hwc(&tensor->shape, hwc);
        const int64_t *dims = stage->compute.operands[o].dims;
        if (hwc[0] != dims[0] || hwc[1] != dims[1] || hwc[2] != dims[2] ||
            stage_of_tensor(regions, tensor)->storage != STORAGE_WHOLE ||
            regions->channel_block[tensor->id] != regions->channel_block[stage->node->output->id])
          continue;
        stage->in_place = o;
        break;
      }
    }
  }
}
