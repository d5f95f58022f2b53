/* A planned Program as one strict C99 file, which is C++ too.
 *
 * Each kernel becomes a static function over flat pointers, the entry becomes
 * PREFIX_run; that of a variant among several becomes a static function, which
 * PREFIX_run chooses (c_dispatch.c). Scalars are plain locals; a vector value is a local array.
 *
 * Kernels are written first, into a text of their own, so that only those
 * helper functions come before them that they call. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/c_emitter.h"

/* ---- functions ---- */

void c_name_block(Emitter *e, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *stmt = block->stmts.at[i];
    if (stmt->kind == STMT_FOR)
      c_set_name(e, stmt->var, c_names_claim(e->local_names, stmt->var->name));
    if (stmt->kind == STMT_LET || stmt->kind == STMT_VAR)
      c_set_name(e, stmt->value, c_names_claim(e->local_names, stmt->value->name));
    c_name_block(e, &stmt->body);
    c_name_block(e, &stmt->otherwise);
  }
}

void c_begin_variant(Emitter *e, size_t i) {
  e->program = e->variants->at[i].program;
  e->target = e->variants->at[i].target;
  e->own = e->own_prefixes[i];
  e->helpers.len = 0;
  e->prelude.len = 0;
}

void c_begin_function(Emitter *e) {
  e->local_names = c_names_new(e->arena, e->file_names);
  e->n_temps = 0;
}

static void kernel_c(Emitter *e, const Kernel *kernel) {
  c_begin_function(e);
  for (size_t i = 0; i < kernel->buffers.len; i++)
    c_set_name(e, kernel->buffers.at[i],
               c_names_claim(e->local_names, kernel->buffers.at[i]->name));
  for (size_t i = 0; i < kernel->ints.len; i++)
    c_set_name(e, kernel->ints.at[i], c_names_claim(e->local_names, kernel->ints.at[i]->name));
  c_name_block(e, &kernel->body);
  e->lane = c_names_claim(e->local_names, "l");

  write_text(e->w, "\n");
  if (kernel->note)
    write_f(e->w, "/* %s */\n", c_comment_text(e->arena, kernel->note));
  write_f(e->w, "%s_SECTION_CODE %sstatic void %s(", e->upper,
          e->target->vector_extensions ? arena_printf(e->arena, "%s_KERNEL ", e->upper) : "", c_name_of(e, kernel));
  bool first = true;
  for (size_t i = 0; i < kernel->buffers.len; i++) {
    const Buffer *buffer = kernel->buffers.at[i];
    write_f(e->w, "%s%s%s *%s%s", first ? "" : ", ", buffer->access == ACCESS_IN ? "const " : "",
            c_type(buffer->elem),
            buffer->noalias ? arena_printf(e->arena, "%s_RESTRICT ", e->upper) : "",
            c_name_of(e, buffer));
    first = false;
  }
  for (size_t i = 0; i < kernel->ints.len; i++) {
    write_f(e->w, "%sconst %s %s", first ? "" : ", ", e->index_type,
            c_name_of(e, kernel->ints.at[i]));
    first = false;
  }
  write_text(e->w, first ? "void) {\n" : ") {\n");
  e->w->indent++;
  for (size_t i = 0; i < kernel->buffers.len; i++)
    if (!c_map_get(&e->used, kernel->buffers.at[i]))
      write_f(e->w, "(void)%s;\n", c_name_of(e, kernel->buffers.at[i]));
  for (size_t i = 0; i < kernel->ints.len; i++)
    if (!c_map_get(&e->used, kernel->ints.at[i]))
      write_f(e->w, "(void)%s;\n", c_name_of(e, kernel->ints.at[i]));
  c_block(e, &kernel->body);
  e->w->indent--;
  write_text(e->w, "}\n");
}

void c_place_pointer(Emitter *e, const Buffer *buffer, const char *base, int64_t offset, const char *qualifier) {
  c_set_name(e, buffer, c_names_claim(e->local_names, buffer->name));
  write_f(e->w, "%s%s *const %s = (%s%s *)(%svoid *)((%sunsigned char *)%s + %" PRId64 ");",
          qualifier, c_type(buffer->elem), c_name_of(e, buffer), qualifier, c_type(buffer->elem),
          qualifier, qualifier, base, offset);
  if (buffer->note)
    write_f(e->w, " /* %s */", c_comment_text(e->arena, buffer->note));
  write_text(e->w, "\n");
}

