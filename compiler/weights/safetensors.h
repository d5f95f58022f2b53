/* Reading safetensors files: 8 bytes of header length (little endian), a JSON
 * header that maps names to {dtype, shape, data_offsets}, and the data.
 *
 * The file is mapped and read in place. After safetensors_open every tensor is
 * known to lie inside the file, to have as many bytes as its shape and type
 * say, and to share none with another; together they cover the data. */
#ifndef MNCC_WEIGHTS_SAFETENSORS_H
#define MNCC_WEIGHTS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/diag.h"

enum { SAFETENSORS_MAX_RANK = 6 };

typedef struct SafetensorsType {
  const char *name; /* as the header spells it: "BF16" */
  int bytes;
  double (*read)(const unsigned char *at); /* null: known, but not read (integers, 8-bit floats) */
} SafetensorsType;

typedef struct SafetensorsTensor {
  const char *name;
  const SafetensorsType *type;
  int rank;
  int64_t dims[SAFETENSORS_MAX_RANK];
  int64_t elems;
  const unsigned char *data; /* in the mapping, not necessarily aligned */
} SafetensorsTensor;

typedef struct SafetensorsFile {
  void *map;
  size_t map_bytes;
  SafetensorsTensor *tensors; /* in the order of the header */
  size_t n;
} SafetensorsFile;

/* False after an error through diag (at `loc`); then there is nothing to close. */
bool safetensors_open(SafetensorsFile *file, Arena *arena, Diag *diag, Loc loc, const char *path);
void safetensors_close(SafetensorsFile *file);

#endif
