/* Two passes: the work is divided for several threads.
 *
 * divide-rows, before the row schedule, decides which regions are divided by rows: every thread runs a row pipeline
 * of its own, from input rows to output rows, in one parallel step. Rows of inner stages that two parts need are
 * made by both. divide-stages, when schedules are known, divides what makes all rows in one step, stage by
 * stage: into rows, pixels (where they are walked as one dimension) or channels, in whole tiles of the schedule.
 *
 * Both go by one cost, in multiply-adds that one core does in its vectors: the work of the largest part, the weights
 * that it reads, what it reads that another core has made, and a fixed price of every parallel step. Where that is no
 * less than the work undivided, one thread does it. Nothing here changes what is computed: every element keeps the order of its sum. */
#include <stdlib.h>
#include <string.h>

#include "region/region.h"

typedef struct Divider {
  const Regions *regions;
  Cut *made; /* of each tensor, by id: how what made it is divided; CUT_CHOOSE: it is not known yet */
} Divider;

static Divider divider_new(const Regions *regions) {
  return (Divider){regions, ARENA_ARRAY(regions->arena, Cut, graph_tensor_count(regions->graph))};
}

/* ---- cost ---- */

/* Multiply-adds that a core does in a cycle. */
static double speed(const Target *target) { return (double)target->vector_bytes / 4 * (target->l1_bytes ? 2 : 0.5); }

/* Multiply-adds that a core does in the time that a parallel step costs: waking, waiting, and work that is not
 * quite even; and the lines that are written were in other cores' caches. Some 2.5 us at 3 GHz, of which a run of the
 * pool is 0.7. */
static double step_price(const Target *target) { return 7500 * speed(target); }

static bool reads_many_channels(const Compute *compute) {
  for (int o = 0; o < compute->n_operands; o++)
    if (!compute->operands[o].is_weight && !access_uses(&compute->operands[o].access[2], DIM_C))
      return true;
  return false;
}

/* Of one element of the result. Sums over channels run at full speed, others wait for their loads. */
static double element_work(const Compute *compute) {
  double points = 1;
  for (int r = 0; r < compute->n_reduce; r++)
    points *= (double)compute->reduce[r];
  return points * (compute->multiply_add && reads_many_channels(compute) ? 1 : 4) + (compute->n_reduce ? 4 : 1);
}

static double weight_bytes_read(const Compute *compute, double share) {
  double bytes = 0;
  for (int o = 0; o < compute->n_operands; o++) {
    const Operand *operand = &compute->operands[o];
    double elems = 4 * share;
    for (int i = 0; operand->is_weight && i < operand->rank; i++)
      elems *= (double)operand->dims[i];
    bytes += operand->is_weight ? elems : 0;
  }
  return bytes;
}

/* `elements` of the stage's result, for which `share` of its weights are read: the weights come from far away, at some
 * 8 bytes a cycle, mostly in the shadow of the arithmetic. */
static double part_work(const Stage *stage, double elements, double share) {
  double work = elements * element_work(&stage->compute), bytes = weight_bytes_read(&stage->compute, share);
  return (work > 4 * bytes ? work : 4 * bytes) + bytes / 4;
}

static double row_elements(const Stage *stage) { return (double)(stage->compute.out[1] * stage->compute.out[2]); }

