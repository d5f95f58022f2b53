/* The table of targets, from targets.def, and what variants of a network have together. */
#include "target/target.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TARGET(name) extern const Target target_##name;
#include "target/targets.def"
#undef TARGET

static const Target *const targets[] = {
#define TARGET(name) &target_##name,
#include "target/targets.def"
#undef TARGET
};

size_t target_count(void) { return sizeof targets / sizeof targets[0]; }

const Target *target_at(size_t i) { return targets[i]; }

const Target *target_find(const char *name) {
  for (size_t i = 0; i < target_count(); i++)
    if (strcmp(targets[i]->name, name) == 0)
      return targets[i];
  return NULL;
}

static void print_row(Writer *w, const Target *target) {
  const DotProduct *dot = target->dot_product;
  char dot_product[64] = "";
  if (dot)
    snprintf(dot_product, sizeof dot_product, "%s, %s x i8", dot->name, elem_name(dot->first));
  write_f(w, "%-15s  %-17s  %s\n", target->name, dot_product, target->description);
}

void target_print_all(Writer *w) {
  Arena *scratch = arena_new();
  write_f(w, "%-15s  %-17s  %s\n", "target", "dot product", "what it is");
  print_row(w, target_native(scratch));
  for (size_t i = 0; i < target_count(); i++)
    print_row(w, targets[i]);
  arena_free(scratch);
}

const DotForm *dot_product_form(const DotProduct *dot, Elem first, int lanes) {
  for (size_t i = 0; dot && dot->first == first && i < dot->n; i++)
    if (lanes % dot->forms[i].lanes == 0)
      return &dot->forms[i];
  return NULL;
}

/* ---- variants ---- */

int64_t variants_arena_bytes(const Variants *variants) {
  int64_t most = 0;
  for (size_t i = 0; i < variants->n; i++)
    if (variants->at[i].program->arena_bytes > most)
      most = variants->at[i].program->arena_bytes;
  return most;
}

int variants_arena_align(const Variants *variants) {
  int most = 1;
  for (size_t i = 0; i < variants->n; i++)
    if (variants->at[i].program->arena_align > most)
      most = variants->at[i].program->arena_align;
  return most;
}

int variants_buffer_align(const Variants *variants) {
  int most = 1;
  for (size_t i = 0; i < variants->n; i++)
    if (variants->at[i].target->buffer_align > most)
      most = variants->at[i].target->buffer_align;
  return most;
}

const char *variant_prefix(Arena *arena, const Variants *variants, size_t i, const char *prefix) {
  if (variants->n == 1)
    return prefix;
  char *own = arena_printf(arena, "%s_%s", prefix, variants->at[i].target->name);
  for (char *c = own; *c; c++)
    if (!isalnum((unsigned char)*c))
      *c = '_';
  return own;
}
