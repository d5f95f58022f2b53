/* Several targets in one C file. The code of each variant stands between pragmas that let it, and it alone, use the
 * instructions of its target; so the file is compiled without a word of the processor. PREFIX_run asks the
 * processor through the compiler's own functions, whose answers its library finds once, before main: the generated
 * code keeps nothing between runs, and any number of threads may begin at the same time.
 *
 * clang's pragma leaves the preprocessor's macros as they are, so what depends on them is settled when
 * the code is written, by c_target_defines. */
#include <string.h>

#include "target/c_emitter.h"

static bool is_fallback(const Emitter *e, size_t i) { return i + 1 == e->variants->n; }

bool c_target_defines(const Emitter *e, const char *macro) {
  const CpuFeatures *features = &e->target->dispatch;
  for (size_t i = 0; e->variants->n > 1 && i < features->n; i++)
    if (strcmp(features->at[i].macro, macro) == 0)
      return true;
  return false;
}

/* "avx2,fma" */
static void feature_list(Writer *w, const CpuFeatures *features) {
  for (size_t i = 0; i < features->n; i++)
    write_f(w, "%s%s", i ? "," : "", features->at[i].name);
}

void c_open_target(Emitter *e, Writer *w) {
  const CpuFeatures *features = &e->target->dispatch;
  if (e->variants->n > 1)
    write_f(w, "\n/* ---- %s ---- */\n", e->target->name);
  if (e->variants->n == 1 || features->n == 0)
    return;
  write_text(w, "#if defined(__clang__)\n#pragma clang attribute push(__attribute__((target(\"");
  feature_list(w, features);
  write_text(w, "\"))), apply_to = function)\n#else\n#pragma GCC push_options\n#pragma GCC target(\"");
  feature_list(w, features);
  write_text(w, "\")\n#endif\n");
}

void c_close_target(Emitter *e, Writer *w) {
  if (e->variants->n > 1 && e->target->dispatch.n)
    write_text(w, "\n#if defined(__clang__)\n#pragma clang attribute pop\n#else\n#pragma GCC pop_options\n#endif\n");
}

/* ---- the choice ---- */

/* The number of the variant that runs. */
static void choice_c(Emitter *e, Writer *w, const char *choice) {
  write_f(w, "\n/* The first whose instructions the processor has. */\n%s_SECTION_CODE static int %s(void) {\n", e->upper,
          choice);
  write_text(w, "  __builtin_cpu_init();\n");
  for (size_t i = 0; !is_fallback(e, i); i++) {
    const CpuFeatures *features = &e->variants->at[i].target->dispatch;
    write_text(w, "  if (");
    for (size_t k = 0; k < features->n; k++)
      write_f(w, "%s__builtin_cpu_supports(\"%s\")", k == 0 ? "" : k % 2 ? " && " : " &&\n      ", features->at[k].name);
    write_f(w, ")\n    return %zu;\n", i);
  }
  write_f(w, "  return %zu;\n}\n", e->variants->n - 1);
}

void c_dispatch(Emitter *e, Writer *w) {
  const Variants *variants = e->variants;
  if (variants->n == 1)
    return;
  c_begin_variant(e, 0);
  e->own = e->prefix;
  const char *choice = c_claim_global(e, "choice");
  choice_c(e, w, choice);
  write_f(w, "\n%s_SECTION_CODE const char *%s_target(void) {\n  static const char *const names[%zu] = {", e->upper, e->prefix,
          variants->n);
  for (size_t i = 0; i < variants->n; i++)
    write_f(w, "%s\"%s\"", i ? ", " : "", variants->at[i].target->name);
  write_f(w, "};\n  return names[%s()];\n}\n", choice);

  c_begin_function(e);
  CSignature signature = c_signature(e->arena, e->program, e->options, e->local_names);
  write_f(w, "\n%s_SECTION_CODE %s {\n  switch (%s()) {\n", e->upper, signature.text, choice);
  for (size_t i = 0; i < variants->n; i++) {
    if (is_fallback(e, i))
      write_text(w, "  default:\n");
    else
      write_f(w, "  case %zu:\n", i);
    write_f(w, "    %s%s;\n    break;\n", c_name_of(e, variants->at[i].program), signature.arguments);
  }
  write_text(w, "  }\n}\n");
}
