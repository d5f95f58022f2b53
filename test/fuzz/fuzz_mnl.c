/* Any bytes as loop text: read, verified, and if it is a program, through the
 * remaining passes; what is printed of it is read again and must print the same. */
#include <string.h>

#include "pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BYTES = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > MAX_BYTES)
    return -1;
  Arena *arena = arena_new();
  Diag diag;
  diag_init(&diag, arena);
  Source source = {"fuzz.mnl", arena_strndup(arena, (const char *)data, size), (uint32_t)size};
  Options options = {.arena = arena, .optimize = 2, .threads = 1, .verify = 1};
  Compilation c = {.arena = arena, .diag = &diag, .options = &options, .source = &source};
  c.is_loop_text = true;
  c.target = target_find("generic");
  bool stopped;
  if (pipeline_run(&c, STAGE_PLAN, NULL, &stopped)) {
    Writer first, second;
    writer_init(&first);
    writer_init(&second);
    loop_print(&first, c.program);
    Source again = {"again.mnl", first.data, (uint32_t)first.len};
    Program *program = loop_read(arena, &diag, &again);
    if (!program || diag.errors)
      BUG("the printed loops cannot be read:\n%s", first.data);
    loop_print(&second, program);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
      BUG("the printed loops print otherwise:\n%s\n%s", first.data, second.data);
    writer_free(&first);
    writer_free(&second);
  }
  arena_free(arena);
  return 0;
}