static void run_c(Emitter *e) {
  const Program *program = e->program;
  c_begin_function(e);
  CSignature signature = c_signature(e->arena, program, e->options, e->local_names);
  e->arena_name = signature.arena;
  if (e->variants->n > 1)
    write_f(e->w, "\n%s_SECTION_CODE static void %s%s {\n", e->upper, c_name_of(e, program), signature.parameters);
  else
    write_f(e->w, "\n%s_SECTION_CODE %s {\n", e->upper, signature.text);
  e->w->indent++;
  CMap used = {0};
  c_buffers_of_calls(e, &program->entry, &used);
  bool in_frame = c_has_parallel(program);
  const CPorts *ports[] = {&signature.inputs, &signature.outputs};
  const char **port_names[] = {signature.input_names, signature.output_names};
  for (int k = 0; k < 2; k++)
    for (size_t i = 0; i < ports[k]->n; i++) {
      c_set_name(e, ports[k]->at[i], port_names[k][i]);
      if (!in_frame && !c_map_get(&used, ports[k]->at[i]))
        write_f(e->w, "(void)%s;\n", port_names[k][i]);
    }

  bool arena_used = false, weights_used = false;
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *buffer = program->buffers.at[i];
    if (!c_map_get(&used, buffer))
      continue;
    if (buffer->kind == BUFFER_ARENA) {
      if (buffer->offset < 0)
        BUG("arena buffer '%s' has no offset", buffer->name);
      c_place_pointer(e, buffer, signature.arena, buffer->offset, "");
      arena_used = true;
    }
    if (buffer->kind == BUFFER_WEIGHT && signature.weights) {
      c_place_pointer(e, buffer, signature.weights, weight_place(&e->layout, buffer)->offset,
                    "const ");
      weights_used = true;
    }
  }
  if (!arena_used && !in_frame)
    write_f(e->w, "(void)%s;\n", signature.arena);
  if (signature.weights && !weights_used && !in_frame)
    write_f(e->w, "(void)%s;\n", signature.weights);
  c_parallel_frame(e, &signature);

  c_name_block(e, &program->entry);
  c_block(e, &program->entry);
  e->w->indent--;
  write_text(e->w, "}\n");
}

/* ---- weights ---- */

static int int_text(char *text, const Buffer *buffer, const unsigned char *at) {
  int64_t value = 0;
  if (buffer->elem == ELEM_U8) {
    value = at[0];
  } else {
    int bytes = elem_bytes(buffer->elem);
    for (int i = bytes - 1; i >= 0; i--)
      value = value * 256 + at[i];
    if (value >> (8 * bytes - 1))
      value -= (int64_t)1 << (8 * bytes);
  }
  if (value == INT32_MIN)
    return (int)strlen(strcpy(text, "INT32_MIN"));
  return snprintf(text, 32, "%" PRId64, value);
}

/* One element as text; `at` are its bytes. */
static size_t element_text(char *text, const Buffer *buffer, const unsigned char *at) {
  if (buffer->elem != ELEM_F32)
    return (size_t)int_text(text, buffer, at);
  uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
  float value;
  memcpy(&value, &bits, sizeof value);
  return (size_t)c_f32(text, value);
}

/* Eight numbers a line (sixteen integers), read and written a line at a time: there can be millions of them. */
static bool weight_lines_c(const WeightReader *reader, Writer *w) {
  const Buffer *buffer = reader->buffer;
  int64_t n = buffer_elems(buffer), per_line = buffer->elem == ELEM_F32 ? 8 : 16;
  int bytes = elem_bytes(buffer->elem);
  unsigned char data[4096];
  const int64_t at_a_time = (int64_t)sizeof data / bytes / per_line * per_line;
  for (int64_t begin = 0; begin < n && !w->dropped; begin += at_a_time) {
    int64_t now = n - begin < at_a_time ? n - begin : at_a_time;
    if (!weight_read(reader, begin, now, data))
      return false;
    char line[1024];
    size_t len = 0;
    for (int64_t i = 0; i < now; i++) {
      bool first = i % per_line == 0, last = begin + i == n - 1;
      memcpy(line + len, "    ", 4);
      len += first ? 4 : 1;
      len += element_text(line + len, buffer, data + i * bytes);
      if (!last)
        line[len++] = ',';
      if (!last && i % per_line != per_line - 1)
        continue;
      line[len++] = '\n';
      write_bytes(w, line, len);
      len = 0;
    }
  }
  return true;
}

