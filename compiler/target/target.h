/* Targets and the output languages.
 *
 * A target is a row of data (targets.def names them, one const struct each in
 * a file of its own); passes read its fields and never its name. An output
 * language turns a planned Program into text or an object, and decides nothing. */
#ifndef MNCC_TARGET_TARGET_H
#define MNCC_TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "support/arena.h"
#include "support/diag.h"
#include "support/writer.h"
#include "weights/weights.h"

/* Instructions that a processor of an architecture may have or lack. */
typedef struct CpuFeature {
  const char *name;  /* as gcc and clang know it, in __builtin_cpu_supports and as a target of code: "avx2" */
  const char *macro; /* which they define where code may use it: "__AVX2__" */
  int bit;           /* of libgcc's and compiler-rt's words: from 0 in __cpu_model's features, from 32 in __cpu_features2 */
} CpuFeature;

typedef struct CpuFeatures {
  const CpuFeature *at;
  size_t n;
} CpuFeatures;

/* An instruction that adds four products of neighbouring bytes to an i32, in every lane: dot4 of the loops (loop.h), exact, so
 * without saturation of the products or of the sum. The second factor is i8, as dot4's is. */
typedef struct DotForm {
  int lanes;             /* of the sums; the factors have four times as many */
  const char *intrinsic; /* LLVM's name, without types; it takes sums and factors */
  const char *c;         /* C: the same, an expression of the factors a and b and the sums c, whose vector type is T */
} DotForm;

typedef struct DotProduct {
  const char *name;     /* "vpdpbusd" */
  Elem first;           /* ELEM_U8 or ELEM_I8: what the first factor must be. With the other one, dot4 is multiplications and sums */
  const char *feature;  /* LLVM's, without which its intrinsics cannot be used: "avx512vnni" */
  const DotForm *forms; /* the widest first */
  size_t n;
} DotProduct;

typedef struct Target {
  const char *name;        /* "generic" */
  const char *description; /* one line for --print-targets */
  const char *triple;      /* LLVM's; null: the host's */
  const char *cpu;         /* LLVM's; "" : the triple's baseline */
  const char *features;    /* LLVM's "+avx2,+fma"; "" */
  int vector_bytes;        /* what `vector` loops aim at */
  int vector_registers;    /* for tile choices */
  int64_t l1_bytes, l2_bytes; /* data caches of one core; 0: none to count on, and code is kept small instead */
  int64_t macs_per_line;   /* f32 multiply-adds of one core in the time in which memory delivers a line of 64 bytes; 0: weights are
                            * not fetched ahead */
  bool fma;                /* multiply-adds become fma in the loops; never decided later */
  const DotProduct *dot_product; /* null: dot4 is multiplications and sums, whatever its factors */
  bool memory_operands;    /* arithmetic takes operands from memory: what several instructions load is made a value, or C compilers
                            * load it anew for each */
  bool vector_extensions;  /* C: the vector types of gcc and clang; else strict C99 */
  const char *c_condition; /* C: what the preprocessor must find true; null: anything will do */
  const char *c_flags;     /* C: what makes it true, for the message otherwise */
  const char *c_architecture; /* C: what the preprocessor finds true for every processor of the architecture; null: any will do */
  CpuFeatures dispatch;    /* what code in a file for several targets may use beyond the architecture's baseline, and what the
                            * processor is asked for before it runs; none: it cannot be asked, so that in such a file the
                            * target can only be the last */
  int buffer_align;        /* bytes every arena and weight buffer is aligned to; a power of two */
} Target;

/* The machine that mncc runs on, "native": the best row that it can execute, with its own caches and processor. */
const Target *target_native(Arena *arena);
/* By name; null if unknown. */
const Target *target_find(const char *name);
size_t target_count(void);
const Target *target_at(size_t i);
/* A table of them for people, the machine at hand first. */
void target_print_all(Writer *w);
/* The widest form for a first factor of this type that divides `lanes`; null: there is none, or no such instruction. */
const DotForm *dot_product_form(const DotProduct *dot, Elem first, int lanes);

/* A program planned for a target. */
typedef struct Variant {
  const Program *program;
  const Target *target;
} Variant;

/* What a file holds: one, or the same network for several targets, of which the file runs the first that the processor
 * can execute; the best comes first, and the last, the fallback, is taken without a question. The programs have the
 * same inputs, outputs, stages and number of threads; the targets have one triple. */
typedef struct Variants {
  const Variant *at;
  size_t n;
} Variants;
int64_t variants_arena_bytes(const Variants *variants); /* the largest; 0: none uses an arena */
int variants_arena_align(const Variants *variants);
int variants_buffer_align(const Variants *variants); /* of every buffer in any of them */
/* The prefix of what belongs to variant i: the file's, or "P_x86_64_v4" where there are several. */
const char *variant_prefix(Arena *arena, const Variants *variants, size_t i, const char *prefix);

