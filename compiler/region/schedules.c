/* Pass: a loop schedule for each stage, from its compute description and the
 * target's registers; and the reader of --schedule files, whose lines are
 *
 *     PATH: DIRECTIVES        // see loop/schedule.h */
#include <string.h>

#include "loop/schedule.h"
#include "region/region.h"

/* The greatest common divisor and the least common multiple. */
static int64_t divisor(int64_t a, int64_t b) { return b == 0 ? a : divisor(b, a % b); }
static int64_t multiple(int64_t a, int64_t b) { return a / divisor(a, b) * b; }

/* Channels of the output that read the same channels of the input, one group's, where that is all that keeps channels from
 * being lanes; else 0. */
static int64_t group_channels(const Compute *compute) {
  int64_t width = compute->out[DIM_C];
  for (int o = 0; o < compute->n_operands; o++)
    for (int i = 0; i < compute->operands[o].rank; i++) {
      const AccessDim *access = &compute->operands[o].access[i];
      const AccessQuotient *q = &access->quotient;
      if (!access_uses(access, DIM_C))
        continue;
      bool walks = access->coef[DIM_C] == 1 && q->times == 0 && i == compute->operands[o].rank - 1;
      bool grouped = access->coef[DIM_C] == 0 && q->coef == 1 && q->offset == 0 && !q->remainder;
      if (!walks && !grouped)
        return 0;
      if (grouped)
        width = divisor(width, q->divide);
    }
  return width;
}

/* The most lanes, a power of two up to `lanes`, that divide a group. */
static int64_t group_lanes(int64_t width, int64_t lanes) {
  while (lanes > 1 && (width == 0 || width % lanes))
    lanes /= 2;
  return lanes;
}

/* Directives for columns that are read through a quotient or a remainder: dealt out so that in each loop all that depends
 * on them is affine, and a tile of columns reads the same weights. */
static const char *deal_columns(Arena *arena, const Compute *compute) {
  enum { MOST = 4 };
  int64_t hands = 1;
  for (int o = 0; o < compute->n_operands && compute->n_reduce; o++)
    for (int i = 0; i < compute->operands[o].rank; i++) {
      const AccessQuotient *q = &compute->operands[o].access[i].quotient;
      if (q->times != 0 && q->dim == DIM_X)
        hands = multiple(hands, q->divide / divisor(q->coef, q->divide));
      if (hands > MOST)
        return "";
    }
  return hands > 1 && hands < compute->out[DIM_X] ? arena_printf(arena, "deal x %lld; ", (long long)hands) : "";
}

/* The reduction walks over channels of the input, or over neighbouring pixels only. */
static bool sums_channels(const Compute *compute) {
  for (int o = 0; o < compute->n_operands; o++)
    if (!compute->operands[o].is_weight && !access_uses(&compute->operands[o].access[2], DIM_C))
      return true;
  return false;
}

/* ---- blocks of weights ----
 *
 * A tile reads the weights of its channels step by step of the reduction, so they are stored in blocks as wide as it is. In a
 * file for several targets that would be another order for each. There the first target chooses, and the others read its
 * blocks, whatever their tiles: the weights are in the file once. A tile that is narrower than a block reads a part of each of
 * its rows. Where a row is a multiple of four vectors of the widest target, lines as a rule, these parts would crowd a quarter
 * of the sets of the cache, and blocks are one such vector wide instead: a wide tile reads several of them side by side. */

static int64_t choose_weight_block(const Regions *regions, const Stage *stage, int64_t tile_channels) {
  int64_t vector = regions->shared.vector;
  if (!vector)
    return tile_channels;
  if (regions->shared.blocks)
    return regions->shared.blocks[stage->node->output->id];
  return tile_channels % vector == 0 && tile_channels % (4 * vector) != 0 ? tile_channels : vector;
}

static void set_tile_channels(const Regions *regions, Stage *stage, int64_t channels) {
  stage->tile_channels = channels;
  stage->weight_block = choose_weight_block(regions, stage, channels);
}

