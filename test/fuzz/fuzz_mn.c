/* Any bytes as a network: parsed, expanded and, if they turn out to be one of
 * modest size, lowered through every stage up to the plan, each verified. What is
 * printed of the network is read again and must print the same.
 *
 * The first byte chooses how: with or without fusion, for which target. Behind a line
 * `//# regions`, `//# schedule` or `//# tuned` stands such a file. */
#include <string.h>

#include "pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bigger networks take longer and show nothing new. */
enum { MAX_BYTES = 20000, MAX_LAYERS = 60, MAX_ROWS = 2000 };

static bool is_modest(const Network *network) {
  for (size_t i = 0; i < network->layers.len; i++)
    if (network->layers.at[i]->call.output.dims[0] > MAX_ROWS ||
        network->layers.at[i]->call.inputs[0].dims[0] > MAX_ROWS)
      return false;
  return network->layers.len <= MAX_LAYERS;
}

static Network *expand(Arena *arena, Diag *diag, const Source *source, const Options *options) {
  NetworkOptions network_options = options_network(arena, options);
  AstFile *file = ast_parse(arena, diag, source);
  return diag->errors ? NULL : network_build(arena, diag, file, &network_options);
}

static void print_twice(Arena *arena, Diag *diag, const Network *network, const Options *options) {
  Writer first, second;
  writer_init(&first);
  writer_init(&second);
  network_print(&first, network);
  Source source = {"again.mn", first.data, (uint32_t)first.len};
  Network *again = expand(arena, diag, &source, options);
  if (!again)
    BUG("the printed network does not compile:\n%s", first.data);
  network_print(&second, again);
  if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
    BUG("the printed network prints otherwise:\n%s\n%s", first.data, second.data);
  network_print_pytorch(&second, network);
  writer_free(&first);
  writer_free(&second);
}

/* Cuts the text at the first of such lines, and hands what is behind it to the compilation. */
static void split(Compilation *c, Source *source) {
  const Source **files[] = {&c->regions_file, &c->schedule_file, &c->tuned_file};
  static const char *const lines[] = {"\n//# regions\n", "\n//# schedule\n", "\n//# tuned\n"};
  for (int i = 0; i < 3; i++) {
    char *at = strstr(source->text, lines[i]);
    if (!at)
      continue;
    const char *text = at + strlen(lines[i]);
    Source *file = ARENA_NEW(c->arena, Source);
    *file = (Source){"file", arena_strndup(c->arena, text, strlen(text)), (uint32_t)strlen(text)};
    *files[i] = file;
    source->len = (uint32_t)(at + 1 - source->text);
    source->text = arena_strndup(c->arena, source->text, source->len);
    return;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0 || size > MAX_BYTES)
    return -1;
  Arena *arena = arena_new();
  Diag diag;
  diag_init(&diag, arena);
  Source source = {"fuzz.mn", arena_strndup(arena, (const char *)data + 1, size - 1),
                   (uint32_t)size - 1};
  Options options = {.arena = arena, .optimize = 2, .verify = 1, .no_fuse = data[0] & 1, .threads = 1 + (data[0] >> 1) % 3};
  Compilation c = {.arena = arena, .diag = &diag, .options = &options, .source = &source};
  c.target = target_find(data[0] & 2 ? "x86-64-v3" : "generic");
  split(&c, &source);
  Network *network = expand(arena, &diag, &source, &options);
  if (network && diag.errors)
    BUG("a network in spite of errors");
  if (network && is_modest(network)) {
    network_verify(network);
    print_twice(arena, &diag, network, &options);
    bool stopped;
    /* Files that the text includes are not there to be read: nothing is included. */
    if (!strstr(source.text, "include"))
      pipeline_run(&c, STAGE_PLAN, NULL, &stopped);
  }
  arena_free(arena);
  return 0;
}
