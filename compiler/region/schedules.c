/* Pass: a loop schedule for each stage, from its compute description and the
 * target's registers; and the reader of --schedule files, whose lines are
 *
 *     PATH: DIRECTIVES        // see loop/schedule.h */
#include <string.h>

#include "loop/schedule.h"
#include "region/region.h"

/* Every operand walks its last dimension with c, or does not depend on c. */
static bool vectorises_over_channels(const Compute *compute) {
  if (compute->out[DIM_C] < 2)
    return false;
  for (int o = 0; o < compute->n_operands; o++) {
    const Operand *operand = &compute->operands[o];
    for (int i = 0; i < operand->rank; i++) {
      int64_t coef = operand->access[i].coef[DIM_C];
      if (coef != 0 && (i != operand->rank - 1 || coef != 1 || operand->access[i].divide != 1))
        return false;
    }
  }
  return true;
}

static const char *choose(Arena *arena, const Stage *stage, const Target *target) {
  const Compute *compute = &stage->compute;
  bool vector = vectorises_over_channels(compute) && target->vector_bytes > 4;
  bool tile = compute->multiply_add && compute->out[DIM_X] > 1;
  int64_t lanes = target->vector_bytes / 4;
  int64_t columns = 4;
  const char *peel = compute->n_reduce && compute->out[DIM_X] > 1 ? "peel x; " : "";
  const char *split_x = tile ? arena_printf(arena, "split x %lld; ", (long long)columns) : "";
  const char *split_c = vector ? arena_printf(arena, "split c %lld; ", (long long)lanes) : "";
  const char *order = vector && tile ? "order y x c x.i c.i; " : "";
  const char *unroll = tile ? "unroll x.i; " : "";
  const char *lanes_text = vector ? "vector c.i; " : "";
  const char *text = arena_printf(arena, "%s%s%s%s%s%s", peel, split_x, split_c, order, unroll, lanes_text);
  size_t length = strlen(text);
  return length ? arena_strndup(arena, text, length - 2) : "";
}

void region_choose_schedules(Regions *regions) {
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      Stage *stage = &regions->regions.at[r]->stages[s];
      if (!stage->schedule)
        stage->schedule = choose(regions->arena, stage, regions->target);
    }
}

static bool read_line(Regions *regions, Diag *diag, const Source *file, uint32_t begin, uint32_t end) {
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
  const char *directives = arena_strndup(regions->arena, text + colon + 1, end - colon - 1);
  while (*directives == ' ')
    directives++;
  const char *problem = schedule_check(regions->arena, directives);
  if (problem) {
    diag_error(diag, (Loc){file, colon + 1, end}, "%s", problem);
    return false;
  }
  for (size_t r = 0; r < regions->regions.len; r++)
    for (int s = 0; s < regions->regions.at[r]->n_stages; s++) {
      Stage *stage = &regions->regions.at[r]->stages[s];
      const char *path = stage->node->path;
      if (strlen(path) == colon - begin && memcmp(path, text + begin, colon - begin) == 0) {
        stage->schedule = directives;
        return true;
      }
    }
  diag_error(diag, (Loc){file, begin, colon}, "no operator of the graph has this path");
  return false;
}

bool region_read_schedules(Regions *regions, Diag *diag, const Source *file) {
  bool ok = true;
  for (uint32_t begin = 0; begin < file->len;) {
    uint32_t end = begin;
    while (end < file->len && file->text[end] != '\n')
      end++;
    ok &= read_line(regions, diag, file, begin, end);
    begin = end + 1;
  }
  return ok;
}