/* `static const float NAME[] = {...};` */
static bool weight_array_c(Emitter *e, Writer *w, const Buffer *buffer, const char *name) {
  write_f(w, "\n/* %s%s%s */\n%s_SECTION_WEIGHTS %s_WEIGHT_ALIGNED static const %s %s[%" PRId64 "] = {\n",
          c_shape(e->arena, buffer), buffer->note ? ": " : "", buffer->note ? c_comment_text(e->arena, buffer->note) : "",
          e->upper, e->upper, c_type(buffer->elem), name, buffer_elems(buffer));
  Arena *scratch = arena_new();
  WeightReader reader = weight_reader(scratch, buffer, e->options->weights, e->diag, false);
  bool ok = weight_lines_c(&reader, w);
  arena_free(scratch);
  write_text(w, "};\n");
  return ok;
}

/* Buffers with the same contents share an array, named after the first; in variants too. */
static void name_weights(Emitter *e) {
  for (size_t i = 0; i < e->layout.n; i++) {
    c_begin_variant(e, e->layout.places[i].variant);
    const Buffer *buffer = e->layout.places[i].buffer;
    const Buffer *first = e->layout.places[e->layout.places[i].first].buffer;
    if (first != buffer) {
      if (c_map_get(&e->used, buffer))
        c_mark_used(e, first);
      c_set_name(e, buffer, c_name_of(e, first));
    }
    if (!c_map_get(&e->names, buffer))
      c_set_name(e, buffer, c_claim_global(e, buffer->name));
  }
}

/* Those of a variant that no variant before it has. */
static bool weights_c(Emitter *e, Writer *w, size_t variant) {
  for (size_t i = 0; i < e->layout.n; i++) {
    const WeightPlace *place = &e->layout.places[i];
    if (place->variant != variant || place->first != i || !c_map_get(&e->used, place->buffer))
      continue;
    if (!weight_array_c(e, w, place->buffer, c_name_of(e, place->buffer)))
      return false;
  }
  return true;
}

/* ---- the file ---- */

/* Measured with gcc 12. MobileNetV1 with AVX-512: with its own choices the tile of 14 pixels by 2
 * vectors spills ten of its 28 accumulators at every step, with these none. With AVX2, predictive
 * commoning keeps 18 pixels of the first convolution for the iterations after next, in memory: 333
 * and 210 us. */
static void tile_options(Writer *w) {
  write_text(w, "\n/* gcc would fill the registers with loads made early, and then spill sums. */\n"
                "#if defined(__GNUC__) && !defined(__clang__)\n"
                "#pragma GCC optimize(\"no-gcse\", \"no-move-loop-invariants\", "
                "\"no-predictive-commoning\", \"ira-region=one\")\n#endif\n");
}

/* Inlined, kernels would share one allocation of the registers, and RESTRICT would say less. clang puts vectors that have no
 * register at addresses of the stack that are aligned to 16 bytes, where half of them lie across two lines: MobileNetV2 with
 * AVX-512 took 1 to 3 % longer in half of its processes. */
static void kernel_macro(Emitter *e, Writer *w) {
  bool used = false;
  for (size_t i = 0; i < e->variants->n; i++)
    used |= e->variants->at[i].target->vector_extensions;
  if (used)
    write_f(w,
            "#if defined(__clang__) && defined(__x86_64__) /* which aligns the stack no further by itself */\n"
            "#define %s_KERNEL __attribute__((noinline, force_align_arg_pointer))\n"
            "#else\n#define %s_KERNEL __attribute__((noinline))\n#endif\n",
            e->upper, e->upper);
}

/* The file must be compiled for what it is for. */
static void condition_c(Emitter *e, Writer *w) {
  const Target *target = e->variants->at[0].target;
  if (e->variants->n > 1 && target->c_architecture)
    write_f(w, "\n#if !defined(__GNUC__) || !(%s)\n#error \"compile with gcc or clang, for the architecture of %s\"\n#endif\n",
            target->c_architecture, target->name);
  else if (target->c_condition)
    write_f(w,
            "\n#if !defined(__GNUC__)\n#error \"compile with gcc or clang\"\n#elif !(%s)\n"
            "#error \"compile with %s\"\n#endif\n",
            target->c_condition, target->c_flags);
}