static double whole_work(const Region *region) {
  double work = 0;
  for (int s = 0; s < region->n_stages; s++)
    work += part_work(&region->stages[s], (double)region->stages[s].rows * row_elements(&region->stages[s]), 1);
  return work;
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The size of a part: as many units as the busiest of the threads needs to make. */
static int64_t part_size(int64_t extent, int64_t unit, int threads) { return ceil_div(ceil_div(extent, unit), threads) * unit; }

/* ---- stage by stage ---- */

/* N of the first "split LABEL N" of a schedule, or 1. */
static int64_t split_of(const char *schedule, const char *label) {
  size_t length = strlen(label);
  for (const char *at = schedule; at && (at = strstr(at, "split ")) != NULL;) {
    at += strlen("split ");
    if (strncmp(at, label, length) == 0 && at[length] == ' ')
      return strtoll(at + length, NULL, 10);
  }
  return 1;
}

static int64_t channel_block(const Regions *regions, const Stage *stage) {
  return regions->channel_block[stage->node->output->id];
}

static int64_t unit_of(const Regions *regions, const Stage *stage, Cut cut) {
  switch (cut) {
  case CUT_CHOOSE:
  case CUT_NONE:
  case CUT_ROWS:
    return 1;
  case CUT_PIXELS:
    return split_of(stage->schedule, "x");
  case CUT_CHANNELS: {
    int64_t split = split_of(stage->schedule, "c"); /* a tile, or a group of several */
    int64_t unit = stage->tile_channels && split % stage->tile_channels ? stage->tile_channels : split, least = unit;
    for (int64_t block = channel_block(regions, stage); block && unit % block;)
      unit += least; /* parts write whole blocks of the result */
    return unit;
  }
  }
  return 1;
}

static bool may_cut(const Region *region, const Stage *stage, Cut cut) {
  switch (cut) {
  case CUT_CHOOSE:
  case CUT_NONE:
    return true;
  case CUT_ROWS: /* what is flat is divided into pixels */
    return region->n_stages == 1 && !stage->flat;
  case CUT_PIXELS:
    return stage->flat;
  case CUT_CHANNELS: /* a border inside the channels has loops of its own, which a part would cut again */
    return !compute_may_leave(&stage->compute, DIM_C);
  }
  return false;
}

/* What of a tensor that was made by parts a part of the stage reads from other cores, as a share of what it reads. A tensor
 * that nobody has made yet lies in no core. */
static double foreign_share(Cut made, Cut cut, bool follows_channels, int threads) {
  bool by_space = made == CUT_ROWS || made == CUT_PIXELS;
  if (made == CUT_CHOOSE || (made == CUT_NONE && cut == CUT_NONE))
    return 0;
  if ((by_space && (cut == CUT_ROWS || cut == CUT_PIXELS)) || (made == CUT_CHANNELS && cut == CUT_CHANNELS && follows_channels))
    return 0;
  return made == CUT_NONE ? 1 : 1 - 1.0 / threads;
}

/* The price of what a part reads from other cores: some 10 bytes a cycle. */
static double foreign_cost(const Divider *d, const Stage *stage, Cut cut, double share) {
  double bytes = 0;
  for (int o = 0; o < stage->compute.n_operands; o++) {
    const GTensor *tensor = stage_operand_tensor(stage, o);
    if (!tensor)
      continue;
    bool follows = access_uses(&stage->compute.operands[o].access[2], DIM_C);
    double read = cut == CUT_NONE || (cut == CUT_CHANNELS && !follows) ? 1 : share;
    bytes += 4 * (double)shape_elems(&tensor->shape) * read * foreign_share(d->made[tensor->id], cut, follows, d->regions->threads);
  }
  return bytes * speed(d->regions->target) / 10;
}

static double cut_cost(const Divider *d, const Stage *stage, Cut cut, int64_t size) {
  double elements = (double)stage->rows * row_elements(stage);
  if (cut == CUT_NONE)
    return part_work(stage, elements, 1) + foreign_cost(d, stage, cut, 1);
  double share = (double)size / (double)stage_cut_extent(stage, cut);
  return step_price(d->regions->target) + part_work(stage, elements * share, cut == CUT_CHANNELS ? share : 1) +
         foreign_cost(d, stage, cut, share);
}

/* The best way to divide the stage, which is left as it is if that is not to; its cost. */
static double choose_cut(const Divider *d, const Region *region, Stage *stage) {
  static const Cut cuts[] = {CUT_ROWS, CUT_PIXELS, CUT_CHANNELS};
  double best = cut_cost(d, stage, CUT_NONE, 0);
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    int64_t extent = stage_cut_extent(stage, cuts[i]), size = part_size(extent, unit_of(d->regions, stage, cuts[i]), d->regions->threads);
    if (size >= extent || !may_cut(region, stage, cuts[i]))
      continue;
    double cost = cut_cost(d, stage, cuts[i], size);
    if (cost < best) {
      best = cost;
      stage->cut = cuts[i];
      stage->part_size = size;
    }
  }
  return best;
}

/* Where the stage leaves its result; and what it has read undivided, the caller's core then has. */
static void remember(const Divider *d, const Region *region, const Stage *stage) {
  Cut cut = region_parts(region) > 1 ? CUT_ROWS : stage->cut == CUT_CHOOSE ? CUT_NONE : stage->cut;
  d->made[stage->node->output->id] = cut;
  for (int o = 0; cut == CUT_NONE && o < stage->compute.n_operands; o++)
    if (stage_operand_tensor(stage, o))
      d->made[stage_operand_tensor(stage, o)->id] = CUT_NONE;
}

/* ---- divide-rows ---- */

/* A step that divides `rows`, near `step`: rather somewhat longer, which leaves the first cache, than shorter, whose few
 * pixels fill no tiles and read the weights more often. */
