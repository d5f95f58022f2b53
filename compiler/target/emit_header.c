/* The generated header, which C files, objects and their users share: sizes as
 * macros, hooks, the declaration of PREFIX_run, and comments that tell what
 * goes in and out, which layers were compiled and where everything lies in the
 * arena. Also the assembly that links a weight blob. */
#include "target/target.h"

#include <inttypes.h>
#include <string.h>

#include "target/c_text.h"

enum { ABI_VERSION = 1 };

typedef struct Header {
  Writer *w;
  Arena *arena;
  const Variants *variants;
  const Program *program; /* of the first: the interface is that of all */
  const EmitOptions *options;
  const char *prefix, *upper;
} Header;

/* ---- comments ---- */

/* Each line of `text` as a line of a comment that is open. */
static void comment_lines(Header *h, const char *text) {
  while (*text) {
    size_t len = strcspn(text, "\n");
    const char *line = c_comment_text(h->arena, arena_strndup(h->arena, text, len));
    write_f(h->w, *line ? " *   %s\n" : " *\n", line);
    text += len + (text[len] == '\n');
  }
}

/* image[224][224][3] of float: height, width, channels; a note in brackets names them otherwise. */
static const char *layout_words(const Buffer *buffer) {
  if (buffer->note && buffer->note[0] == '[')
    return " (row-major, the last dimension innermost)";
  switch (buffer->rank) {
  case 3:
    return " (height, width, channels; channels innermost)";
  case 1:
  case 0:
    return "";
  default:
    return " (row-major, the last dimension innermost)";
  }
}

static void describe_ports(Header *h, const char *what, const CPorts *ports,
                           const char *const *names) {
  for (size_t i = 0; i < ports->n; i++) {
    const Buffer *buffer = ports->at[i];
    write_f(h->w, " *   %-8s %s: %s, %" PRId64 " bytes%s\n", what, names[i],
            c_shape(h->arena, buffer), buffer_bytes(buffer), layout_words(buffer));
    if (buffer->note)
      write_f(h->w, " *            %s\n", c_comment_text(h->arena, buffer->note));
  }
}

static void memory_map(Header *h, size_t variant) {
  const Program *program = h->variants->at[variant].program;
  const char *where = h->variants->n == 1 ? "" : arena_printf(h->arena, " on %s", h->variants->at[variant].target->name);
  if (program->arena_bytes <= 0) {
    write_f(h->w, " *\n * The arena%s is not used.\n", where);
    return;
  }
  write_f(h->w, " *\n * The arena%s, %" PRId64 " bytes: offset, bytes, first and last step of use\n", where,
          program->arena_bytes);
  size_t n = 0;
  for (size_t i = 0; i < program->buffers.len; i++)
    n += program->buffers.at[i]->kind == BUFFER_ARENA;
  const Buffer **sorted = ARENA_ARRAY(h->arena, const Buffer *, n);
  n = 0;
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *buffer = program->buffers.at[i];
    if (buffer->kind != BUFFER_ARENA)
      continue;
    size_t at = n++;
    for (; at > 0 && sorted[at - 1]->offset > buffer->offset; at--)
      sorted[at] = sorted[at - 1];
    sorted[at] = buffer;
  }
  for (size_t i = 0; i < n; i++) {
    const Buffer *buffer = sorted[i];
    write_f(h->w, " *   %9" PRId64 " %9" PRId64 "  %3d..%-3d  %s %s%s%s\n", buffer->offset,
            buffer_bytes(buffer), buffer->live_begin, buffer->live_end, buffer->name,
            c_shape(h->arena, buffer), buffer->note ? "  " : "",
            buffer->note ? c_comment_text(h->arena, buffer->note) : "");
  }
}