static const char *target_names(Emitter *e) {
  const char *names = e->variants->at[0].target->name;
  for (size_t i = 1; i < e->variants->n; i++)
    names = arena_printf(e->arena, "%s, %s", names, e->variants->at[i].target->name);
  return names;
}

static void opening_c(Emitter *e, Writer *w) {
  const char *p = e->upper;
  const Program *program = e->variants->at[0].program;
  write_f(w,
          "/* Network %s, compiled by mncc for target%s %s. Generated: edit the network instead.\n"
          " * The header describes inputs, outputs and memory. This file belongs to the author of\n"
          " * the network; mncc claims no rights in it. */\n",
          c_comment_text(e->arena, program->name), e->variants->n > 1 ? "s" : "", target_names(e));
  write_f(w, "#include \"%s\"\n\n", e->options->header_name);
  if (e->needs_math)
    write_text(w, "#include <math.h>\n");
  if (e->needs_string)
    write_text(w, "#ifdef __cplusplus\n#include <string.h>\n#endif\n");
  if (e->needs_math || e->needs_string)
    write_text(w, "\n");
  write_f(w,
          "#if %s_ABI_VERSION != 1 || %s_ARENA_BYTES != %" PRId64 "\n"
          "#error \"the header does not belong to this file\"\n#endif\n",
          p, p, variants_arena_bytes(e->variants));
  if (program->threads > 1)
    write_f(w, "#if %s_THREADS != %d\n#error \"the header does not belong to this file\"\n#endif\n", p,
            program->threads);
  condition_c(e, w);
  write_text(
      w, "\n/* Results are defined to the bit: no reordering, no a * b + c in one rounding. */\n"
         "#ifdef __FAST_MATH__\n#error \"compile without -ffast-math\"\n#endif\n"
         "#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n"
         "#elif defined(__GNUC__)\n#pragma GCC optimize(\"fp-contract=off\")\n"
         "#elif defined(_MSC_VER)\n#pragma fp_contract(off)\n"
         "#else\n#pragma STDC FP_CONTRACT OFF\n#endif\n");
  if (e->variants->n == 1 && e->variants->at[0].target->vector_extensions)
    tile_options(w);
  write_f(w,
          "\n#if !defined(__cplusplus)\n#define %s_RESTRICT restrict\n"
          "#elif defined(__GNUC__)\n#define %s_RESTRICT __restrict\n"
          "#else\n#define %s_RESTRICT\n#endif\n",
          p, p, p);
  kernel_macro(e, w);
  if (e->layout.n && !e->options->weights_as_blob)
    write_f(w,
            "#if defined(%s_ALIGNED)\n#define %s_WEIGHT_ALIGNED %s_ALIGNED(%s_WEIGHT_ALIGN)\n"
            "#else\n#define %s_WEIGHT_ALIGNED\n#endif\n",
            p, p, p, p, p);
}

/* One macro of the file itself: measured on MobileNetV1, gcc -O3 without it is 3.5 times slower
 * than with it and than gcc -O2; clang finds the vectors by unrolling. And gcc 12.2 -O3 -mavx
 * miscompiles three unrolled lanes under a condition (test/run/conditional-lanes.test). */
static void lane_loop_macro(Writer *w) {
  write_text(
      w,
      "\n/* gcc would unroll loops over lanes before it looks for vectors, and then find none. */\n"
      "#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__) && \\\n"
      "    (defined(__SSE2__) || defined(__ARM_NEON) || defined(__VSX__) || "
      "defined(__riscv_vector))\n"
      "#define LANE_LOOP _Pragma(\"GCC unroll 1\")\n#else\n#define LANE_LOOP\n#endif\n");
}

/* The schedule has shaped these loops to the registers; clang's copies of them would spill. */
static void vector_loop_macro(Writer *w) {
  write_text(w, "\n/* Loops that fill the registers already: copies of them would spill. */\n"
                "#if defined(__clang__)\n"
                "#define VECTOR_LOOP _Pragma(\"clang loop unroll(disable)\")\n"
                "#elif __GNUC__ >= 8\n#define VECTOR_LOOP _Pragma(\"GCC unroll 1\")\n"
                "#else\n#define VECTOR_LOOP\n#endif\n");
}