const int64_t *region_weight_blocks(const Regions *regions) {
  int64_t *blocks = ARENA_ARRAY(regions->arena, int64_t, graph_tensor_count(regions->graph));
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      const Stage *stage = &regions->regions.at[r]->stages[s];
      blocks[stage->node->output->id] = stage->weight_block;
    }
  return blocks;
}

/* ---- small targets: one modest tile, little code ---- */

static const char *choose_small(const Regions *regions, Stage *stage) {
  Arena *arena = regions->arena;
  const Target *target = regions->target;
  const Compute *compute = &stage->compute;
  bool vector = compute_vectorises(compute) && target->vector_bytes > 4;
  bool tile = compute->multiply_add && compute->out[DIM_X] > 1;
  int64_t lanes = target->vector_bytes / 4, width = group_channels(compute);
  int64_t columns = 4;
  const char *c = "c", *inside = "";
  if (!vector && compute->multiply_add && group_lanes(width, lanes) >= 4) {
    vector = true;
    lanes = group_lanes(width, lanes);
    inside = arena_printf(arena, "split c %lld; ", (long long)width);
    c = "c.i";
  }
  /* As the operator packs them, if nobody else reads them. */
  stage->weight_block =
      vector && compute->multiply_add && (*inside || sums_channels(compute)) ? choose_weight_block(regions, stage, 0) : 0;
  const char *peel = arena_printf(arena, "%s%s%s", tile ? deal_columns(arena, compute) : "",
                                  compute->n_reduce && compute->out[DIM_X] > 1 ? "peel x; " : "",
                                  compute_may_leave(compute, DIM_C) ? "peel c; " : "");
  const char *split_x = tile ? arena_printf(arena, "split x %lld; ", (long long)columns) : "";
  const char *split_c = vector ? arena_printf(arena, "%ssplit %s %lld; ", inside, c, (long long)lanes) : "";
  const char *order = vector && tile ? arena_printf(arena, "order y x %s%s x.i %s.i; ", *inside ? "c " : "", c, c) : "";
  const char *unroll = tile ? "unroll x.i; " : "";
  const char *lanes_text = vector ? arena_printf(arena, "vector %s.i; ", c) : "";
  const char *text =
      arena_printf(arena, "%s%s%s%s%s%s", peel, split_x, split_c, order, unroll, lanes_text);
  size_t length = strlen(text);
  return length ? arena_strndup(arena, text, length - 2) : "";
}

/* ---- big cores: register tiles ----
 *
 * A tile is `columns` pixels x `vectors` vectors of channels, all accumulators in registers. For one step of the reduction
 * the operands of its shorter side are all in registers, those of the longer side come one by one. It takes
 * columns * vectors multiply-adds, columns + vectors loads (two of each a cycle), and at least the latency of a
 * multiply-add. */

/* Accumulators beside which the latency of a multiply-add does not show. */
enum { ENOUGH_SUMS = 12 };

static bool tile_has_registers(const Target *target, int64_t columns, int64_t vectors) {
  int64_t side = columns < vectors ? columns : vectors;
  /* A product that is not fused has a register of its own. One stays free: compilers load an operand ahead of its time, and
   * would spill a sum for it, whose latency then is that of memory. */
  return columns * vectors + side + (target->fma ? 1 : 2) < target->vector_registers;
}

/* The order of the loops of a tile: the side of the one named last comes one by one. */
static const char *tile_order(Arena *arena, Tile tile, const char *channels) {
  return tile.columns < tile.vectors ? arena_printf(arena, "x.i %s", channels) : arena_printf(arena, "%s x.i", channels);
}

/* Half cycles of one step of the reduction. */
static double tile_cost(int64_t columns, int64_t vectors) {
  const double latency = 11; /* eight, and some for what the scheduler does not find */
  const double load = 1.1; /* two of them in one cycle are not always found */
  double products = (double)(columns * vectors), loads = load * (double)(columns + vectors);
  double cost = products > loads ? products : loads;
  return cost > latency ? cost : latency;
}

