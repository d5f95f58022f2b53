/* stb_image decodes and stb_image_resize resizes; PGM and PPM are read here.
 *
 * stb takes what is missing from a truncated file as zeros, and looks at no
 * checksum. So each kind of file is walked first to see that it is whole: the
 * checksums of PNG, the end marker of JPEG, the number of bytes of the others. */
#include "commands/image.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "support/output.h"

static const Loc nowhere = {0};

/* Larger ones are taken for mistakes: in memory they have up to four bytes a pixel. */
enum { MAX_SIDE = 1 << 16, MAX_PIXELS = 100000000 };

#if MNCC_HAVE_IMAGES
/* Not all of stb's functions are used; gcc says so at the end of the file. */
#pragma GCC diagnostic ignored "-Wunused-function"
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS MAX_SIDE
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb_image_resize.h>
#endif

/* A file in memory. */
typedef struct Bytes {
  const uint8_t *at;
  size_t len;
} Bytes;

/* Null, or what is wrong with the file. */
typedef const char *WholeCheck(Bytes file);

typedef struct Kind {
  const char *name;
  const char *suffixes[4];
  const char *magic; /* null: a kind that is not read */
  WholeCheck *check; /* null: see read_pnm */
} Kind;

static uint32_t big32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t little32(const uint8_t *at) {
  return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static const char cut_short[] = "the file is cut short";

/* ---- is the file whole? ---- */

static const char *check_size(int64_t width, int64_t height) {
  if (width < 1 || height < 1)
    return "the picture has no pixels";
  if (width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS)
    return "the picture is larger than 100 million pixels, or one of its sides than 65536";
  return NULL;
}

/* The checksum of PNG's chunks (CRC-32, ISO 3309). */
static uint32_t crc32(const uint8_t *at, size_t len) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < len; i++) {
    crc ^= at[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

/* Chunks of length, type, data and checksum, from IHDR to IEND. */
static const char *check_png(Bytes file) {
  if (file.len < 33)
    return cut_short;
  const char *problem = check_size(big32(file.at + 16), big32(file.at + 20));
  if (problem)
    return problem;
  for (size_t at = 8; at + 12 <= file.len;) {
    size_t len = big32(file.at + at);
    if (len > file.len - at - 12)
      return cut_short;
    if (crc32(file.at + at + 4, len + 4) != big32(file.at + at + 8 + len))
      return "the file is damaged (a checksum is wrong)";
    if (memcmp(file.at + at + 4, "IEND", 4) == 0)
      return NULL;
    at += len + 12;
  }
  return cut_short;
}

/* Segments of marker and length; behind the head of a scan come its data, in which 0xff is followed by 0 or by a
 * restart marker. Up to the end marker. */
static const char *check_jpeg(Bytes file) {
  enum { SOI = 0xd8, EOI = 0xd9, SOS = 0xda, RESTART = 0xd0, FILL = 0xff };
  size_t at = 2;
  while (at + 2 <= file.len) {
    if (file.at[at] != 0xff)
      return "the file is damaged (there is no marker where one must be)";
    uint8_t marker = file.at[at + 1];
    if (marker == EOI)
      return NULL;
    if (marker == FILL) {
      at++;
      continue;
    }
    if (at + 4 > file.len)
      return cut_short;
    at += 2 + ((size_t)file.at[at + 2] << 8 | file.at[at + 3]);
    if (marker != SOS)
      continue;
    while (at + 2 <= file.len && (file.at[at] != 0xff || file.at[at + 1] == 0 || (file.at[at + 1] & 0xf8) == RESTART))
      at++;
  }
  return cut_short;
}

/* As many rows as the head says, from where it says; nothing is compressed in those that stb reads. */
static const char *check_bmp(Bytes file) {
  if (file.len < 30)
    return cut_short;
  bool old = little32(file.at + 14) == 12; /* OS/2's head has 16-bit sides */
  uint64_t width = old ? little32(file.at + 18) & 0xffff : little32(file.at + 18);
  int64_t height = old ? (int64_t)(little32(file.at + 18) >> 16) : (int64_t)(int32_t)little32(file.at + 22);
  uint64_t bits = (old ? little32(file.at + 22) >> 16 : little32(file.at + 26) >> 16) & 0xffff;
  uint64_t rows = (uint64_t)(height < 0 ? -height : height);
  const char *problem = check_size((int64_t)width, (int64_t)rows);
  if (problem)
    return problem;
  uint64_t bytes = (width * bits + 31) / 32 * 4 * rows, start = little32(file.at + 10);
  return start > file.len || bytes > file.len - start ? cut_short : NULL;
}

static const Kind kinds[] = {
    {"PNG", {".png"}, "\x89PNG\r\n\x1a\n", check_png},
    {"JPEG", {".jpg", ".jpeg", ".jpe"}, "\xff\xd8\xff", check_jpeg},
    {"BMP", {".bmp"}, "BM", check_bmp},
    {"PPM", {".ppm", ".pnm", ".pgm"}, "P", NULL},
    {"GIF", {".gif"}, NULL, NULL},
    {"WebP", {".webp"}, NULL, NULL},
    {"TIFF", {".tif", ".tiff"}, NULL, NULL},
    {"HEIF", {".heic", ".heif", ".avif"}, NULL, NULL},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const Kind *kind_of_name(const char *path) {
  size_t n = strlen(path);
  for (size_t k = 0; k < KINDS; k++)
    for (int s = 0; s < 4 && kinds[k].suffixes[s]; s++) {
      size_t len = strlen(kinds[k].suffixes[s]);
      if (n > len && strcasecmp(path + n - len, kinds[k].suffixes[s]) == 0)
        return &kinds[k];
    }
  return NULL;
}

bool image_is(const char *path) { return strncmp(path, "random:", 7) != 0 && kind_of_name(path); }

#if MNCC_HAVE_IMAGES

/* A decoded picture: [height][width][channels], malloc'd. Channels: grey, grey and alpha, red green blue, and alpha. */
typedef struct Picture {
  int width, height, channels;
  uint8_t *pixels;
} Picture;

/* ---- PGM and PPM ---- */

/* The next number of the head, behind spaces and comments; -1: there is none. */
static int64_t pnm_number(Bytes file, size_t *at) {
  while (*at < file.len && (file.at[*at] == '#' || strchr(" \t\r\n\v\f", file.at[*at])))
    if (file.at[*at] == '#')
      while (*at < file.len && file.at[*at] != '\n')
        ++*at;
    else
      ++*at;
  int64_t value = -1;
  for (; *at < file.len && file.at[*at] >= '0' && file.at[*at] <= '9' && value < INT32_MAX; ++*at)
    value = (value < 0 ? 0 : value) * 10 + (file.at[*at] - '0');
  return value;
}

static const char *read_pnm(Bytes file, Picture *picture) {
  if (file.len < 2 || (file.at[1] != '5' && file.at[1] != '6'))
    return "only binary PGM and PPM (P5 and P6) are read";
  size_t at = 2;
  int64_t width = pnm_number(file, &at), height = pnm_number(file, &at), most = pnm_number(file, &at);
  if (width < 0 || height < 0 || most < 1 || most > 65535)
    return at < file.len ? "the head is damaged" : cut_short;
  const char *problem = check_size(width, height);
  if (problem)
    return problem;
  at++; /* the one space behind the head */
  int64_t bytes = most > 255 ? 2 : 1;
  *picture = (Picture){(int)width, (int)height, file.at[1] == '5' ? 1 : 3, NULL};
  int64_t n = width * height * picture->channels;
  if (at > file.len || (uint64_t)(n * bytes) > file.len - at)
    return cut_short;
  picture->pixels = malloc((size_t)n);
  if (!picture->pixels)
    return "there is no memory for the picture";
  for (int64_t i = 0; i < n; i++) {
    const uint8_t *sample = file.at + at + (size_t)(i * bytes);
    int64_t value = bytes == 2 ? sample[0] << 8 | sample[1] : sample[0];
    value = value > most ? most : value;
    picture->pixels[i] = (uint8_t)((value * 255 + most / 2) / most);
  }
  return NULL;
}

/* ---- the others ---- */

/* What stb found wrong; often it says nothing. */
static const char *stb_problem(void) {
  return stbi__g_failure_reason ? stbi__g_failure_reason : "the file is damaged";
}

static const char *read_by_stb(Bytes file, Picture *picture) {
  int length = (int)file.len;
  if (stbi_info_from_memory(file.at, length, &picture->width, &picture->height, &picture->channels)) {
    const char *problem = check_size(picture->width, abs(picture->height)); /* less than 0: from the top downwards */
    if (problem)
      return problem;
  }
  stbi__g_failure_reason = NULL;
  picture->pixels = stbi_load_from_memory(file.at, length, &picture->width, &picture->height, &picture->channels, 0);
  return picture->pixels ? NULL : stb_problem();
}

/* ---- channels and size ---- */

/* Luma of ITU-R BT.601. */
static uint8_t grey(const uint8_t *rgb) {
  return (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

static void convert_pixel(const uint8_t *from, int n, uint8_t *to, int wanted) {
  bool coloured = n >= 3;
  for (int c = 0; c < wanted; c++)
    if (c == 3)
      to[c] = n == 4 ? from[3] : n == 2 ? from[1] : 255;
    else if (wanted == 1)
      to[c] = coloured ? grey(from) : from[0];
    else
      to[c] = from[coloured ? c : 0];
}

static const char *convert(Picture *picture, int channels) {
  if (picture->channels == channels)
    return NULL;
  size_t n = (size_t)picture->width * (size_t)picture->height;
  uint8_t *pixels = malloc(n * (size_t)channels);
  if (!pixels)
    return "there is no memory for the picture";
  for (size_t i = 0; i < n; i++)
    convert_pixel(picture->pixels + i * (size_t)picture->channels, picture->channels, pixels + i * (size_t)channels,
                  channels);
  free(picture->pixels);
  picture->pixels = pixels;
  picture->channels = channels;
  return NULL;
}

/* Bilinear, over all pixels that a smaller one covers. The part [left, right) x [top, bottom) of the picture, in shares of its
 * sides, becomes width x height pixels of rows `stride` bytes apart. */
static bool resize_part(const Picture *picture, const float part[4], uint8_t *to, int width, int height, int stride) {
  return stbir_resize_region(picture->pixels, picture->width, picture->height, 0, to, width, height, stride, STBIR_TYPE_UINT8,
                             picture->channels, STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_EDGE_CLAMP,
                             STBIR_FILTER_TRIANGLE, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, NULL, part[0], part[1],
                             part[2], part[3]) != 0;
}

static int rounded_share(int side, int64_t numerator, int64_t denominator) {
  int64_t share = (2 * side * numerator + denominator) / (2 * denominator);
  return (int)(share < 1 ? 1 : share > side ? side : share);
}

static bool resize(const Picture *picture, Fit fit, uint8_t *to, int width, int height) {
  int channels = picture->channels, stride = width * channels;
  if (picture->width == width && picture->height == height) {
    memcpy(to, picture->pixels, (size_t)height * (size_t)stride);
    return true;
  }
  float part[4] = {0, 0, 1, 1};
  /* Is the picture, against the input, too wide? */
  int64_t across = (int64_t)picture->width * height, down = (int64_t)picture->height * width;
  int shown_width = width, shown_height = height;
  switch (fit) {
  case FIT_STRETCH:
    break;
  case FIT_CROP: {
    double left_out = across > down ? 0.5 - 0.5 * (double)down / (double)across : 0.5 - 0.5 * (double)across / (double)down;
    part[across > down ? 0 : 1] = (float)left_out;
    part[across > down ? 2 : 3] = (float)(1 - left_out);
    break;
  }
  case FIT_PAD:
    if (across > down)
      shown_height = rounded_share(height, down, across);
    else
      shown_width = rounded_share(width, across, down);
    memset(to, 0, (size_t)height * (size_t)stride);
    to += (ptrdiff_t)((height - shown_height) / 2) * stride + (ptrdiff_t)((width - shown_width) / 2) * channels;
    break;
  }
  return resize_part(picture, part, to, shown_width, shown_height, stride);
}

/* ---- from file to input ---- */

static const char *decode(Bytes file, const Kind **kind, Picture *picture) {
  *kind = NULL;
  for (size_t k = 0; k < KINDS; k++)
    if (kinds[k].magic && file.len >= strlen(kinds[k].magic) && memcmp(file.at, kinds[k].magic, strlen(kinds[k].magic)) == 0)
      *kind = &kinds[k];
  if (!*kind)
    return "the contents are none of PNG, JPEG, BMP and PPM";
  if (file.len > INT32_MAX)
    return "the file is larger than 2 GB";
  const char *problem = (*kind)->check ? (*kind)->check(file) : NULL;
  if (problem)
    return problem;
  return (*kind)->check ? read_by_stb(file, picture) : read_pnm(file, picture);
}

static const char *picture_to_input(Bytes file, const Kind **kind, const Shape *shape, Fit fit, uint8_t *pixels) {
  Picture picture = {0};
  const char *problem = decode(file, kind, &picture);
  if (!problem)
    problem = convert(&picture, (int)shape->dims[2]);
  if (!problem && !resize(&picture, fit, pixels, (int)shape->dims[1], (int)shape->dims[0]))
    problem = "there is no memory to resize the picture";
  free(picture.pixels);
  return problem;
}

static int read_picture(Diag *diag, const char *path, const Shape *shape, Fit fit, uint8_t *pixels) {
  char *bytes;
  size_t len;
  const char *problem = read_file(path, &bytes, &len);
  if (problem) {
    diag_error(diag, nowhere, "cannot read '%.200s': %s", path, problem);
    return EXIT_IO;
  }
  const Kind *kind;
  problem = picture_to_input((Bytes){(const uint8_t *)bytes, len}, &kind, shape, fit, pixels);
  if (problem)
    diag_error(diag, nowhere, "cannot read '%.200s'%s%s: %s", path, kind ? " as " : "", kind ? kind->name : "", problem);
  free(bytes);
  return problem ? EXIT_USER : EXIT_FINE;
}

#else

static int read_picture(Diag *diag, const char *path, const Shape *shape, Fit fit, uint8_t *pixels) {
  (void)shape;
  (void)fit;
  (void)pixels;
  diag_error(diag, nowhere, "'%.200s': this mncc was built without pictures; give the numbers (.npy, or raw)", path);
  return EXIT_USER;
}

#endif

int image_read(Diag *diag, const char *path, const char *name, const Shape *shape, Fit fit, uint8_t *pixels) {
  const Kind *kind = kind_of_name(path);
  if (kind && !kind->magic) {
    diag_error(diag, nowhere, "'%.200s': %s is not read; there are PNG, JPEG, BMP and PPM", path, kind->name);
    return EXIT_USER;
  }
  bool fits = shape->rank == 3 && (shape->dims[2] == 1 || shape->dims[2] == 3 || shape->dims[2] == 4);
  if (!fits || shape->dims[0] > MAX_SIDE || shape->dims[1] > MAX_SIDE) {
    Arena *scratch = arena_new();
    diag_error(diag, nowhere,
               "'%.200s' is a picture, but input '%s' is %s: a picture becomes [height, width, channels] with 1, 3 or 4 "
               "channels and at most %d rows and columns",
               path, name, shape_text(scratch, shape), (int)MAX_SIDE);
    arena_free(scratch);
    return EXIT_USER;
  }
  return read_picture(diag, path, shape, fit, pixels);
}
