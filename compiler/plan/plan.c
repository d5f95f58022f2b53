/* Memory plan: see plan.h. Placement is first fit, largest buffer first, which
 * for chains of feature maps finds the optimum or comes near it. */
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

static bool live_together(const Buffer *a, const Buffer *b) {
  return a->live_begin <= b->live_end && b->live_begin <= a->live_end;
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

/* The lowest aligned offset at which the buffer overlaps none of `placed`, which are sorted by offset. */
static int64_t lowest_free(const Buffer *buffer, const Entry *placed, size_t n) {
  int64_t offset = 0;
  for (size_t i = 0; i < n; i++) {
    const Buffer *other = placed[i].buffer;
    if (!live_together(buffer, other) || other->offset + buffer_bytes(other) <= offset)
      continue;
    if (offset + buffer_bytes(buffer) <= other->offset)
      break;
    offset = align_up(other->offset + buffer_bytes(other), buffer->align);
  }
  return offset;
}

void plan_arena(Program *program, const Target *target) {
  Arena *scratch = arena_new();
  Entry *entries = ARENA_ARRAY(scratch, Entry, program->buffers.len + 1);
  size_t n = 0, kept = 0;
  for (size_t i = 0; i < program->buffers.len; i++)
    program->buffers.at[i]->live_begin = program->buffers.at[i]->live_end = -1;
  for (size_t i = 0; i < program->entry.stmts.len; i++)
    touch_calls(program->entry.stmts.at[i], (int)i);
  for (size_t i = 0; i < program->buffers.len; i++) {
    Buffer *buffer = program->buffers.at[i];
    if (buffer->kind == BUFFER_ARENA && buffer->live_begin < 0)
      continue;
    program->buffers.at[kept++] = buffer;
    if (buffer->kind == BUFFER_ARENA) {
      if (buffer->align < target->buffer_align)
        buffer->align = target->buffer_align;
      entries[n++] = (Entry){buffer, i};
    }
  }
  program->buffers.len = kept;
  qsort(entries, n, sizeof *entries, larger_first);
  program->arena_bytes = 0;
  for (size_t i = 0; i < n; i++) {
    Buffer *buffer = entries[i].buffer;
    buffer->offset = lowest_free(buffer, entries, i);
    int64_t end = align_up(buffer->offset + buffer_bytes(buffer), target->buffer_align);
    program->arena_bytes = end > program->arena_bytes ? end : program->arena_bytes;
    qsort(entries, i + 1, sizeof *entries, lower_first);
  }
  program->arena_align = target->buffer_align;
  for (size_t i = 0; i < n; i++)
    program->arena_align = entries[i].buffer->align > program->arena_align ? entries[i].buffer->align : program->arena_align;
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
    while (first->kind == STMT_FOR && first->body.stmts.len)
      first = first->body.stmts.at[0];
    if (first->kind == STMT_CALL)
      write_f(w, "time %zu: %s%s\n", i, stmt->kind == STMT_FOR ? "loop of " : "", first->callee->name);
  }
  arena_free(scratch);
}
