/* Regions as text. The `region` lines are what --regions reads; all else is
 * comment. The first
 * steps are shown as STAGE[first..end), behind | those of the next part. */
#include "region/region.h"

static const char *storage_text(Arena *arena, const Stage *stage) {
  switch (stage->storage) {
  case STORAGE_RING:
    return arena_printf(arena, "ring of %lld row%s", (long long)stage->ring_rows, stage->ring_rows == 1 ? "" : "s");
  case STORAGE_WHOLE:
    return "whole";
  case STORAGE_OUTPUT:
    return "output";
  }
  return "";
}

/* How it is divided. */
static void print_cut(Writer *w, const Stage *stage) {
  switch (stage->cut) {
  case CUT_CHOOSE:
    return;
  case CUT_NONE:
    write_text(w, "/whole");
    return;
  case CUT_ROWS:
    write_f(w, "/rows:%lld", (long long)stage->part_size);
    return;
  case CUT_PIXELS:
    write_f(w, "/pixels:%lld", (long long)stage->part_size);
    return;
  case CUT_CHANNELS:
    write_f(w, "/channels:%lld", (long long)stage->part_size);
    return;
  }
}

void stage_print_choices(Writer *w, const Stage *stage) {
  print_cut(w, stage);
  if (stage->layout == 0)
    write_text(w, "/hwc");
  else if (stage->layout != LAYOUT_CHOOSE)
    write_f(w, "/blocks:%lld", (long long)stage->layout);
  if (stage->wanted_block)
    write_f(w, "/weights:%lld", (long long)stage->wanted_block);
}

static void print_parts(Writer *w, const Region *region) {
  if (region_parts(region) > 1)
    write_f(w, "//   %d parts of %lld rows at the same time\n", region_parts(region),
            (long long)region->stages[region->n_stages - 1].part_size);
  for (int s = 0; s < region->n_stages; s++) {
    const Stage *stage = &region->stages[s];
    if (stage_parts(stage) > 1)
      write_f(w, "//   %s: %d parts of %lld %s at the same time\n", stage->node->path, stage_parts(stage),
              (long long)stage->part_size, stage->cut == CUT_PIXELS ? "pixels" : "channels");
  }
}

static void print_stage(Writer *w, const Regions *regions, const Stage *stage) {
  Arena *scratch = arena_new();
  write_f(w, "//   %s: ", stage->node->path);
  shape_print(w, &stage->node->output->shape);
  write_f(w, " %s", storage_text(scratch, stage));
  int64_t block = regions->channel_block[stage->node->output->id];
  if (block)
    write_f(w, " in blocks of %lld channels", (long long)block);
  if (stage->in_place >= 0)
    write_f(w, ", in place of %s", stage_operand_tensor(stage, stage->in_place)->name);
  write_f(w, ", %s", stage->node->call.def->name);
  for (int t = 0; t < stage->node->n_tails; t++)
    write_f(w, " | %s", stage->node->tails[t].call.def->name);
  write_text(w, "\n");
  if (stage->schedule && *stage->schedule)
    write_f(w, "//   schedule %s: %s\n", stage->node->path, stage->schedule);
  if (stage->flat || stage->weight_block || stage->border_kernels)
    write_f(w, "//   %s%s%s\n", stage->flat ? "pixels as one dimension; " : "",
            stage->weight_block ? arena_printf(scratch, "weights in blocks of %lld; ", (long long)stage->weight_block) : "",
            stage->border_kernels ? "border rows apart" : "");
  arena_free(scratch);
}

static void print_line(Writer *w, const Region *region) {
  write_text(w, "region");
  for (int s = 0; s < region->n_stages; s++) {
    const Stage *stage = &region->stages[s];
    write_f(w, " %s", stage->node->path);
    if (stage->step_rows != stage->rows)
      write_f(w, ":%lld", (long long)stage->step_rows);
    stage_print_choices(w, stage);
  }
  write_text(w, "\n");
}

void region_print_lines(Writer *w, const Regions *regions) {
  for (size_t r = 0; r < regions->regions.len; r++)
    print_line(w, regions->regions.at[r]);
}

void region_print(Writer *w, const Regions *regions) {
  for (size_t r = 0; r < regions->regions.len; r++) {
    const Region *region = regions->regions.at[r];
    print_line(w, region);
    for (int s = 0; s < region->n_stages; s++)
      print_stage(w, regions, &region->stages[s]);
    print_parts(w, region);
    enum { SHOWN = 12 };
    if (region->steps.len == 0)
      continue;
    write_f(w, "//   %zu step%s:", region->steps.len, region->steps.len == 1 ? "" : "s");
    for (size_t i = 0; i < region->steps.len && i < SHOWN; i++) {
      const Step *step = &region->steps.at[i];
      write_f(w, "%s %d[%lld..%lld)", i && step->part != step[-1].part ? " |" : "", step->stage, (long long)step->first, (long long)(step->first + step->rows));
    }
    write_text(w, region->steps.len > SHOWN ? " ...\n" : "\n");
  }
}