static void opening_comment(Header *h, const CSignature *signature) {
  const Program *program = h->program;
  const Variants *variants = h->variants;
  write_f(h->w, "/* Network %s, compiled by mncc for target%s ", c_comment_text(h->arena, program->name),
          variants->n > 1 ? "s" : "");
  for (size_t i = 0; i < variants->n; i++)
    write_f(h->w, "%s%s", i ? ", " : "", variants->at[i].target->name);
  write_text(h->w, ". Generated: edit the network instead.\n *\n");
  describe_ports(h, "input", &signature->inputs, signature->input_names);
  describe_ports(h, "output", &signature->outputs, signature->output_names);
  if (program->layers) {
    write_text(h->w, " *\n * Layers\n");
    comment_lines(h, program->layers);
  }
  for (size_t i = 0; i < variants->n; i++)
    memory_map(h, i);
  write_text(
      h->w,
      " *\n * This file belongs to the author of the network; mncc claims no rights in it. */\n");
}

/* ---- macros ---- */

static void define_int(Header *h, const char *name, int64_t value) {
  write_f(h->w, "#define %s_%s %" PRId64 "\n", h->upper, name, value);
}

static void port_macros(Header *h, const char *direction, const CPorts *ports) {
  CNames *taken = c_names_new(h->arena, NULL);
  for (size_t i = 0; i < ports->n; i++) {
    const Buffer *buffer = ports->at[i];
    /* Names may differ in case only; the claim keeps the macros apart. Lower case there, since
     * capitals by themselves are varied. */
    const char *upper = c_upper(h->arena, buffer->name);
    char *key = arena_printf(h->arena, "m_%s", upper);
    const char *claimed = c_names_claim(taken, key);
    const char *name = arena_printf(h->arena, "%s_%s", direction, claimed + strlen("m_"));
    int rank = buffer->rank;
    int64_t channels = rank > 0 ? buffer->dims[rank - 1] : 1;
    int64_t width = rank > 1 ? buffer->dims[rank - 2] : 1;
    int64_t elems = buffer_elems(buffer);
    define_int(h, arena_printf(h->arena, "%s_H", name), elems / channels / width);
    define_int(h, arena_printf(h->arena, "%s_W", name), width);
    define_int(h, arena_printf(h->arena, "%s_C", name), channels);
    define_int(h, arena_printf(h->arena, "%s_ELEMS", name), elems);
    define_int(h, arena_printf(h->arena, "%s_BYTES", name), buffer_bytes(buffer));
  }
}

/* As a literal that C and C++ read alike. */
static void string_literal(Header *h, const char *text) {
  write_text(h->w, "\"");
  for (const unsigned char *c = (const unsigned char *)text; *c; c++)
    write_f(h->w, *c < ' ' || *c > '~' || *c == '"' || *c == '\\' || *c == '?' ? "\\%03o" : "%c", *c);
  write_text(h->w, "\"");
}

static void stage_macros(Header *h) {
  const Program *program = h->program;
  if (!program->stages.len)
    return;
  write_text(h->w, "\n/* What the profile hooks count: a name for each stage, for an array, and its multiply-accumulates. */\n");
  define_int(h, "STAGES", (int64_t)program->stages.len);
  write_f(h->w, "#define %s_STAGE_NAMES", h->upper);
  for (size_t i = 0; i < program->stages.len; i++) {
    const ProgramStage *stage = program->stages.at[i];
    write_text(h->w, i ? ", \\\n  " : " \\\n  ");
    string_literal(h, arena_printf(h->arena, "%s: %s", stage->path, stage->note));
  }
  write_f(h->w, "\n#define %s_STAGE_MACS", h->upper);
  for (size_t i = 0; i < program->stages.len; i++)
    write_f(h->w, "%s%" PRId64, i == 0 ? " \\\n  " : i % 8 ? ", " : ", \\\n  ", program->stages.at[i]->macs);
  write_text(h->w, "\n");
}

static void hook(Header *h, const char *name, const char *body) {
  size_t len = strcspn(name, "(");
  write_f(h->w, "#ifndef %s_%.*s\n#define %s_%s%s%s\n#endif\n", h->upper, (int)len, name, h->upper,
          name, *body ? " " : "", body);
}