static int64_t nearest_step(int64_t rows, int64_t step) {
  int64_t best = 1;
  for (int64_t n = 1; n <= rows; n++) {
    double far = n > step ? (double)n / (double)step : 2 * (double)step / (double)n;
    double found = best > step ? (double)best / (double)step : 2 * (double)step / (double)best;
    if (rows % n == 0 && (far < found || n == step))
      best = n;
    if (best == step)
      break;
  }
  return best;
}

/* Steps of all stages for parts of `rows` rows, in the proportions that they have. */
static void fit_steps(Region *region, int64_t rows) {
  Stage *last = &region->stages[region->n_stages - 1];
  int64_t before = last->step_rows, after = nearest_step(rows, before);
  for (int s = 0; s < region->n_stages; s++) {
    Stage *stage = &region->stages[s];
    if (stage->step_rows * after % before == 0 && stage->step_rows * after / before <= stage->rows)
      stage->step_rows = stage->step_rows * after / before;
  }
}

/* The largest number of rows that a part makes of each stage, in steps; the last stage's are `rows`. */
static void most_rows(const Region *region, int64_t rows, int64_t *most) {
  for (int s = region->n_stages - 1; s >= 0; s--) {
    const Stage *stage = &region->stages[s];
    most[s] = s == region->n_stages - 1 ? rows : 0;
    for (int r = s + 1; r < region->n_stages; r++)
      for (int o = 0; o < region->stages[r].compute.n_operands; o++) {
        if (stage_operand_tensor(&region->stages[r], o) != stage->node->output)
          continue;
        int64_t begin, end, middle = (region->stages[r].rows - most[r]) / 2;
        stage_rows_read(&region->stages[r], o, middle > 0 ? middle : 0, most[r], &begin, &end);
        most[s] = end - begin > most[s] ? end - begin : most[s];
      }
    most[s] = ceil_div(most[s], stage->step_rows) * stage->step_rows;
    most[s] = most[s] < stage->rows ? most[s] : stage->rows;
  }
}

static double rows_cost(const Divider *d, const Region *region, int64_t rows) {
  int64_t *most = ARENA_ARRAY(d->regions->arena, int64_t, region->n_stages);
  most_rows(region, rows, most);
  double cost = step_price(d->regions->target);
  for (int s = 0; s < region->n_stages; s++) {
    const Stage *stage = &region->stages[s];
    d->made[stage->node->output->id] = CUT_ROWS;
    cost += part_work(stage, (double)most[s] * row_elements(stage), 1) +
            foreign_cost(d, stage, CUT_ROWS, (double)most[s] / (double)stage->rows);
  }
  return cost;
}

/* What divide-stages will make of the region: it is tried on a copy. */
static double stages_cost(const Divider *d, const Region *region) {
  Region trial = *region;
  trial.stages = ARENA_ARRAY(d->regions->arena, Stage, region->n_stages);
  memcpy(trial.stages, region->stages, (size_t)region->n_stages * sizeof *trial.stages);
  double cost = 0;
  for (int s = 0; s < trial.n_stages; s++)
    trial.stages[s].ring_rows = trial.stages[s].rows;
  for (int s = 0; s < trial.n_stages; s++) {
    stage_choose_schedule(d->regions, &trial, &trial.stages[s]);
    cost += choose_cut(d, &trial, &trial.stages[s]);
    remember(d, &trial, &trial.stages[s]);
  }
  return cost;
}

static bool may_divide_rows(const Region *region) {
  for (int s = 0; s < region->n_stages; s++) {
    const Stage *stage = &region->stages[s];
    if (stage->cut != CUT_CHOOSE || (s < region->n_stages - 1 && region_read_outside(region, s)))
      return false;
  }
  return region->stages[region->n_stages - 1].rows > 1;
}

int64_t stage_part_size(const Regions *regions, const Region *region, const Stage *stage, Cut cut) {
  bool by_rows = cut == CUT_ROWS && region->n_stages > 1;
  bool may = by_rows ? stage == &region->stages[region->n_stages - 1] : region_in_single_steps(region) && may_cut(region, stage, cut);
  int64_t extent = stage_cut_extent(stage, cut);
  for (int s = 0; by_rows && s < region->n_stages - 1; s++)
    may = may && !region_read_outside(region, s);
  if (!extent || !may)
    return 0;
  int64_t size = part_size(extent, by_rows ? stage->step_rows : unit_of(regions, stage, cut), regions->threads);
  return size < extent ? size : 0;
}

