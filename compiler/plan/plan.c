/* Memory plan: see plan.h. Placement is first fit, largest buffer first, which
 * for chains of feature maps finds the optimum or comes near it. A buffer looks
 * only at those that live at the same time; a timeline finds them. */
#include "plan/plan.h"

#include <stdlib.h>

static void touch(Buffer *buffer, int time) {
  if (buffer->kind != BUFFER_ARENA)
    return;
  if (buffer->live_begin < 0)
    buffer->live_begin = time;
  buffer->live_end = time;
}

static void touch_calls(const Stmt *stmt, int time) {
  if (stmt->kind == STMT_CALL)
    for (size_t i = 0; i < stmt->callee->buffers.len; i++)
      touch(stmt->buffers[i], time);
  for (size_t i = 0; i < stmt->body.stmts.len; i++)
    touch_calls(stmt->body.stmts.at[i], time);
  for (size_t i = 0; i < stmt->otherwise.stmts.len; i++)
    touch_calls(stmt->otherwise.stmts.at[i], time);
}

typedef struct Entry {
  Buffer *buffer;
  size_t order; /* of declaration: ties are broken the same way everywhere */
} Entry;

static int larger_first(const void *a, const void *b) {
  const Entry *x = a, *y = b;
  int64_t size_x = buffer_bytes(x->buffer), size_y = buffer_bytes(y->buffer);
  if (size_x != size_y)
    return size_x > size_y ? -1 : 1;
  return x->order < y->order ? -1 : 1;
}

static int lower_first(const void *a, const void *b) {
  const Entry *x = a, *y = b;
  if (x->buffer->offset != y->buffer->offset)
    return x->buffer->offset < y->buffer->offset ? -1 : 1;
  return x->order < y->order ? -1 : 1;
}

static int64_t align_up(int64_t value, int64_t align) { return (value + align - 1) / align * align; }

/* ---- who lives when ----
 *
 * A buffer that lives together with another one begins while that one lives, or lives when that one begins. The first are
 * found by their beginnings; the second on the way from a leaf to the root of a tree over time, whose nodes hold the
 * buffers that live all through their part of it. */

typedef VEC(Entry) Entries;

typedef struct Timeline {
  Arena *arena;
  size_t leaves;    /* at least one for each time */
  Entries *begins;  /* by time */
  Entries *through; /* of the tree's nodes: the root is 1, the children of i are 2i and 2i + 1 */
} Timeline;

static Timeline timeline_new(Arena *arena, size_t times) {
  Timeline line = {.arena = arena, .leaves = 1};
  while (line.leaves < times)
    line.leaves *= 2;
  line.begins = ARENA_ARRAY(arena, Entries, line.leaves);
  line.through = ARENA_ARRAY(arena, Entries, 2 * line.leaves);
  return line;
}

static void timeline_add(Timeline *line, Entry entry) {
  size_t begin = (size_t)entry.buffer->live_begin, end = (size_t)entry.buffer->live_end + 1;
  VEC_PUSH(line->arena, line->begins[begin], entry);
  for (begin += line->leaves, end += line->leaves; begin < end; begin /= 2, end /= 2) {
    if (begin % 2) {
      VEC_PUSH(line->arena, line->through[begin], entry);
      begin++;
    }
    if (end % 2) {
      end--;
      VEC_PUSH(line->arena, line->through[end], entry);
    }
  }
}

static void append(Arena *arena, Entries *to, const Entries *from) {
  for (size_t i = 0; i < from->len; i++)
    VEC_PUSH(arena, *to, from->at[i]);
}

/* Appends those that live together with `buffer`. */
static void timeline_find(Timeline *line, const Buffer *buffer, Entries *found) {
  for (size_t node = line->leaves + (size_t)buffer->live_begin; node > 0; node /= 2)
    append(line->arena, found, &line->through[node]);
  for (int time = buffer->live_begin + 1; time <= buffer->live_end; time++)
    append(line->arena, found, &line->begins[time]);
}

/* ---- placement ---- */

/* The lowest aligned offset at which the buffer overlaps none of `others`, which are sorted by offset. */
static int64_t lowest_free(const Buffer *buffer, const Entries *others) {
  int64_t offset = 0;
  for (size_t i = 0; i < others->len; i++) {
    const Buffer *other = others->at[i].buffer;
    if (other->offset + buffer_bytes(other) <= offset)
      continue;
    if (offset + buffer_bytes(buffer) <= other->offset)
      break;
    offset = align_up(other->offset + buffer_bytes(other), buffer->align);
  }
  return offset;
}

