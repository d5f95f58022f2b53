/* Tensors in files: NumPy's .npy (f32 or u8, C order), anything else raw elements
 * in this machine's byte order; "random:SEED" draws reproducible numbers in
 * [-1, 1), or bytes. */
#ifndef MNCC_COMMANDS_TENSOR_FILE_H
#define MNCC_COMMANDS_TENSOR_FILE_H

#include <stdbool.h>

#include "ops/op.h"
#include "support/diag.h"

/* Fills shape_elems(shape) elements of the shape's type, f32 or u8. EXIT_FINE, or the exit status
 * after an error through diag. */
int tensor_read(Diag *diag, const char *path, const char *name, const Shape *shape, void *data);

/* Appends the file's bytes to w: .npy if path ends so, else raw. */
void tensor_write(Writer *w, const char *path, const Shape *shape, const void *data);

#endif
