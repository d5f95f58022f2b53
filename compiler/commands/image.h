/* Pictures as inputs of a network: PNG, JPEG, BMP and binary PGM and PPM files.
 *
 * A picture is decoded to 8 bits a channel, converted to as many channels as the
 * input has, and resized to its height and width. A file that is cut short or
 * damaged is an error, never a picture that is partly right. */
#ifndef MNCC_COMMANDS_IMAGE_H
#define MNCC_COMMANDS_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

/* True if the file's name ends as those of pictures do, also of kinds that are not read. */
bool image_is(const char *path);

/* Decodes `path` into [height][width][channels] bytes of `shape`, which is input `name`'s. EXIT_FINE, or the exit
 * status after an error through diag: an input that is no picture's, a file that cannot be read or is not whole. */
int image_read(Diag *diag, const char *path, const char *name, const Shape *shape, Fit fit, uint8_t *pixels);

#endif
