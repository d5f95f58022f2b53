/* Pass: a stage that reads an operand only at the position it writes may take
 * over its memory (in place), if nobody reads the operand afterwards: the
 * operand is whole in the arena, no other stage of this region and no later
 * region reads it. */
#include "region/region.h"

/* Of each tensor, by id: the stage that makes it, and the last region that reads it. */
typedef struct Lives {
  const Stage **stage;
  size_t *last_reader; /* position of the region, from 1; 0: nobody */
} Lives;

static Lives lives_of(const Regions *regions) {
  size_t n = (size_t)graph_tensor_count(regions->graph);
  Lives lives = {ARENA_ARRAY(regions->arena, const Stage *, n), ARENA_ARRAY(regions->arena, size_t, n)};
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Stage *stage = &regions->regions.at[r]->stages[s];
      lives.stage[stage->node->output->id] = stage;
      for (int k = 0; k < stage->node->n_inputs; k++)
        lives.last_reader[stage->node->inputs[k]->id] = r + 1;
    }
  return lives;
}

/* Stages of the region that read the tensor, and by how many operands. */
static int reads_inside(const Region *region, const GTensor *tensor) {
  int n = 0;
  for (int s = 0; s < region->n_stages; s++)
    for (int o = 0; o < region->stages[s].compute.n_operands; o++)
      n += stage_operand_tensor(&region->stages[s], o) == tensor;
  return n;
}

/* The stage may write operand o over: it is whole in the arena, of the result's form, and nobody else reads it from now on. */
static bool may_take_over(const Regions *regions, const Lives *lives, size_t r, const Stage *stage, int o) {
  const Region *region = regions->regions.at[r];
  const GTensor *tensor = stage_operand_tensor(stage, o), *output = stage->node->output;
  if (!tensor || !tensor->producer || tensor->shape.elem != output->shape.elem || region_stage_of(region, tensor) >= 0 ||
      !compute_is_pointwise_access(&stage->compute, o) || reads_inside(region, tensor) != 1 || lives->last_reader[tensor->id] > r + 1)
    return false;
  int64_t hwc[3];
  shape_hwc(&tensor->shape, hwc);
  const int64_t *dims = stage->compute.operands[o].dims;
  return hwc[0] == dims[0] && hwc[1] == dims[1] && hwc[2] == dims[2] && lives->stage[tensor->id]->storage == STORAGE_WHOLE &&
         regions->channel_block[tensor->id] == regions->channel_block[output->id];
}

void region_share_memory(Regions *regions) {
  Lives lives = lives_of(regions);
  for (size_t r = 0; r < regions->regions.len; r++) {
    Region *region = regions->regions.at[r];
    for (int s = 0; s < region->n_stages; s++) {
      Stage *stage = &region->stages[s];
      for (int o = 0; stage->storage == STORAGE_WHOLE && stage->in_place < 0 && o < stage->compute.n_operands; o++)
        if (may_take_over(regions, &lives, r, stage, o))
          stage->in_place = o;
    }
  }
}
