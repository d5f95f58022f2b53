/* Regions files: --regions, and the `region` lines of what mncc tune writes.
 *
 *     region conv0
 *     region separable0.depthwise0:1 separable0.conv0:1   // :rows of a step; none: all rows
 *     region conv1 depthwise1/channels:64                 // how a stage is divided for threads: see cuts.c
 *     region conv2/hwc conv3:2/rows:8/blocks:16           // how its result is stored, where else mncc would choose
 *     region conv4/weights:64                             // in blocks of how many channels its weights are stored
 *
 * Regions run in the order of the file, stages in the order of their line. Every
 * operator is in one region. A file that mncc tune wrote is a hint: what would be
 * an error is a warning, and the usual choice is made. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "region/region.h"

void region_complain(const Regions *regions, Diag *diag, Loc loc, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *message = arena_vprintf(regions->arena, format, args);
  va_end(args);
  if (regions->hint)
    diag_warning(diag, "tuned", loc, "%s; these regions are not used", message);
  else
    diag_error(diag, loc, "%s", message);
}

typedef struct Reader {
  Regions *regions;
  Diag *diag;
  const Source *source;
  uint32_t at;
  PathIndex paths;
  int *position; /* by tensor id, of the stage that makes it: 1, 2, ... in the order of the file; 0: none yet */
  int positions;
  bool others; /* of a hint: what follows is for another network */
} Reader;

static Loc loc_at(const Reader *r, uint32_t begin, uint32_t end) { return (Loc){r->source, begin, end}; }

/* Goes to the next word of the line, over comments; false at the end of the line. */
static bool find_word(Reader *r) {
  const char *text = r->source->text;
  while (text[r->at] == ' ' || text[r->at] == '\t' || text[r->at] == '\r')
    r->at++;
  if (text[r->at] == '/' && text[r->at + 1] == '/')
    while (text[r->at] && text[r->at] != '\n')
      r->at++;
  return r->at < r->source->len && text[r->at] != '\n';
}

/* The end of the word at `begin`, or of the part of it before one of `marks`. */
static uint32_t word_end(const Reader *r, uint32_t begin, const char *marks) {
  while (begin < r->source->len && !strchr(" \t\r\n", r->source->text[begin]) && !strchr(marks, r->source->text[begin]))
    begin++;
  return begin;
}

/* The node whose path stands at `begin`, the longest one, for paths may have any characters; or null. */
static const Node *find_node(const Reader *r, uint32_t begin) {
  const char *text = r->source->text + begin;
  size_t length = r->source->len - begin;
  for (length = length < r->paths.longest ? length : r->paths.longest; length > 0; length--) {
    const Node *node = strchr(" \t\r\n:/", text[length]) ? path_index_find(&r->paths, text, length) : NULL;
    if (node)
      return node;
  }
  return NULL;
}

/* ":ROWS", if it is there. */
static bool read_rows(Reader *r, Stage *stage) {
  const char *text = r->source->text;
  if (text[r->at] != ':')
    return true;
  uint32_t end = word_end(r, r->at, "/");
  char *after;
  int64_t rows = strtoll(text + r->at + 1, &after, 10);
  if (after != text + end || r->at + 1 == end || rows < 1) {
    region_complain(r->regions, r->diag, loc_at(r, r->at, end), "expected the rows of a step behind ':', a whole number from 1");
    return false;
  }
  stage->step_rows = rows < stage->rows ? rows : stage->rows;
  r->at = end;
  return true;
}

/* "WORD:N", the text at loc, N from 1; false if it is something else. */
static bool read_number(Loc loc, const char *word, int64_t *number) {
  const char *text = loc.source->text + loc.begin, *end = loc.source->text + loc.end;
  size_t length = strlen(word);
  char *after;
  if (loc.end - loc.begin < length + 2 || memcmp(text, word, length) != 0 || text[length] != ':' || text[length + 1] < '1' ||
      text[length + 1] > '9')
    return false;
  *number = strtoll(text + length + 1, &after, 10);
  return after == end && *number < INT32_MAX;
}

/* "hwc", "blocks:16" or "weights:64", the text at loc; false if it is something else. */
static bool read_layout(Loc loc, Stage *stage) {
  if (loc.end - loc.begin == 3 && memcmp(loc.source->text + loc.begin, "hwc", 3) == 0) {
    stage->layout = 0;
    return true;
  }
  return read_number(loc, "blocks", &stage->layout) || read_number(loc, "weights", &stage->wanted_block);
}

