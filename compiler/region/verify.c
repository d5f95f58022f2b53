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

/* The end of the rows made so far of each stage, and the first of them, in one part. */
typedef struct Progress {
  int64_t *firsts, *made;
} Progress;

static void check_read(const Regions *regions, const Region *region, const Progress *progress, const Step *step, int o) {
  const int64_t *made = progress->made;
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
  if (begin < end && begin < progress->firsts[p])
    fail(regions, stage, "reads a row that another part makes");
  if (begin < end && begin < made[p] - producer->ring_rows)
    fail(regions, stage, "reads a row that its ring no longer holds");
}

static void begin_part(const Region *region, int part, Progress *progress) {
  int64_t first, end;
  region_part_rows(region, part, &first, &end);
  region_first_rows(region, first, progress->firsts);
  for (int s = 0; s < region->n_stages; s++)
    progress->made[s] = progress->firsts[s];
}

/* What outsiders read is complete: of a part, its rows of the last stage. */
static void end_part(const Regions *regions, const Region *region, int part, const Progress *progress) {
  int64_t first, end;
  region_part_rows(region, part, &first, &end);
  for (int s = 0; s < region->n_stages; s++) {
    const Stage *stage = &region->stages[s];
    if (stage->storage != STORAGE_RING && progress->made[s] != (s == region->n_stages - 1 ? end : stage->rows))
      fail(regions, stage, "not all rows are made");
  }
}

static void replay(const Regions *regions, const Region *region, Progress *progress) {
  int part = -1;
  for (size_t i = 0; i < region->steps.len; i++) {
    const Step *step = &region->steps.at[i];
    const Stage *stage = &region->stages[step->stage];
    if (step->part != part) {
      if (step->part != part + 1)
        fail(regions, stage, "the parts are out of order");
      if (part >= 0)
        end_part(regions, region, part, progress);
      begin_part(region, part = step->part, progress);
    }
    if (step->first != progress->made[step->stage] || step->rows < 1 || step->first + step->rows > stage->rows)
      fail(regions, stage, "rows are not made in order");
    for (int o = 0; o < stage->compute.n_operands; o++)
      check_read(regions, region, progress, step, o);
    progress->made[step->stage] += step->rows;
  }
  end_part(regions, region, part, progress);
  if (part + 1 != region_parts(region))
    fail(regions, &region->stages[region->n_stages - 1], "a part has no steps");
}

static void check_cuts(const Regions *regions, const Region *region) {
  for (int s = 0; s < region->n_stages; s++) {
    const Stage *stage = &region->stages[s];
    bool last = s == region->n_stages - 1;
    if (stage->cut == CUT_ROWS && !last)
      fail(regions, stage, "only a region's last stage divides it by rows");
    if ((stage->cut == CUT_PIXELS || stage->cut == CUT_CHANNELS) && !region_in_single_steps(region))
      fail(regions, stage, "is divided by itself but made in several steps");
    if (regions->divided && stage->cut == CUT_PIXELS && !stage->flat)
      fail(regions, stage, "is divided into pixels but not flat");
    if (stage_parts(stage) > regions->threads || region_parts(region) > regions->threads)
      fail(regions, stage, "has more parts than there are threads");
    if (region_parts(region) > 1 && !last && region_read_outside(region, s))
      fail(regions, stage, "is read outside of a region that is divided by rows");
  }
}

void region_verify(const Regions *regions) {
  Arena *scratch = arena_new();
  size_t n = 0;
  for (size_t r = 0; r < regions->regions.len; r++) {
    const Region *region = regions->regions.at[r];
    n += (size_t)region->n_stages;
    if (region->steps.len == 0)
      continue;
    Progress progress = {ARENA_ARRAY(scratch, int64_t, region->n_stages), ARENA_ARRAY(scratch, int64_t, region->n_stages)};
    replay(regions, region, &progress);
    check_cuts(regions, region);
  }
  if (n != regions->graph->nodes.len)
    BUG("regions: %zu stages for %zu nodes", n, regions->graph->nodes.len);
  arena_free(scratch);
}
