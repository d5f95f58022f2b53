/* Files that include others: a depth-first walk that reads each file once,
 * whatever the paths that lead to it, and knows which are still being read: one
 * of those again is a cycle. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ast/build.h"
#include "support/output.h"

/* Files are the same if the system says so: names differ by links and dots. */
typedef struct Known {
  dev_t device;
  ino_t inode;
  AstFile *file;
  bool open; /* one of those that lead to here */
} Known;

typedef struct Includer {
  Arena *arena;
  Diag *diag;
  VEC(Known) known;
  AstFiles files;
  const AstItem *item;   /* the include being read */
  struct Includer *from; /* for notes: as it was one include further out */
} Includer;

/* Diag's hook: which includes led here. */
static void explain_includes(Diag *diag, void *user) {
  for (const Includer *in = user; in && in->item; in = in->from)
    diag_note(diag, in->item->loc, "included here");
}

/* `name` in the folder of `from`. */
static const char *beside(Arena *arena, const Source *from, const char *name) {
  const char *slash = strrchr(from->name, '/');
  if (!slash || name[0] == '/')
    return name;
  return arena_printf(arena, "%.*s%s", (int)(slash - from->name + 1), from->name, name);
}

/* Null after an error. */
static const Source *read_source(Includer *in, const char *path, const struct stat *info) {
  char *text = NULL;
  size_t len = 0;
  /* Reading a device might never end. */
  const char *problem = S_ISREG(info->st_mode) ? read_file(path, &text, &len) : "it is not a file";
  if (!problem && len > INT32_MAX)
    problem = "the file is too large";
  if (problem)
    diag_error(in->diag, in->item->name_loc, "cannot read '%.200s': %s", path, problem);
  Source *source = ARENA_NEW(in->arena, Source);
  if (!problem)
    *source = (Source){path, arena_strndup(in->arena, text, len), (uint32_t)len};
  free(text);
  return problem ? NULL : source;
}

static AstFile *parse_included(Includer *in, const Source *source) {
  AstFile *file = ARENA_NEW(in->arena, AstFile);
  file->source = source;
  AstBuilder b = {.arena = in->arena, .diag = in->diag, .source = source, .file = file};
  in->diag->context = explain_includes;
  in->diag->context_user = in;
  ast_parse_text(&b);
  if (file->network)
    diag_error(in->diag, file->network->name_loc,
               "a file that others include has functions and blocks, but no network");
  in->diag->context = NULL;
  return file;
}

static void include_all(Includer *in, AstFile *file, int depth);

/* The file that `in->item`, found in `file`, names. */
static AstFile *include_one(Includer *in, const AstFile *file, int depth) {
  const AstItem *item = in->item;
  const char *path = beside(in->arena, file->source, item->name);
  struct stat info;
  if (!*item->name || stat(path, &info) != 0) {
    diag_error(in->diag, item->name_loc, "cannot read '%.200s': %s", path,
               *item->name ? strerror(errno) : "the name is empty");
    return NULL;
  }
  for (size_t i = 0; i < in->known.len; i++) {
    const Known *known = &in->known.at[i];
    if (known->device != info.st_dev || known->inode != info.st_ino)
      continue;
    if (!known->open)
      return known->file;
    diag_error(in->diag, item->name_loc, "'%.200s' includes itself", path);
    explain_includes(in->diag, in->from);
    return NULL;
  }
  if (depth >= AST_MAX_INCLUDES || in->known.len >= 10 * AST_MAX_INCLUDES) {
    diag_error(in->diag, item->name_loc, "too many files are included");
    return NULL;
  }
  const Source *source = read_source(in, path, &info);
  if (!source)
    return NULL;
  size_t index = in->known.len;
  VEC_PUSH(in->arena, in->known, ((Known){info.st_dev, info.st_ino, NULL, true}));
  AstFile *included = parse_included(in, source);
  VEC_PUSH(in->arena, in->files, included);
  include_all(in, included, depth + 1);
  in->known.at[index].file = included;
  in->known.at[index].open = false;
  return included;
}

static void include_all(Includer *in, AstFile *file, int depth) {
  Includer outer = *in;
  for (size_t i = 0; i < file->items.len; i++) {
    AstItem *item = file->items.at[i];
    if (item->kind != ITEM_INCLUDE)
      continue;
    in->item = item;
    in->from = &outer;
    item->included = include_one(in, file, depth);
  }
  in->item = outer.item;
  in->from = outer.from;
}

AstFiles ast_include(Arena *arena, Diag *diag, AstFile *file) {
  Includer in = {.arena = arena, .diag = diag};
  struct stat info;
  if (stat(file->source->name, &info) == 0)
    VEC_PUSH(arena, in.known, ((Known){info.st_dev, info.st_ino, file, true}));
  include_all(&in, file, 0);
  return in.files;
}
