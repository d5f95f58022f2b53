/* What the C file and its header must agree on: identifiers, type names, the
 * signature of PREFIX_run, text that is safe inside a comment. */
#ifndef MNCC_TARGET_C_TEXT_H
#define MNCC_TARGET_C_TEXT_H

#include <stdbool.h>

#include "target/target.h"

/* Identifiers that are taken in a scope of the generated file. An inner scope
 * also avoids what its outer scope holds. */
typedef struct CNames CNames;
/* With outer null: the file's scope, where keywords and the names of the
 * standard headers are taken already. */
CNames *c_names_new(Arena *arena, const CNames *outer);
/* `wanted` itself if it may be used and is free, else a variation: int_, x_2. */
const char *c_names_claim(CNames *names, const char *wanted);

const char *c_prefix(const Program *program, const EmitOptions *options);
/* In upper case, for macros. */
const char *c_upper(Arena *arena, const char *text);
/* float, int8_t, ...; int for masks. */
const char *c_type(Elem elem);
/* A finite f32 as a C constant, the shortest that reads back as the same: "0.1f", "6.0f",
 * "-1e-05f". Returns its length. Millions of these are written, so it is made without printf where
 * it can be. */
int c_f32(char text[32], float value);
/* Between comment marks: no mark, trigraph or line break survives. */
const char *c_comment_text(Arena *arena, const char *text);
/* "f32[112][112][32]" */
const char *c_shape(Arena *arena, const Buffer *buffer);

/* Inputs or outputs in position order. */
typedef struct CPorts {
  const Buffer **at;
  size_t n;
} CPorts;
CPorts c_ports(Arena *arena, const Program *program, BufferKind kind);

/* The parameters of PREFIX_run: what the header declares and the C file defines. The functions of variants have the same. */
typedef struct CSignature {
  CPorts inputs, outputs;
  const char *parallel; /* null unless the program is for several threads */
  const char *weights;  /* null unless the weights are a blob */
  const char *arena;
  const char **input_names, **output_names;
  const char *parameters; /* "(void *arena, const float *image, float *scores)" */
  const char *arguments;  /* "(arena, image, scores)" */
  const char *text;       /* "void P_run(void *arena, const float *image, float *scores)" */
} CSignature;
CSignature c_signature(Arena *arena, const Program *program, const EmitOptions *options,
                       CNames *names);

#endif