/* The cost of covering `pixels` x `vectors` by tiles and remainders, per step of the reduction. */
static double cover_cost(Tile tile, int64_t pixels, int64_t vectors) {
  /* Each tile also pays for its beginning and end: a load and a store per accumulator, in the shadow of others. */
  double cost = 0;
  for (int px = 0; px < 2; px++)
    for (int v = 0; v < 2; v++) {
      int64_t columns = px ? pixels % tile.columns : tile.columns, width = v ? vectors % tile.vectors : tile.vectors;
      int64_t times = (px ? 1 : pixels / tile.columns) * (v ? 1 : vectors / tile.vectors);
      /* Loads are free beside products as long as they are fewer, but the fewer the better. */
      if (columns && width)
        cost += (double)times * (tile_cost(columns, width) + 0.25 + 0.03 * (double)(columns + width));
    }
  return cost;
}

/* The cheapest tile with at most `most` accumulators. */
static Tile choose_tile(const Target *target, int64_t pixels, int64_t vectors, int64_t most) {
  Tile best = {1, 1};
  double best_cost = cover_cost(best, pixels, vectors);
  for (int64_t n = 1; n <= 4 && n <= vectors; n++)
    for (int64_t p = 1; p <= pixels && p <= 16 && tile_has_registers(target, p, n) && p * n <= most; p++) {
      Tile tile = {p, n};
      double cost = cover_cost(tile, pixels, vectors);
      if (cost < best_cost) {
        best = tile;
        best_cost = cost;
      }
    }
  return best;
}

/* The registers hold its accumulators, a pixel, and the weights; and there is as much to compute. */
static bool tile_fits(const Target *target, Tile tile, int64_t pixels, int64_t vectors) {
  return tile.columns >= 1 && tile.vectors >= 1 && tile.columns <= pixels && tile.vectors <= vectors && tile.columns <= 16 &&
         tile.vectors <= 16 && tile_has_registers(target, tile.columns, tile.vectors);
}

/* The k-th best tile by the model's cost, 0 the chosen one; the chosen one too if there are not so many. Tiles of one pixel are
 * compared by nothing but their width. */
static Tile candidate_tile(const Target *target, Tile chosen, int k, int64_t pixels, int64_t vectors) {
  double least = -1;
  Tile last = chosen;
  for (int i = 0; i < k; i++) {
    Tile best = {0, 0};
    double best_cost = 0;
    for (int64_t n = 1; n <= (pixels > 1 ? 4 : 16); n++)
      for (int64_t p = 1; p <= 16; p++) {
        Tile tile = {p, n};
        double cost = pixels > 1 ? cover_cost(tile, pixels, vectors) : (double)(16 - n);
        cost += 1e-6 * (double)(16 * p + n); /* no two are equal */
        if (!tile_fits(target, tile, pixels, vectors) || (p == chosen.columns && n == chosen.vectors) || cost <= least)
          continue;
        if (!best.columns || cost < best_cost) {
          best = tile;
          best_cost = cost;
        }
      }
    if (!best.columns)
      return chosen;
    last = best;
    least = best_cost;
  }
  return last;
}

/* The tile that a measurement asks for, else the one that was measured to be the best, else the model's choice. */
static Tile settle_tile(const Regions *regions, Stage *stage, Tile chosen, int64_t pixels, int64_t vectors) {
  stage->tile = chosen;
  if (regions->candidate) {
    stage->tile = candidate_tile(regions->target, chosen, regions->candidate, pixels, vectors);
    return stage->tile;
  }
  const TunedTile *tuned = region_find_tuned(regions, stage);
  if (tuned && tile_fits(regions->target, tuned->tile, pixels, vectors)) {
    stage->tile = tuned->tile;
    region_use_tuned(regions, tuned);
  }
  return stage->tile;
}