static void intrinsics_c(Writer *w) {
  write_text(w, "\n#if defined(__SSE2__)\n#include <immintrin.h>\n"
                "#elif defined(__ARM_NEON)\n#include <arm_neon.h>\n"
                "#elif defined(__ARM_FEATURE_MVE)\n#include <arm_mve.h>\n#endif\n");
}

/* The text of one variant: what stands before its weights, and what behind. */
typedef struct VariantText {
  Writer head, functions;
} VariantText;

static void claim_names(Emitter *e) {
  static const char *const always[] = {"run", "weights", "parallel", "profile_begin", "profile_end", "has_8_bit_bytes",
                                       "has_32_bit_float"};
  e->own = e->prefix;
  if (e->variants->n > 1)
    c_claim_global(e, "target");
  for (size_t i = 0; i < sizeof always / sizeof *always; i++)
    c_claim_global(e, always[i]);
  for (size_t i = 0; i < e->variants->n; i++) {
    c_begin_variant(e, i);
    if (e->variants->n > 1)
      c_set_name(e, e->program, c_claim_global(e, "run"));
    for (size_t k = 0; k < e->program->kernels.len; k++)
      if (c_map_get(&e->used, e->program->kernels.at[k]))
        c_set_name(e, e->program->kernels.at[k], c_claim_global(e, e->program->kernels.at[k]->name));
  }
  if (!e->options->weights_as_blob)
    name_weights(e);
}

static void variant_c(Emitter *e, size_t i, VariantText *text) {
  c_begin_variant(e, i);
  writer_init(&text->head);
  writer_init(&text->functions);
  e->w = &text->functions;
  for (size_t k = 0; k < e->program->kernels.len; k++)
    if (c_map_get(&e->used, e->program->kernels.at[k]))
      kernel_c(e, e->program->kernels.at[k]);
  c_parallel_functions(e);
  run_c(e);
  for (size_t k = 0; k < e->helpers.len; k++)
    e->needs_string = e->needs_string || c_helper_uses_memcpy(&e->helpers.at[k]);
  c_write_prelude(e, &text->head);
  c_write_helpers(e, &text->head);
}

static bool write_variant(Emitter *e, Writer *w, size_t i, const VariantText *text) {
  c_begin_variant(e, i);
  c_open_target(e, w);
  if (e->variants->n > 1 && e->target->vector_extensions)
    tile_options(w);
  write_bytes(w, text->head.data, text->head.len);
  bool ok = e->options->weights_as_blob || weights_c(e, w, i);
  write_bytes(w, text->functions.data, text->functions.len);
  c_close_target(e, w);
  return ok;
}

static bool write_file_c(Emitter *e, Writer *w, const VariantText *texts) {
  opening_c(e, w);
  if (e->needs_lane_loop)
    lane_loop_macro(w);
  if (e->needs_vector_loop)
    vector_loop_macro(w);
  if (e->needs_intrinsics)
    intrinsics_c(w);
  bool ok = true;
  for (size_t i = 0; i < e->variants->n && ok; i++)
    ok = write_variant(e, w, i, &texts[i]);
  c_dispatch(e, w);
  return ok;
}

bool emit_c(Writer *w, const Variants *variants, const EmitOptions *options, Diag *diag) {
  Emitter emitter = {.arena = arena_new(), .variants = variants, .options = options, .diag = diag};
  Emitter *e = &emitter;
  e->prefix = c_prefix(variants->at[0].program, options);
  e->upper = c_upper(e->arena, e->prefix);
  e->own_prefixes = ARENA_ARRAY(e->arena, const char *, variants->n);
  for (size_t i = 0; i < variants->n; i++)
    e->own_prefixes[i] = variant_prefix(e->arena, variants, i, e->prefix);
  e->layout = weight_layout(e->arena, variants);
  e->file_names = c_names_new(e->arena, NULL);
  for (size_t i = 0; i < variants->n; i++) {
    c_begin_variant(e, i);
    c_survey(e, &e->program->entry);
  }
  e->index_type = e->largest < 2147483647.0 ? "int32_t" : "int64_t";
  claim_names(e);

  VariantText *texts = ARENA_ARRAY(e->arena, VariantText, variants->n);
  for (size_t i = 0; i < variants->n; i++)
    variant_c(e, i, &texts[i]);
  bool ok = write_file_c(e, w, texts);
  for (size_t i = 0; i < variants->n; i++) {
    writer_free(&texts[i].head);
    writer_free(&texts[i].functions);
  }
  arena_free(e->arena);
  return ok;
}