/* Gives each of the arena's buffers its offset, in the order of `entries`. */
static void place(Program *program, const Entries *entries, int align) {
  Arena *scratch = arena_new();
  Timeline line = timeline_new(scratch, program->entry.stmts.len);
  Entries others = {0};
  program->arena_bytes = 0;
  for (size_t i = 0; i < entries->len; i++) {
    Buffer *buffer = entries->at[i].buffer;
    others.len = 0;
    timeline_find(&line, buffer, &others);
    if (others.len)
      qsort(others.at, others.len, sizeof *others.at, lower_first);
    buffer->offset = lowest_free(buffer, &others);
    timeline_add(&line, entries->at[i]);
    int64_t end = align_up(buffer->offset + buffer_bytes(buffer), align);
    program->arena_bytes = end > program->arena_bytes ? end : program->arena_bytes;
  }
  arena_free(scratch);
}

static void find_lives(Program *program) {
  for (size_t i = 0; i < program->buffers.len; i++)
    program->buffers.at[i]->live_begin = program->buffers.at[i]->live_end = -1;
  for (size_t i = 0; i < program->entry.stmts.len; i++)
    touch_calls(program->entry.stmts.at[i], (int)i);
}

void plan_arena(Program *program, const Target *target) {
  Arena *scratch = arena_new();
  Entries entries = {0};
  size_t kept = 0;
  find_lives(program);
  program->arena_align = target->buffer_align;
  for (size_t i = 0; i < program->buffers.len; i++) {
    Buffer *buffer = program->buffers.at[i];
    if (buffer->kind == BUFFER_ARENA && buffer->live_begin < 0)
      continue;
    program->buffers.at[kept++] = buffer;
    if (buffer->kind != BUFFER_ARENA)
      continue;
    if (buffer->align < target->buffer_align)
      buffer->align = target->buffer_align;
    program->arena_align = buffer->align > program->arena_align ? buffer->align : program->arena_align;
    VEC_PUSH(scratch, entries, ((Entry){buffer, i}));
  }
  program->buffers.len = kept;
  if (entries.len)
    qsort(entries.at, entries.len, sizeof *entries.at, larger_first);
  place(program, &entries, target->buffer_align);
  arena_free(scratch);
}

void plan_print(Writer *w, const Program *program) {
  write_f(w, "arena %lld bytes, aligned to %d\n", (long long)program->arena_bytes, program->arena_align);
  Arena *scratch = arena_new();
  Entry *entries = ARENA_ARRAY(scratch, Entry, program->buffers.len + 1);
  size_t n = 0;
  for (size_t i = 0; i < program->buffers.len; i++)
    if (program->buffers.at[i]->kind == BUFFER_ARENA)
      entries[n++] = (Entry){program->buffers.at[i], i};
  qsort(entries, n, sizeof *entries, lower_first);
  for (size_t i = 0; i < n; i++) {
    const Buffer *buffer = entries[i].buffer;
    write_f(w, "%8lld..%-8lld live %3d..%-3d %s", (long long)buffer->offset, (long long)(buffer->offset + buffer_bytes(buffer)),
            buffer->live_begin, buffer->live_end, buffer->name);
    write_f(w, "%s%s\n", buffer->note ? "  // " : "", buffer->note ? buffer->note : "");
  }
  for (size_t i = 0; i < program->entry.stmts.len; i++) {
    const Stmt *stmt = program->entry.stmts.at[i];
    const Stmt *first = stmt;
    while (first->kind != STMT_CALL && first->kind != STMT_IF && first->body.stmts.len)
      first = first->body.stmts.at[0];
    if (first->kind != STMT_CALL)
      continue;
    write_f(w, "time %zu: ", i);
    if (stmt->kind == STMT_PARALLEL)
      write_f(w, "parallel, %zu branch%s of ", stmt->body.stmts.len, stmt->body.stmts.len == 1 ? "" : "es");
    write_f(w, "%s%s\n", stmt->kind == STMT_FOR ? "loop of " : "", first->callee->name);
  }
  arena_free(scratch);
}