/* Products summed per output. */
static int64_t reduction_length(const Compute *compute) {
  int64_t n = 1;
  for (int r = 0; r < compute->n_reduce; r++)
    n *= compute->reduce[r];
  return n;
}

/* Channels of a block of a tensor that the stage sums over; 0: none is stored in blocks. */
static int64_t summed_block(const Regions *regions, const Stage *stage) {
  for (int o = 0; o < stage->compute.n_operands; o++) {
    const GTensor *tensor = stage_operand_tensor(stage, o);
    if (tensor && !access_uses(&stage->compute.operands[o].access[2], DIM_C) && regions->channel_block[tensor->id])
      return regions->channel_block[tensor->id];
  }
  return 0;
}

/* Directives that unroll the taps of a window (all of the reduction if it is short). */
static const char *unroll_taps(Arena *arena, const Compute *compute, int64_t limit) {
  const char *text = "";
  int64_t taps = 1;
  for (int r = compute->n_reduce - 1; r >= 0; r--) {
    taps *= compute->reduce[r];
    if (taps > limit)
      break;
    text = arena_printf(arena, "unroll %s; %s", compute->reduce_label[r], text);
  }
  return text;
}

/* Vectors of a tile of one pixel: eight hide the latency. For several threads as many as make their shares even. */
static int64_t vectors_of_pixel(int64_t vectors, int threads) {
  int64_t share = (vectors + threads - 1) / threads, best = share < 8 ? share : 8, least = INT64_MAX;
  for (int64_t n = best; n > 4 && threads > 1; n--) {
    int64_t padded = (share + n - 1) / n * n;
    if (padded < least) {
      least = padded;
      best = n;
    }
  }
  return best;
}

/* Groups: a tile is of one group, whose channels are cut into whole vectors, short ones where the groups are narrow. Two
 * lanes are not worth it. */
static const char *choose_grouped(const Regions *regions, const Region *region, Stage *stage) {
  Arena *arena = regions->arena;
  const Target *target = regions->target;
  const Compute *compute = &stage->compute;
  int64_t width = group_channels(compute), lanes = group_lanes(width, target->vector_bytes / 4);
  if (lanes < 4 || !compute->multiply_add)
    return "";
  stage->border_kernels = true;
  stage->flat = stage_can_be_flat(region, stage);
  int64_t pixels = compute->out[DIM_X] * (stage->flat ? stage->step_rows : 1), vectors = width / lanes;
  Tile tile = pixels > 1 ? choose_tile(target, pixels, vectors, target->vector_registers) : (Tile){1, vectors < 8 ? vectors : 8};
  while (vectors % tile.vectors)
    tile.vectors--;
  set_tile_channels(regions, stage, tile.vectors * lanes);
  const char *cuts = arena_printf(arena, "%s%s%s", deal_columns(arena, compute),
                                  compute_may_leave(compute, DIM_Y) ? "peel y; " : "",
                                  compute_may_leave(compute, DIM_X) ? "peel x; " : "");
  const char *columns = tile.columns > 1 ? arena_printf(arena, "split x %lld; ", (long long)tile.columns) : "";
  const char *taps = reduction_length(compute) <= 32 ? unroll_taps(arena, compute, 32) : "split k 4; unroll k.i; ";
  return arena_printf(arena,
                      "%s%ssplit c %lld; split c.i %lld; split c.i.i %lld; order c c.i y x %s c.i.i.i; %sunroll x.i; "
                      "unroll c.i.i; vector c.i.i.i",
                      cuts, columns, (long long)width, (long long)stage->tile_channels, (long long)lanes,
                      tile_order(arena, tile, "c.i.i"), taps);
}

/* One pixel at a time. Sums of one pixel are taken for several vectors at once, so that one need not wait for the other;
 * tensors in blocks of channels are walked block by block, as they lie. */
