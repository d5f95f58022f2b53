/* What was measured: the file that `mncc tune` writes and --tuned reads.
 *
 *     target native, vectors of 64 bytes, 32 registers
 *     conv | relu6, 14x14x512 from 14x14x512, sums of 512: tile 7x3    // 0.96 ms, 0.93 ms
 *     network mobilenet_v1, 31 operators, 568740352 multiply-accumulates, 1 thread
 *     region conv0:2 separable0.depthwise0:2 separable0.conv0:2
 *
 * A line with a tile is for all stages of that shape, in other networks too: what runs, the result's and the first
 * operand's dimensions, the products summed. Regions are for the network before them (see regions_file.c).
 * The file is a hint: what does not fit, another target, another network, an unknown shape, a tile that the
 * registers do not hold, is warned of and left aside. */
#include <string.h>

#include "region/region.h"

static const char separator[] = ": tile ";

const char *region_tuned_target(Arena *arena, const Target *target) {
  return arena_printf(arena, "target %s, vectors of %d bytes, %d registers", target->name, target->vector_bytes,
                      target->vector_registers);
}

const char *region_tuned_network(const Regions *regions) {
  const Graph *graph = regions->graph;
  int64_t macs = 0;
  for (size_t i = 0; i < graph->nodes.len; i++)
    macs += graph->nodes.at[i]->macs;
  return arena_printf(regions->arena, "network %s, %zu operators, %lld multiply-accumulates, %d thread%s", graph->name,
                      graph->nodes.len, (long long)macs, regions->threads, regions->threads == 1 ? "" : "s");
}

const char *stage_shape_text(Arena *arena, const Stage *stage) {
  const Compute *compute = &stage->compute;
  Writer w;
  writer_init(&w);
  write_text(&w, stage->node->call.def->name);
  for (int t = 0; t < stage->node->n_tails; t++)
    write_f(&w, " | %s", stage->node->tails[t].call.def->name);
  write_f(&w, ", %lldx%lldx%lld", (long long)compute->out[0], (long long)compute->out[1], (long long)compute->out[2]);
  const Operand *x = &compute->operands[0];
  for (int i = 0; compute->n_operands && i < x->rank; i++)
    write_f(&w, "%s%lld", i ? "x" : " from ", (long long)x->dims[i]);
  int64_t sums = 1;
  for (int r = 0; r < compute->n_reduce; r++)
    sums *= compute->reduce[r];
  write_f(&w, ", sums of %lld", (long long)sums);
  return writer_take(&w, arena);
}

/* ---- reading ---- */

/* "7x3" up to the end of the text. */
static bool parse_tile(const char *text, size_t len, Tile *tile) {
  int64_t numbers[2] = {0, 0};
  int n = 0;
  for (size_t i = 0; i < len; i++)
    if (text[i] == 'x' && n == 0 && i > 0)
      n = 1;
    else if (text[i] >= '0' && text[i] <= '9' && numbers[n] < 1000)
      numbers[n] = numbers[n] * 10 + (text[i] - '0');
    else
      return false;
  *tile = (Tile){numbers[0], numbers[1]};
  return n == 1 && numbers[0] > 0 && numbers[1] > 0;
}

static const char *find_separator(const char *text, size_t len) {
  size_t n = sizeof separator - 1;
  for (size_t i = 0; i + n <= len; i++)
    if (memcmp(text + i, separator, n) == 0)
      return text + i;
  return NULL;
}

static bool begins(Loc line, const char *word) {
  size_t n = strlen(word);
  return line.end - line.begin >= n && memcmp(line.source->text + line.begin, word, n) == 0;
}

static bool is_line(Loc line, const char *text) { return strlen(text) == line.end - line.begin && begins(line, text); }

bool region_is_tuned_target(const Target *target, Loc line) {
  Arena *scratch = arena_new();
  bool is = is_line(line, region_tuned_target(scratch, target));
  arena_free(scratch);
  return is;
}

bool region_is_tuned_network(const Regions *regions, Loc line) { return is_line(line, region_tuned_network(regions)); }

typedef struct Reader {
  Regions *regions;
  Diag *diag;
  bool ours, has_regions; /* what follows is for this network; some regions are */
  Loc others;             /* the network of regions that are not; its source is null */
} Reader;

