/* Pass: the layout of each tensor's buffer.
 *
 * On targets with caches, a tensor that is only read by channel or summed over channels is stored in blocks of one
 * vector of channels, [C/B][H][W][B]: neighbouring pixels then lie B elements apart whatever C is. In [H][W][C] the
 * pixels of a tile lie C elements apart, and where that is a power of two they compete for a few sets of the cache.
 *
 * A regions file may say another layout, for any target. */
#include <string.h>

#include "region/region.h"

/* The tensor's channel is `access` as it stands: one dimension, from 0. */
static bool walks_channels(const AccessDim *access, int n_dims) {
  int dimensions = 0;
  for (int d = 0; d < n_dims; d++) {
    if (access->coef[d] != 0 && access->coef[d] != 1)
      return false;
    dimensions += access->coef[d] == 1;
  }
  return dimensions == 1 && access->offset == 0 && access->quotient.times == 0;
}

static bool reads_blocks(const Stage *stage, int o, const int64_t *hwc) {
  const Operand *operand = &stage->compute.operands[o];
  for (int i = 0; i < 3; i++)
    if (operand->dims[i] != hwc[i])
      return false;
  return walks_channels(&operand->access[2], DIM_R + stage->compute.n_reduce);
}

/* Takes back the block of every tensor that the stage reads or writes in another way. */
static void forbid(Regions *regions, const Stage *stage) {
  bool lanes = compute_vectorises(&stage->compute);
  for (int o = 0; o < stage->compute.n_operands; o++) {
    const GTensor *tensor = stage_operand_tensor(stage, o);
    if (!tensor)
      continue;
    int64_t hwc[3];
    shape_hwc(&tensor->shape, hwc);
    if (!lanes || !reads_blocks(stage, o, hwc))
      regions->channel_block[tensor->id] = 0;
  }
  int64_t hwc[3];
  shape_hwc(&stage->node->output->shape, hwc);
  bool as_it_is = memcmp(hwc, stage->compute.out, sizeof hwc) == 0; /* else written through another shape */
  if (!lanes || !as_it_is)
    regions->channel_block[stage->node->output->id] = 0;
}

/* The rule. */
static void choose(Regions *regions) {
  int64_t lanes = regions->target->vector_bytes / 4;
  if (!regions->target->l1_bytes)
    return;
  for (size_t i = 0; i < regions->graph->nodes.len; i++) {
    const GTensor *tensor = regions->graph->nodes.at[i]->output;
    int64_t hwc[3];
    shape_hwc(&tensor->shape, hwc);
    bool in_arena = tensor->output < 0;
    if (in_arena && hwc[0] * hwc[1] > 1 && hwc[2] > lanes)
      regions->channel_block[tensor->id] = lanes;
  }
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++)
      forbid(regions, &regions->regions.at[r]->stages[s]);
}

/* ---- what a regions file says ---- */

/* The stage whose operand is the tensor in another shape, or null. */
static const Stage *reader_in_another_shape(const Regions *regions, const GTensor *tensor) {
  int64_t hwc[3];
  shape_hwc(&tensor->shape, hwc);
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Stage *stage = &regions->regions.at[r]->stages[s];
      for (int o = 0; o < stage->compute.n_operands; o++)
        if (stage_operand_tensor(stage, o) == tensor && memcmp(stage->compute.operands[o].dims, hwc, sizeof hwc) != 0)
          return stage;
    }
  return NULL;
}

/* The stage's result may lie in blocks. False after a complaint. */
static bool check_blocks(const Regions *regions, const Stage *stage, Diag *diag) {
  const GTensor *tensor = stage->node->output;
  int64_t hwc[3];
  shape_hwc(&tensor->shape, hwc);
  const Stage *reader = reader_in_another_shape(regions, tensor);
  if (tensor->output >= 0)
    region_complain(regions, diag, stage->loc, "the result of '%s' is an output of the network, which is not stored in blocks",
                    stage->node->path);
  else if (memcmp(hwc, stage->compute.out, sizeof hwc) != 0)
    region_complain(regions, diag, stage->loc, "'%s' writes its result through another shape, which is not stored in blocks",
                    stage->node->path);
  else if (reader)
    region_complain(regions, diag, stage->loc, "'%s' reads the result of '%s' in another shape, so that it is not stored in blocks",
                    reader->node->path, stage->node->path);
  else
    return true;
  return false;
}

void region_choose_layouts(Regions *regions, Diag *diag) {
  choose(regions);
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Stage *stage = &regions->regions.at[r]->stages[s];
      if (stage->layout != LAYOUT_CHOOSE && (!stage->layout || check_blocks(regions, stage, diag)))
        regions->channel_block[stage->node->output->id] = stage->layout;
    }
}