static const char *choose_single(const Regions *regions, const Stage *stage, const char *peel, const char *taps) {
  enum { SUMS = 8 }; /* as many as hide the latency of an addition on two units */
  const Compute *compute = &stage->compute;
  int64_t lanes = regions->target->vector_bytes / 4, vectors = compute->out[DIM_C] / lanes;
  if (compute->n_reduce && compute->out[DIM_X] == 1 && vectors > 1)
    return arena_printf(regions->arena, "%ssplit c %lld; split c.i %lld; order c y x c.i c.i.i; %sunroll c.i; vector c.i.i", peel,
                        (long long)(lanes * (vectors < SUMS ? vectors : SUMS)), (long long)lanes, taps);
  const char *order = regions->channel_block[stage->node->output->id] ? "order c y x c.i; " : "";
  return arena_printf(regions->arena, "%ssplit c %lld; %s%svector c.i", peel, (long long)lanes, order, taps);
}

static const char *choose_big(const Regions *regions, const Region *region, Stage *stage) {
  Arena *arena = regions->arena;
  const Target *target = regions->target;
  const Compute *compute = &stage->compute;
  int64_t lanes = target->vector_bytes / 4;
  if (!compute_vectorises(compute))
    return choose_grouped(regions, region, stage);
  stage->border_kernels = true;
  stage->flat = stage_can_be_flat(region, stage);
  int64_t pixels = compute->out[DIM_X] * (stage->flat ? stage->step_rows : 1);
  int64_t channels = compute->out[DIM_C], vectors = (channels + lanes - 1) / lanes;
  const char *borders = arena_printf(arena, "%s%s%s", deal_columns(arena, compute), compute_may_leave(compute, DIM_Y) ? "peel y; " : "",
                                     compute_may_leave(compute, DIM_X) ? "peel x; " : "");
  const char *peel_c = compute_may_leave(compute, DIM_C) ? "peel c; " : "";
  const char *peel = arena_printf(arena, "%s%s", borders, peel_c);
  if (!compute->multiply_add || !sums_channels(compute)) {
    /* Load-bound: several columns share what they read; weights stay in registers. */
    int64_t columns = compute->n_reduce && pixels > 1 ? 7 : 1;
    if (columns > 1) /* one vector wide */
      columns = settle_tile(regions, stage, (Tile){columns, 1}, pixels < 7 ? 7 : pixels, 1).columns;
    const char *taps = compute->multiply_add ? unroll_taps(arena, compute, 25) : "";
    if (columns == 1)
      return choose_single(regions, stage, peel, taps);
    /* The borders are cut off inside the loop over channels: what they read is near, and their sums overlap with others. */
    return arena_printf(arena, "%ssplit c %lld; order c y x c.i; %ssplit x %lld; %sunroll x.i; vector c.i", peel_c, (long long)lanes,
                        borders, (long long)columns, taps);
  }
  int64_t summed = summed_block(regions, stage), depth = reduction_length(compute);
  bool unrolled = !summed && depth <= 32;
  /* Short sums: fewer accumulators, so that the end of one tile overlaps the sums of the next. */
  int64_t most = target->vector_registers / (unrolled ? 4 : depth <= 64 ? 2 : 1);
  most = most < ENOUGH_SUMS ? ENOUGH_SUMS : most;
  Tile tile = pixels > 1 ? choose_tile(target, pixels, vectors, most) : (Tile){1, vectors_of_pixel(vectors, regions->threads)};
  tile = settle_tile(regions, stage, tile, pixels, vectors);
  int64_t block = tile.vectors * lanes;
  set_tile_channels(regions, stage, block);
  const char *split_x = tile.columns > 1 ? arena_printf(arena, "split x %lld; ", (long long)tile.columns) : "";
  const char *taps = "";
  if (summed)
    taps = arena_printf(arena, "split k %lld; split k.i 4; unroll k.i.i; ", (long long)summed);
  else if (unrolled) /* in more taps compilers find more to keep, pixels that two outputs share and weights, than registers hold */
    taps = unroll_taps(arena, compute, target->vector_registers / (tile.vectors > 2 ? tile.vectors : 2));
  if (!*taps)
    taps = "split k 4; unroll k.i; ";
  return arena_printf(arena, "%s%ssplit c %lld; split c.i %lld; order c y x %s c.i.i; %sunroll x.i; unroll c.i; vector c.i.i",
                      peel, split_x, (long long)block, (long long)lanes, tile_order(arena, tile, "c.i"), taps);
}