static void hooks(Header *h) {
  write_text(h->w,
             "\n/* Hooks: define them before this header is included, or on the command line. The\n"
             " * sections go before definitions of constants, arena and functions, e.g.\n"
             " * __attribute__((section(\".qspi\"))); the profile hooks surround each call of stage i's "
             "kernels. */\n");
  hook(h, "SECTION_WEIGHTS", "");
  hook(h, "SECTION_ARENA", "");
  hook(h, "SECTION_CODE", "");
  hook(h, "PROFILE_BEGIN(i)", "((void)0)");
  hook(h, "PROFILE_END(i)", "((void)0)");
}

static void arena_macros(Header *h) {
  Writer *w = h->w;
  const char *p = h->upper;
  write_f(w,
          "\n/* Before a definition: its alignment, where the language has a word for it. */\n"
          "#if defined(__GNUC__)\n"
          "#define %s_ALIGNED(n) __attribute__((aligned(n)))\n"
          "#elif defined(__cplusplus) && __cplusplus >= 201103L\n"
          "#define %s_ALIGNED(n) alignas(n)\n"
          "#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n"
          "#define %s_ALIGNED(n) _Alignas(n)\n"
          "#elif defined(_MSC_VER)\n"
          "#define %s_ALIGNED(n) __declspec(align(n))\n"
          "#endif\n",
          p, p, p, p);
  int64_t used = variants_arena_bytes(h->variants), bytes = used > 0 ? used : 1;
  write_f(w,
          "\n/* %s_ARENA(name); defines a static arena to pass to %s_run. */\n"
          "#if defined(%s_ALIGNED)\n"
          "#define %s_ARENA(name) \\\n"
          "  %s_SECTION_ARENA %s_ALIGNED(%s_ARENA_ALIGN) static unsigned char name[%" PRId64 "]\n"
          "#else\n"
          "#define %s_ARENA(name) \\\n"
          "  %s_SECTION_ARENA static union { \\\n"
          "    unsigned char bytes[%" PRId64 "]; \\\n"
          "    int64_t i; \\\n"
          "    long double f; \\\n"
          "    void *p; \\\n"
          "  } name##_storage; \\\n"
          "  static void *const name = &name##_storage\n"
          "#endif\n",
          p, h->prefix, p, p, p, p, p, bytes, p, p, bytes);
}

/* The one type that all generated headers and mnrt.h share: whoever comes first defines it. */
static void parallel_type(Header *h) {
  write_f(h->w,
          "/* Threads: run calls task(context, i) for each i in 0..n-1, on any threads and in any order, and\n"
          " * returns when all calls have returned. Models and the runtime share the type. */\n"
          "#ifndef MNCC_PARALLEL\n"
          "#define MNCC_PARALLEL 1\n"
          "typedef struct mncc_parallel {\n"
          "  void (*run)(void *self, int n, void (*task)(void *context, int index), void *context);\n"
          "  void *self;\n"
          "} mncc_parallel;\n"
          "#endif\n"
          "typedef mncc_parallel %s_parallel;\n\n",
          h->prefix);
}

static void declare_target(Header *h) {
  if (h->variants->n > 1)
    write_f(h->w,
            "/* Which of the targets the run function has code for it chooses on this machine: the first of them\n"
            " * whose instructions the processor has, or else the last. */\n"
            "const char *%s_target(void);\n\n",
            h->prefix);
}

/* ---- the file ---- */