/* Divides the region by rows if that is best; else foresees what divide-stages will do, for the regions behind it. */
static void divide_region(const Divider *d, Region *region) {
  const Regions *regions = d->regions;
  bool alone = region->n_stages == 1 && region_in_single_steps(region); /* divide-stages knows more */
  double otherwise = region_in_single_steps(region) ? stages_cost(d, region) : whole_work(region);
  if (alone || !may_divide_rows(region)) {
    for (int s = 0; s < region->n_stages && !region_in_single_steps(region); s++)
      remember(d, region, &region->stages[s]);
    return;
  }
  Stage *last = &region->stages[region->n_stages - 1];
  int64_t rows = part_size(last->rows, 1, regions->threads);
  int64_t *steps = ARENA_ARRAY(regions->arena, int64_t, region->n_stages);
  for (int s = 0; s < region->n_stages; s++)
    steps[s] = region->stages[s].step_rows;
  fit_steps(region, rows);
  if (rows_cost(d, region, rows) < otherwise) {
    last->cut = CUT_ROWS;
    last->part_size = rows;
    return;
  }
  for (int s = 0; s < region->n_stages; s++)
    region->stages[s].step_rows = steps[s];
  if (region_in_single_steps(region))
    stages_cost(d, region);
  for (int s = 0; s < region->n_stages && !region_in_single_steps(region); s++)
    remember(d, region, &region->stages[s]);
}

void region_divide_rows(Regions *regions) {
  if (regions->threads == 1)
    return;
  Divider divider = divider_new(regions);
  for (size_t r = 0; r < regions->regions.len; r++)
    divide_region(&divider, regions->regions.at[r]);
}

/* ---- divide-stages ---- */

/* What a regions file asks for must suit the schedule. */
static bool check_wanted(const Regions *regions, const Region *region, const Stage *stage, Diag *diag) {
  if (stage->cut == CUT_NONE || stage->cut == CUT_ROWS)
    return true;
  if (!may_cut(region, stage, stage->cut)) {
    region_complain(regions, diag, stage->loc, stage->cut == CUT_PIXELS
                                     ? "'%s' cannot be divided into pixels, which its schedule does not walk as one dimension"
                                     : "'%s' cannot be divided into channels: its operands have borders there",
               stage->node->path);
    return false;
  }
  if (stage->cut == CUT_CHANNELS && stage->tile_channels && stage->part_size % stage->tile_channels != 0) {
    region_complain(regions, diag, stage->loc, "'%s' is computed in tiles of %lld channels, and %lld is no multiple of that",
               stage->node->path, (long long)stage->tile_channels, (long long)stage->part_size);
    return false;
  }
  int64_t block = channel_block(regions, stage);
  if (stage->cut == CUT_CHANNELS && block && stage->part_size % block != 0) {
    region_complain(regions, diag, stage->loc, "the result of '%s' is stored in blocks of %lld channels, and %lld is no multiple of that",
               stage->node->path, (long long)block, (long long)stage->part_size);
    return false;
  }
  return true;
}

/* A single stage by rows: each part is one step. */
static void steps_by_rows(const Regions *regions, Region *region) {
  Stage *stage = &region->stages[0];
  region->steps.len = 0;
  stage->step_rows = stage->part_size;
  for (int part = 0; part < region_parts(region); part++) {
    int64_t first, end;
    region_part_rows(region, part, &first, &end);
    VEC_PUSH(regions->arena, region->steps, ((Step){0, part, first, end - first}));
  }
}

static void divide_stages(const Divider *d, Region *region, Diag *diag) {
  if (region_parts(region) > 1 || !region_in_single_steps(region))
    return;
  for (int s = 0; s < region->n_stages; s++) {
    Stage *stage = &region->stages[s];
    if (stage->cut != CUT_CHOOSE) {
      if (check_wanted(d->regions, region, stage, diag))
        continue;
      if (!d->regions->hint)
        return;
      stage->cut = CUT_CHOOSE;
    }
    if (d->regions->threads > 1)
      choose_cut(d, region, stage);
    if (stage->cut == CUT_ROWS)
      steps_by_rows(d->regions, region);
    remember(d, region, stage);
  }
}

void region_divide_stages(Regions *regions, Diag *diag) {
  Divider divider = divider_new(regions);
  for (size_t r = 0; r < regions->regions.len; r++) {
    Region *region = regions->regions.at[r];
    divide_stages(&divider, region, diag);
    for (int s = 0; s < region->n_stages; s++)
      remember(&divider, region, &region->stages[s]);
  }
  regions->divided = true;
}
