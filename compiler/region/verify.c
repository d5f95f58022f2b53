/* Replays each region's steps against the invariants of region.h. */
#include <stdio.h>

#include "region/region.h"

static _Noreturn void fail(const Regions *regions, const Stage *stage, const char *invariant) {
  Writer w;
  writer_init(&w);
  region_print(&w, regions);
  fprintf(stderr, "%s", w.data);
  BUG("regions: %s: %s", stage->node->path, invariant);
}

static void check_read(const Regions *regions, const Region *region, const int64_t *made, const Step *step, int o) {
  const Stage *stage = &region->stages[step->stage];
  const GTensor *tensor = stage_operand_tensor(stage, o);
  int p = tensor ? region_stage_of(region, tensor) : -1;
  if (p < 0)
    return;
  const Stage *producer = &region->stages[p];
  int64_t begin, end;
  stage_rows_read(stage, o, step->first, step->rows, &begin, &end);
  if (end > made[p])
    fail(regions, stage, "reads a row that has not been made");
  if (begin < end && begin < made[p] - producer->ring_rows)
    fail(regions, stage, "reads a row that its ring no longer holds");
}

static void replay(const Regions *regions, const Region *region, int64_t *made) {
  for (size_t i = 0; i < region->steps.len; i++) {
    const Step *step = &region->steps.at[i];
    const Stage *stage = &region->stages[step->stage];
    if (step->first != made[step->stage] || step->rows < 1 || step->first + step->rows > stage->rows)
      fail(regions, stage, "rows are not made in order");
    for (int o = 0; o < stage->compute.n_operands; o++)
      check_read(regions, region, made, step, o);
    made[step->stage] += step->rows;
  }
  for (int s = 0; s < region->n_stages; s++)
    if (region->stages[s].storage != STORAGE_RING && made[s] != region->stages[s].rows)
      fail(regions, &region->stages[s], "not all rows are made");
}

void region_verify(const Regions *regions) {
  Arena *scratch = arena_new();
  size_t n = 0;
  for (size_t r = 0; r < regions->regions.len; r++) {
    const Region *region = regions->regions.at[r];
    n += (size_t)region->n_stages;
    if (region->steps.len)
      replay(regions, region, ARENA_ARRAY(scratch, int64_t, region->n_stages));
  }
  if (n != regions->graph->nodes.len)
    BUG("regions: %zu stages for %zu nodes", n, regions->graph->nodes.len);
  arena_free(scratch);
}