/* ---- small targets without vectors: tiles of scalars ----
 *
 * columns x channels sums in registers. For one step of the reduction the operands of the shorter side are all there, those
 * of the longer side come one by one, and a product that is not fused has a register of its own. Instructions count, not
 * their latency. Code is kept small: taps are unrolled along a row only. */

enum { STEP_OVERHEAD = 4 }; /* instructions that a step of the reduction's loop takes besides loads and arithmetic */

static bool fits_scalars(Tile tile, const Target *target) {
  int64_t side = tile.columns < tile.vectors ? tile.columns : tile.vectors;
  /* Two more are left to the compiler. */
  return tile.columns * tile.vectors + side + (target->fma ? 1 : 2) <= target->vector_registers - 2;
}

/* Instructions of one step over all `columns` x `channels`, by tiles and remainders. */
static int64_t scalar_cost(Tile tile, const Target *target, int64_t columns, int64_t channels) {
  int64_t cost = 0;
  for (int px = 0; px < 2; px++)
    for (int c = 0; c < 2; c++) {
      int64_t p = px ? columns % tile.columns : tile.columns, n = c ? channels % tile.vectors : tile.vectors;
      int64_t times = (px ? 1 : columns / tile.columns) * (c ? 1 : channels / tile.vectors);
      if (p && n)
        cost += times * (p * n * (target->fma ? 1 : 2) + p + n + STEP_OVERHEAD);
    }
  return cost;
}

static Tile choose_scalar_tile(const Target *target, int64_t columns, int64_t channels) {
  Tile best = {1, 1};
  for (int64_t n = 1; n <= 8 && n <= channels; n++)
    for (int64_t p = 1; p <= 8 && p <= columns; p++) {
      Tile tile = {p, n};
      if (fits_scalars(tile, target) &&
          scalar_cost(tile, target, columns, channels) < scalar_cost(best, target, columns, channels))
        best = tile;
    }
  return best;
}

/* Columns of a tile where every channel has weights of its own: they are read once for all of them. */
static int64_t scalar_columns(int64_t columns) {
  enum { MOST = 8 };
  int64_t tiles = (columns + MOST - 1) / MOST;
  return (columns + tiles - 1) / tiles;
}

static const char *choose_scalar(const Regions *regions, Stage *stage) {
  Arena *arena = regions->arena;
  const Target *target = regions->target;
  const Compute *compute = &stage->compute;
  const int64_t *out = compute->out;
  bool sums = sums_channels(compute);
  const char *cuts = arena_printf(arena, "%s%s%s", compute->multiply_add ? deal_columns(arena, compute) : "",
                                  compute->n_reduce && out[DIM_X] > 1 ? "peel x; " : "",
                                  compute_may_leave(compute, DIM_C) ? "peel c; " : "");
  Tile tile = {1, 1};
  if (compute->multiply_add)
    tile = sums ? choose_scalar_tile(target, out[DIM_X], out[DIM_C]) : (Tile){scalar_columns(out[DIM_X]), 1};
  const char *columns = tile.columns > 1 ? arena_printf(arena, "split x %lld; ", (long long)tile.columns) : "";
  const char *channels = tile.vectors > 1 ? arena_printf(arena, "split c %lld; ", (long long)tile.vectors) : "";
  if (tile.vectors > 1)
    set_tile_channels(regions, stage, tile.vectors);
  /* The one named last is the one whose operands stay: see above. */
  const char *order = tile.columns < tile.vectors ? "x.i c.i" : "c.i x.i";
  const char *taps = compute->multiply_add ? unroll_taps(arena, compute, sums ? 4 : 9) : "";
  const char *text = arena_printf(arena, "%s%s%s%s%s", cuts, columns, channels, taps,
                                  tile.columns * tile.vectors > 1
                                      ? arena_printf(arena, "order y c x %s; unroll x.i c.i; ", order)
                                      : "");
  return *text ? arena_strndup(arena, text, strlen(text) - 2) : "";
}

