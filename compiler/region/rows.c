/* Pass: the row schedule of each region, by simulating it.
 *
 * Demand pulls: to make rows of a stage, the stages it reads first make what is
 * missing. A ring then holds the maximum over time of (last row made - oldest
 * row still needed + 1).
 *
 * Each part of a region that is divided by rows is simulated by itself, from its
 * own first rows on. Its rings are as large as the largest part needs them. */
#include "region/region.h"

typedef struct Simulation {
  Regions *regions;
  Region *region;
  int64_t *made; /* per stage: the end of the rows made so far, in the current part */
  int part;
} Simulation;

static void make_until(Simulation *sim, int s, int64_t until) {
  Stage *stage = &sim->region->stages[s];
  while (sim->made[s] < until) {
    int64_t first = sim->made[s], rows = stage->step_rows;
    if (rows > stage->rows - first)
      rows = stage->rows - first;
    for (int o = 0; o < stage->compute.n_operands; o++) {
      const GTensor *tensor = stage_operand_tensor(stage, o);
      int producer = tensor ? region_stage_of(sim->region, tensor) : -1;
      if (producer < 0)
        continue;
      int64_t begin, end;
      stage_rows_read(stage, o, first, rows, &begin, &end);
      make_until(sim, producer, end);
    }
    Step step = {s, sim->part, first, rows};
    VEC_PUSH(sim->regions->arena, sim->region->steps, step);
    sim->made[s] = first + rows;
  }
}

/* The oldest row of stage p that a later step of another stage reads; `none` if no step does. */
static int64_t oldest_needed(const Region *region, const int64_t *made, int p, int64_t none) {
  int64_t oldest = none;
  for (int s = 0; s < region->n_stages; s++) {
    const Stage *stage = &region->stages[s];
    if (made[s] >= stage->rows)
      continue;
    for (int o = 0; o < stage->compute.n_operands; o++) {
      if (stage_operand_tensor(stage, o) != region->stages[p].node->output)
        continue;
      int64_t begin, end;
      stage_rows_read(stage, o, made[s], 1, &begin, &end);
      oldest = begin < oldest ? begin : oldest;
    }
  }
  return oldest;
}

static void size_rings(Regions *regions, Region *region) {
  int64_t *made = ARENA_ARRAY(regions->arena, int64_t, region->n_stages), first, end_row;
  for (size_t i = 0; i < region->steps.len; i++) {
    const Step *step = &region->steps.at[i];
    if (i == 0 || step->part != region->steps.at[i - 1].part) {
      region_part_rows(region, step->part, &first, &end_row);
      region_first_rows(region, first, made);
    }
    Stage *stage = &region->stages[step->stage];
    int64_t end = step->first + step->rows;
    if (stage->storage == STORAGE_RING) {
      int64_t held = end - oldest_needed(region, made, step->stage, step->first);
      stage->ring_rows = held > stage->ring_rows ? held : stage->ring_rows;
    }
    made[step->stage] = end;
  }
}

void region_schedule_rows(Regions *regions) {
  for (size_t r = 0; r < regions->regions.len; r++) {
    Region *region = regions->regions.at[r];
    Simulation sim = {regions, region, ARENA_ARRAY(regions->arena, int64_t, region->n_stages), 0};
    region->steps.len = 0;
    for (int s = 0; s < region->n_stages; s++) {
      Stage *stage = &region->stages[s];
      bool outside = region_read_outside(region, s);
      stage->storage = stage->node->output->output >= 0 ? STORAGE_OUTPUT : outside ? STORAGE_WHOLE : STORAGE_RING;
      stage->ring_rows = stage->storage == STORAGE_RING ? 0 : stage->rows;
    }
    /* The last stage pulls; results that others read are completed. */
    for (sim.part = 0; sim.part < region_parts(region); sim.part++) {
      int64_t first, end;
      region_part_rows(region, sim.part, &first, &end);
      region_first_rows(region, first, sim.made);
      make_until(&sim, region->n_stages - 1, end);
      for (int s = 0; s < region->n_stages - 1; s++)
        if (region->stages[s].storage != STORAGE_RING)
          make_until(&sim, s, region->stages[s].rows);
    }
    size_rings(regions, region);
  }
}
