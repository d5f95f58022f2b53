/* Reads 8 x 8 PGM images and says which digit each shows.
 *
 *     digits samples/7_0240.pgm ...
 *     samples/7_0240.pgm 7 0.957
 *
 * The network is in model.c, which mncc makes from digits.mn; this file only
 * reads images, calls digits_run and looks for the greatest score. Ink is bright:
 * a pixel of maxval is 1, a pixel of 0 is paper. Status 0: all files were read;
 * 1: some were not, with a message for each; 2: no file given. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mnrt.h"
#include "model.h"

enum { SIZE = 8, PIXELS = SIZE * SIZE, CLASSES = 10 };

/* The arrays below are for the network as it stands in digits.mn. */
_Static_assert(DIGITS_IN_IMAGE_BYTES == PIXELS * sizeof(float), "an input of 8 x 8 x 1");
_Static_assert(DIGITS_OUT_SCORES_BYTES == CLASSES * sizeof(float), "ten classes");

/* ---- PGM ---- */

/* The next character of the header; a comment, from # to the end of its line, is one line feed. */
static int header_char(FILE *file) {
  int c = getc(file);
  if (c == '#')
    do
      c = getc(file);
    while (c != '\n' && c != EOF);
  return c;
}

static int is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* A whole number of at most 65535, and the one character behind it; -1 if there is none. */
static int read_number(FILE *file) {
  int c = header_char(file);
  while (is_space(c))
    c = header_char(file);
  if (c < '0' || c > '9')
    return -1;
  int value = 0;
  for (; c >= '0' && c <= '9'; c = header_char(file)) {
    value = value * 10 + (c - '0');
    if (value > 65535)
      return -1;
  }
  return is_space(c) || c == EOF ? value : -1;
}

/* Bytes, or pairs of bytes with the high one first where maxval needs two; -1 at the end. */
static int read_binary(FILE *file, int maxval) {
  int value = getc(file);
  if (value == EOF || maxval < 256)
    return value == EOF ? -1 : value;
  int low = getc(file);
  return low == EOF ? -1 : value * 256 + low;
}

/* Null, or what is wrong with the file. */
static const char *read_pixels(FILE *file, float pixels[PIXELS]) {
  int p = getc(file), kind = getc(file);
  if (p != 'P' || (kind != '2' && kind != '5'))
    return "not a PGM file (P2 or P5)";
  int width = read_number(file), height = read_number(file), maxval = read_number(file);
  if (width < 0 || height < 0 || maxval < 0)
    return "malformed PGM header";
  if (width != SIZE || height != SIZE)
    return "the image is not 8 x 8";
  if (maxval == 0)
    return "the greatest pixel value is 0; it must be 1 to 65535";
  for (int i = 0; i < PIXELS; i++) {
    int value = kind == '5' ? read_binary(file, maxval) : read_number(file);
    if (value < 0)
      return feof(file) ? "the file ends before the last pixel" : "malformed pixel";
    if (value > maxval)
      return "a pixel is greater than the greatest value of the header";
    pixels[i] = (float)value / (float)maxval;
  }
  return NULL;
}

static const char *read_image(const char *path, float pixels[PIXELS]) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return strerror(errno);
  errno = 0;
  const char *error = read_pixels(file, pixels);
  if (ferror(file))
    error = errno ? strerror(errno) : "cannot be read";
  fclose(file);
  return error;
}

/* ---- the network ---- */

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: digits FILE.pgm ...\n");
    return 2;
  }
  void *arena = mnrt_arena_new(DIGITS_ARENA_BYTES, DIGITS_ARENA_ALIGN);
  if (!arena) {
    fprintf(stderr, "digits: out of memory\n");
    return 1;
  }
  int status = 0;
  for (int i = 1; i < argc; i++) {
    float image[PIXELS], logits[CLASSES], scores[CLASSES];
    const char *error = read_image(argv[i], image);
    if (error) {
      fprintf(stderr, "digits: %s: %s\n", argv[i], error);
      status = 1;
      continue;
    }
    digits_run(arena, image, logits, scores);
    int best = 0;
    for (int digit = 1; digit < CLASSES; digit++)
      if (scores[digit] > scores[best])
        best = digit;
    printf("%s %d %.3f\n", argv[i], best, (double)scores[best]);
  }
  mnrt_arena_free(arena);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "digits: cannot write the results\n");
    status = 1;
  }
  return status;
}