void stage_choose_schedule(const Regions *regions, const Region *region, Stage *stage) {
  const Target *target = regions->target;
  stage->tile_channels = stage->weight_block = 0;
  if (target->vector_bytes == 4)
    stage->schedule = choose_scalar(regions, stage);
  else
    stage->schedule = target->l1_bytes ? choose_big(regions, region, stage) : choose_small(regions, stage);
}

/* The block that a regions file asks for. */
static void take_wanted_block(const Regions *regions, Stage *stage, Diag *diag) {
  bool any = false;
  for (int o = 0; o < stage->compute.n_operands; o++) {
    const Operand *operand = &stage->compute.operands[o];
    any |= operand->is_weight && operand->rank >= 2 && operand->access[operand->rank - 1].coef[DIM_C] == 1;
  }
  if (any)
    stage->weight_block = stage->wanted_block;
  else
    region_complain(regions, diag, stage->loc, "'%s' has no weights that could be stored in blocks of channels", stage->node->path);
}

void region_choose_schedules(Regions *regions, Diag *diag) {
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      Region *region = regions->regions.at[r];
      if (!region->stages[s].schedule)
        stage_choose_schedule(regions, region, &region->stages[s]);
      if (region->stages[s].wanted_block)
        take_wanted_block(regions, &region->stages[s], diag);
    }
}

/* What a line of the file is looked up in. */
typedef struct Lookup {
  PathIndex paths;
  Stage **stages; /* by the id of the tensor that they make */
} Lookup;

static bool read_line(Regions *regions, const Lookup *lookup, Diag *diag, const Source *file, uint32_t begin, uint32_t end) {
  const char *text = file->text;
  while (begin < end && strchr(" \t\r", text[begin]))
    begin++;
  for (uint32_t i = begin; i + 1 < end; i++)
    if (text[i] == '/' && text[i + 1] == '/')
      end = i;
  while (end > begin && strchr(" \t\r", text[end - 1]))
    end--;
  if (begin == end)
    return true;
  uint32_t colon = begin;
  while (colon < end && text[colon] != ':')
    colon++;
  if (colon == end) {
    diag_error(diag, (Loc){file, begin, end}, "expected PATH: DIRECTIVES");
    return false;
  }
  uint32_t first = colon + 1;
  while (first < end && strchr(" \t", text[first]))
    first++;
  const char *directives = arena_strndup(regions->arena, text + first, end - first);
  const char *problem = schedule_check(regions->arena, directives);
  if (problem) {
    diag_error(diag, (Loc){file, first, end}, "%s", problem);
    return false;
  }
  const Node *node = path_index_find(&lookup->paths, text + begin, colon - begin);
  if (node) {
    lookup->stages[node->output->id]->schedule = directives;
    return true;
  }
  region_unknown_path(regions, diag, (Loc){file, begin, colon});
  return false;
}

bool region_read_schedules(Regions *regions, Diag *diag, const Source *file) {
  bool ok = true;
  Lookup lookup = {region_index_paths(regions), ARENA_ARRAY(regions->arena, Stage *, graph_tensor_count(regions->graph))};
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++)
      lookup.stages[regions->regions.at[r]->stages[s].node->output->id] = &regions->regions.at[r]->stages[s];
  for (uint32_t begin = 0; begin < file->len;) {
    uint32_t end = begin;
    while (end < file->len && file->text[end] != '\n')
      end++;
    ok &= read_line(regions, &lookup, diag, file, begin, end);
    begin = end + 1;
  }
  return ok;
}