/* PATH or PATH:ROWS, and then perhaps /CUT, /LAYOUT and /weights:N. */
static bool read_stage(Reader *r, Stage *stage) {
  Regions *regions = r->regions;
  uint32_t begin = r->at;
  const Node *node = find_node(r, begin);
  if (!node) {
    region_unknown_path(regions, r->diag, loc_at(r, begin, word_end(r, begin, ":/")));
    return false;
  }
  r->at = begin + (uint32_t)strlen(node->path);
  int *position = &r->position[node->output->id];
  if (*position) {
    region_complain(regions, r->diag, loc_at(r, begin, r->at), "'%s' is in a region already", node->path);
    return false;
  }
  *position = ++r->positions;
  stage_init(regions->arena, stage, node);
  if (!read_rows(r, stage))
    return false;
  while (r->source->text[r->at] == '/' && r->source->text[r->at + 1] != '/') {
    Loc loc = loc_at(r, r->at + 1, word_end(r, r->at + 1, "/"));
    r->at = loc.end;
    if (!read_layout(loc, stage) && !stage_read_cut(regions, r->diag, loc, stage))
      return false;
  }
  stage->loc = loc_at(r, begin, r->at);
  return true;
}

/* Every operand of a stage must come from before it. */
static bool check_order(const Reader *r, const Node *node, Loc loc) {
  const int *position = r->position;
  for (int k = 0; k < node->n_inputs; k++) {
    const GTensor *input = node->inputs[k];
    if (!input->producer || (position[input->id] && position[input->id] < position[node->output->id]))
      continue;
    region_complain(r->regions, r->diag, loc, "'%s' runs before '%s', whose result it reads", node->path, input->producer->path);
    return false;
  }
  return true;
}

/* The end of the line without its comment and blanks. */
static uint32_t line_end(Reader *r, uint32_t begin) {
  uint32_t end = begin;
  for (r->at = begin; find_word(r); r->at = end)
    end = word_end(r, r->at, "");
  return end;
}

static bool read_line(Reader *r) {
  if (!find_word(r))
    return true;
  uint32_t line = r->at, end = word_end(r, line, "");
  if (end - line != 6 || memcmp(r->source->text + line, "region", 6) != 0) {
    if (!r->regions->hint)
      diag_error(r->diag, loc_at(r, line, end), "expected 'region' and the paths of its operators");
    else if (end - line == 7 && memcmp(r->source->text + line, "network", 7) == 0)
      r->others = !region_is_tuned_network(r->regions, loc_at(r, line, line_end(r, line)));
    return r->regions->hint;
  }
  if (r->others)
    return true;
  VEC(Stage) stages = {0};
  for (r->at = end; find_word(r);) {
    Stage stage = {0};
    if (stages.len == REGION_MAX_STAGES) {
      region_complain(r->regions, r->diag, loc_at(r, r->at, word_end(r, r->at, "")), "a region has at most %d operators", REGION_MAX_STAGES);
      return false;
    }
    if (!read_stage(r, &stage))
      return false;
    VEC_PUSH(r->regions->arena, stages, stage);
  }
  if (stages.len == 0) {
    region_complain(r->regions, r->diag, loc_at(r, line, r->at), "a region needs at least one operator");
    return false;
  }
  Region *region = region_new(r->regions, (int)stages.len);
  memcpy(region->stages, stages.at, stages.len * sizeof *stages.at);
  for (int s = 0; s < region->n_stages; s++)
    if (!check_order(r, region->stages[s].node, loc_at(r, line, r->at)))
      return false;
  return region_check_cuts(r->regions, region, r->diag);
}

static bool read_regions(Reader *r) {
  while (r->at < r->source->len) {
    if (!read_line(r))
      return false;
    while (r->at < r->source->len && r->source->text[r->at] != '\n')
      r->at++;
    r->at++;
  }
  const Graph *graph = r->regions->graph;
  for (size_t i = 0; i < graph->nodes.len; i++)
    if (!r->position[graph->nodes.at[i]->output->id]) {
      region_complain(r->regions, r->diag, loc_at(r, r->source->len, r->source->len), "'%s' is in no region", graph->nodes.at[i]->path);
      return false;
    }
  return true;
}

bool region_read_file(Regions *regions, Diag *diag, const Source *file, bool hint) {
  Reader r = {.regions = regions, .diag = diag, .source = file};
  r.paths = region_index_paths(regions);
  r.position = ARENA_ARRAY(regions->arena, int, graph_tensor_count(regions->graph));
  regions->hint = hint;
  if (read_regions(&r))
    return true;
  regions->regions.len = 0;
  return false;
}
