/* How stages are divided, as a regions file says it behind a path:
 *
 *     PATH/rows:28       the region, whose last stage this is, in parts of 28 rows
 *     PATH/pixels:98     the stage by itself, in parts of 98 pixels, rows and columns as one dimension
 *     PATH/channels:256  the stage by itself, in parts of 256 channels
 *     PATH/whole         not at all, where else mncc would choose */
#include <stdlib.h>
#include <string.h>

#include "region/region.h"

static const struct {
  const char *word;
  Cut cut;
} words[] = {{"rows", CUT_ROWS}, {"pixels", CUT_PIXELS}, {"channels", CUT_CHANNELS}, {"whole", CUT_NONE}};

bool stage_read_cut(const Regions *regions, Diag *diag, Loc loc, Stage *stage) {
  const char *text = arena_strndup(regions->arena, loc.source->text + loc.begin, loc.end - loc.begin);
  size_t length = strcspn(text, ":");
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strlen(words[i].word) != length || memcmp(words[i].word, text, length) != 0)
      continue;
    stage->cut = words[i].cut;
    if (stage->cut == CUT_NONE && !text[length])
      return true;
    char *end = NULL;
    stage->part_size = text[length] ? strtoll(text + length + 1, &end, 10) : 0;
    if (stage->cut != CUT_NONE && stage->part_size >= 1 && end && !*end && text[length + 1] >= '1' && text[length + 1] <= '9')
      return true;
    break;
  }
  region_complain(regions, diag, loc,
                  "expected rows:N, pixels:N or channels:N, N of one part, or whole, or blocks:N, hwc or weights:N, behind '/'");
  return false;
}

static const char *cut_word(Cut cut) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (words[i].cut == cut)
      return words[i].word;
  return "";
}

static bool check_rows(const Regions *regions, const Region *region, int s, Diag *diag) {
  const Stage *stage = &region->stages[s];
  if (s != region->n_stages - 1) {
    region_complain(regions, diag, stage->loc, "a region is divided by rows at its last operator, which is '%s'",
               region->stages[region->n_stages - 1].node->path);
    return false;
  }
  if (stage->part_size % stage->step_rows != 0 && stage->part_size < stage->rows) {
    region_complain(regions, diag, stage->loc, "parts of %lld rows are not made in steps of %lld", (long long)stage->part_size,
               (long long)stage->step_rows);
    return false;
  }
  for (int i = 0; i < s; i++)
    if (region_read_outside(region, i)) {
      region_complain(regions, diag, stage->loc, "the region cannot be divided by rows: '%s' is read outside of it",
                 region->stages[i].node->path);
      return false;
    }
  return true;
}

static bool check_cut(const Regions *regions, const Region *region, int s, Diag *diag) {
  const Stage *stage = &region->stages[s];
  int64_t extent = stage_cut_extent(stage, stage->cut);
  if (!extent)
    return true;
  if ((extent + stage->part_size - 1) / stage->part_size > regions->threads) {
    region_complain(regions, diag, stage->loc, "%lld %s in parts of %lld are more parts than the %d thread%s of --threads", (long long)extent,
               cut_word(stage->cut), (long long)stage->part_size, regions->threads, regions->threads == 1 ? "" : "s");
    return false;
  }
  if (stage->cut == CUT_ROWS)
    return check_rows(regions, region, s, diag);
  if (!region_in_single_steps(region)) {
    region_complain(regions, diag, stage->loc, "%s are divided only where every operator of the region makes all rows in one step",
               cut_word(stage->cut));
    return false;
  }
  return true;
}

bool region_check_cuts(const Regions *regions, const Region *region, Diag *diag) {
  for (int s = 0; s < region->n_stages; s++)
    if (!check_cut(regions, region, s, diag))
      return false;
  return true;
}