/* Everything about the output that is not in the program. */
typedef struct EmitOptions {
  const char *prefix;        /* C identifier; symbols are PREFIX_run, macros PREFIX_… in upper case */
  bool profile;              /* P_profile_begin and P_profile_end, which the user defines, are called around each stage */
  bool weights_as_blob;      /* P_run takes `const void *weights` first */
  const Weights *weights;    /* evaluates recipes; may be null if no buffer has a recipe */
  const char *header_name;   /* file name in #include "…" */
  const char *file_name;     /* base name of the output, for comments */
  const char *triple, *cpu, *features; /* LLVM: override the target's where not null */
  int optimize;              /* LLVM: 0..3 */
} EmitOptions;

/* ---- weights as bytes (emit_weights.c): shared by all output languages ---- */

/* One weight buffer's place in the blob. */
typedef struct WeightPlace {
  const Buffer *buffer;
  int64_t offset, bytes;
  size_t variant; /* whose buffer it is */
  size_t first; /* the place that holds the bytes: its own number, or that of an earlier one with the same contents */
} WeightPlace;
typedef struct WeightLayout {
  WeightPlace *places; /* in program order, one variant after the other; buffers whose contents are equal recipes share one place */
  size_t n;
  const WeightPlace **by_buffer; /* for weight_place: sorted by the buffers' addresses */
  int64_t total_bytes; /* P_WEIGHT_BYTES */
  int align;           /* that the blob starts at: the strictest in it, since offsets count from there */
} WeightLayout;
WeightLayout weight_layout(Arena *arena, const Variants *variants);
const WeightPlace *weight_place(const WeightLayout *layout, const Buffer *buffer);
/* The contents of a weight buffer, any stretch of its elements at a time, as its element type in target byte order (little endian unless
 * big_endian). False after an error through diag: a value that is not finite, or does not fit the element type. */
typedef struct WeightReader {
  const Buffer *buffer;
  Diag *diag;
  bool big_endian;
  struct RecipeReader *recipe; /* null: the buffer has values */
} WeightReader;
WeightReader weight_reader(Arena *arena, const Buffer *buffer, const Weights *weights, Diag *diag, bool big_endian);
bool weight_read(const WeightReader *reader, int64_t begin, int64_t n, void *out);
/* All of it: `out` has buffer_bytes. */
bool weight_bytes(const Buffer *buffer, const Weights *weights, Diag *diag, bool big_endian, void *out);

/* ---- C (emit_c.c, emit_header.c) ---- */

/* The header: interface macros, declarations, comments. The same for C and objects. */
void emit_header(Writer *w, const Variants *variants, const EmitOptions *options);
/* C99, strict or with vector types. False after an error through diag. */
bool emit_c(Writer *w, const Variants *variants, const EmitOptions *options, Diag *diag);
/* A few lines of GNU assembly that put the blob `file` into a program as PREFIX_weights. */
void emit_blob_assembly(Writer *w, const Variants *variants, const EmitOptions *options, const char *file);

/* ---- LLVM (emit_llvm.c, object.c, jit.c; absent with -DMNCC_LLVM=OFF) ---- */

typedef enum LlvmOutput { LLVM_TEXT, LLVM_BITCODE, LLVM_ASSEMBLY, LLVM_OBJECT } LlvmOutput;
/* Appends the module in the wanted form to w; LLVM_TEXT is printed after optimisation unless optimize is 0.
 * False after an error through diag (unknown triple, backend not built in). */
bool emit_llvm(Writer *w, const Variants *variants, const EmitOptions *options, LlvmOutput output, Diag *diag);

/* In-process execution: compiles once, runs many times. */
typedef struct Jit Jit;
Jit *jit_new(const Program *program, const Target *target, const EmitOptions *options, Diag *diag); /* null after an error */
/* inputs and outputs: one pointer per program input and output, in position order; memory is the caller's.
 * Arena and weights are in large pages where the system has them, and belong to the Jit. */
void jit_run(Jit *jit, const void *const *inputs, void *const *outputs);
/* What runs call before and after each call of a stage's kernels, if options->profile was set. `hooks` stays the caller's
 * and must outlive the runs; null: nothing is called. */
typedef struct JitHooks {
  void (*begin)(void *user, int stage); /* stage: ProgramStage.index */
  void (*end)(void *user, int stage);
  void *user;
} JitHooks;
void jit_set_hooks(Jit *jit, const JitHooks *hooks);
/* Puts code, weights and arena into other memory, as if all had been compiled anew: how fast something runs depends on where it
 * happens to lie. False after an error. */
bool jit_move(Jit *jit, Diag *diag);
void jit_free(Jit *jit);

#endif