static void read_tile(const Reader *r, Loc loc) {
  const char *text = loc.source->text + loc.begin;
  size_t len = loc.end - loc.begin;
  const char *at = find_separator(text, len);
  TunedTile tuned = {.loc = loc};
  if (!at || !parse_tile(at + sizeof separator - 1, (size_t)(text + len - at) - (sizeof separator - 1), &tuned.tile)) {
    diag_warning(r->diag, "tuned", loc, "expected SHAPE: tile COLUMNSxVECTORS, as mncc tune writes it; the line is not used");
    return;
  }
  Regions *regions = r->regions;
  tuned.shape = intern_n(regions->arena, text, (size_t)(at - text));
  VEC_PUSH(regions->arena, regions->tuned, tuned);
  if (!ptr_map_get(&regions->tuned_by_shape, tuned.shape)) /* the first line for a shape counts */
    ptr_map_put(&regions->tuned_by_shape, tuned.shape, (void *)(uintptr_t)regions->tuned.len);
}

/* False if what follows is for another machine. */
static bool read_line(Reader *r, Loc loc) {
  if (begins(loc, "target ")) {
    if (region_is_tuned_target(r->regions->target, loc))
      return true;
    const char *ours = region_tuned_target(r->regions->arena, r->regions->target);
    diag_warning(r->diag, "tuned", loc, "this was measured for another target; it is not used for '%s'", ours);
    return false;
  }
  if (begins(loc, "network ")) {
    r->ours = region_is_tuned_network(r->regions, loc);
    r->others = r->ours ? r->others : loc;
  } else if (begins(loc, "region ")) {
    r->has_regions |= r->ours;
  } else {
    read_tile(r, loc);
  }
  return true;
}

/* The line at `begin` up to `end` without blanks and comment. */
static Loc trimmed(const Source *file, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i + 1 < end; i++)
    if (file->text[i] == '/' && file->text[i + 1] == '/')
      end = i;
  while (begin < end && strchr(" \t\r", file->text[begin]))
    begin++;
  while (end > begin && strchr(" \t\r", file->text[end - 1]))
    end--;
  return (Loc){file, begin, end};
}

/* The first line at *at or behind it that has more than blanks and comments, which *at is then behind. False: there is none. */
static bool next_line(const Source *file, uint32_t *at, Loc *line) {
  while (*at < file->len) {
    uint32_t begin = *at, end = begin;
    while (end < file->len && file->text[end] != '\n')
      end++;
    *line = trimmed(file, begin, end);
    *at = end + 1;
    if (line->end > line->begin)
      return true;
  }
  return false;
}

Loc region_tuned_target_line(const Source *file) {
  Loc line;
  for (uint32_t at = 0; next_line(file, &at, &line);)
    if (begins(line, "target "))
      return line;
  return (Loc){0};
}

bool region_read_tuned(Regions *regions, Diag *diag, const Source *file) {
  Reader r = {.regions = regions, .diag = diag};
  Loc line;
  for (uint32_t at = 0; next_line(file, &at, &line);)
    if (!read_line(&r, line))
      return false;
  if (r.others.source && !r.has_regions)
    diag_warning(diag, "tuned", r.others, "these regions were measured for another network or number of threads; they are not used for '%s'",
                 region_tuned_network(regions));
  return r.has_regions;
}

/* ---- using ---- */

const TunedTile *region_find_tuned(const Regions *regions, const Stage *stage) {
  if (!regions->tuned.len)
    return NULL;
  const char *shape = intern(regions->arena, stage_shape_text(regions->arena, stage));
  size_t number = (size_t)(uintptr_t)ptr_map_get(&regions->tuned_by_shape, shape);
  if (!number)
    return NULL;
  regions->tuned.at[number - 1].found = true;
  return &regions->tuned.at[number - 1];
}

void region_use_tuned(const Regions *regions, const TunedTile *tuned) { regions->tuned.at[tuned - regions->tuned.at].used = true; }

void region_check_tuned(const Regions *regions, Diag *diag) {
  for (size_t i = 0; i < regions->tuned.len; i++) {
    const TunedTile *tuned = &regions->tuned.at[i];
    if (!tuned->found)
      diag_warning(diag, "tuned", tuned->loc, "the network has no stage of this shape");
    else if (!tuned->used)
      diag_warning(diag, "tuned", tuned->loc, "no stage of this shape can have such a tile; the usual one is used");
  }
}