void emit_header(Writer *w, const Variants *variants, const EmitOptions *options) {
  const Program *program = variants->at[0].program;
  Header header = {.w = w, .arena = arena_new(), .variants = variants, .program = program, .options = options};
  Header *h = &header;
  h->prefix = c_prefix(program, options);
  h->upper = c_upper(h->arena, h->prefix);
  CSignature signature = c_signature(h->arena, program, options, c_names_new(h->arena, NULL));
  WeightLayout layout = weight_layout(h->arena, variants);

  opening_comment(h, &signature);
  write_f(w,
          "#ifndef %s_MODEL_H\n#define %s_MODEL_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n",
          h->upper, h->upper);
  define_int(h, "ABI_VERSION", ABI_VERSION);
  define_int(h, "ARENA_BYTES", variants_arena_bytes(variants));
  define_int(h, "ARENA_ALIGN", variants_arena_align(variants));
  define_int(h, "WEIGHT_BYTES", layout.total_bytes);
  define_int(h, "WEIGHT_ALIGN", variants_buffer_align(variants));
  define_int(h, "MACS", program->macs);
  if (program->threads > 1)
    define_int(h, "THREADS", program->threads);
  port_macros(h, "IN", &signature.inputs);
  port_macros(h, "OUT", &signature.outputs);
  stage_macros(h);
  hooks(h);
  arena_macros(h);

  write_f(w,
          "\n/* What the code takes for granted: bytes of 8 bits, float of 4 bytes. */\n"
          "typedef char %s_has_8_bit_bytes[sizeof(uint32_t) == 4 ? 1 : -1];\n"
          "typedef char %s_has_32_bit_float[sizeof(float) == 4 ? 1 : -1];\n",
          h->prefix, h->prefix);
  write_text(w, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
  if (program->threads > 1)
    parallel_type(h);
  if (options->weights_as_blob)
    write_f(
        w,
        "/* The weights, if the assembly that mncc writes for them is linked; they may also be "
        "read\n"
        " * or mapped from their file, to an address that is a multiple of %s_WEIGHT_ALIGN. */\n"
        "extern const unsigned char %s_weights[];\n\n",
        h->upper, h->prefix);
  if (options->profile)
    write_f(w,
            "/* Yours to define: called before and after each call of a stage's kernels, with the arena\n"
            " * of the run. */\n"
            "void %s_profile_begin(void *arena, int32_t stage);\n"
            "void %s_profile_end(void *arena, int32_t stage);\n\n",
            h->prefix, h->prefix);
  declare_target(h);
  write_text(w, "/* Runs the network once.\n *\n");
  if (signature.parallel)
    write_f(w,
            " *   %s: who runs the branches of a step at the same time, best on %s_THREADS threads; null:\n"
            " *     they run one after the other. The results are the same\n",
            signature.parallel, h->upper);
  if (signature.weights)
    write_f(w, " *   %s: %s_WEIGHT_BYTES, aligned to %s_WEIGHT_ALIGN\n", signature.weights,
            h->upper, h->upper);
  write_f(w,
          " *   %s: %s_ARENA_BYTES of working memory, aligned to %s_ARENA_ALIGN; need not be\n"
          " *     initialised, keeps nothing between runs%s\n",
          signature.arena, h->upper, h->upper,
          variants_arena_bytes(variants) > 0 ? "" : "; not used, may be null");
  write_text(w, " *\n * Inputs, outputs and the arena must not overlap. Runs may go on at the same "
                "time if each has\n"
                " * an arena of its own. */\n");
  write_f(w, "%s;\n", signature.text);
  write_text(w, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
  arena_free(h->arena);
}

void emit_blob_assembly(Writer *w, const Variants *variants, const EmitOptions *options, const char *file) {
  const char *prefix = c_prefix(variants->at[0].program, options);
  write_text(w, "/* The weight blob as an object; GNU assembler. */\n");
  write_f(w,
          "\t.section .rodata\n\t.balign %d\n\t.globl %s_weights\n\t.type %s_weights, %%object\n",
          variants_buffer_align(variants), prefix, prefix);
  write_f(w, "%s_weights:\n\t.incbin \"", prefix);
  for (const char *c = file; *c; c++) {
    char text[2] = {*c, '\0'};
    write_text(w, *c == '"' || *c == '\\' ? "\\" : "");
    write_text(w, text);
  }
  write_f(w, "\"\n\t.size %s_weights, . - %s_weights\n", prefix, prefix);
  write_text(w, "\t.section .note.GNU-stack,\"\",%progbits\n");
}
