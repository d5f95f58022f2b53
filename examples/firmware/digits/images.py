#!/usr/bin/env python3
"""Turns PGM files into images.h: an array of stored images for the firmware.

The files are binary PGM (P5) of 8 x 8 pixels of one byte, named LABEL_anything.pgm.
"""

import argparse
import os
import re
import sys

SIZE = 8

HEAD = f"""/* Made by images.py: 8 x 8 images and what they show. */
#ifndef IMAGES_H
#define IMAGES_H

typedef struct {{
  const char *name;
  unsigned char label;
  unsigned char maxval; // the value of full ink
  unsigned char pixels[{SIZE * SIZE}];
}} StoredImage;

"""


def read_pgm(path):
    """The greatest value and the pixels; ValueError says what is wrong."""
    with open(path, "rb") as file:
        data = file.read()
    header = re.match(rb"P5\s+(\d+)\s+(\d+)\s+(\d+)\s", data)
    if not header:
        raise ValueError("not a binary PGM file without comments")
    width, height, maxval = (int(number) for number in header.groups())
    pixels = data[header.end() :]
    if (width, height) != (SIZE, SIZE) or len(pixels) != SIZE * SIZE:
        raise ValueError(f"the image is not {SIZE} x {SIZE}")
    if not 1 <= maxval <= 255 or max(pixels) > maxval:
        raise ValueError("pixels must be at most maxval, and maxval 1 to 255")
    return maxval, pixels


def read_label(path):
    label = re.match(r"(\d)_", os.path.basename(path))
    if not label:
        raise ValueError("the name does not begin with a digit and _")
    return int(label.group(1))


def main():
    parser = argparse.ArgumentParser(description="turn PGM files into a C header")
    parser.add_argument("files", nargs="+", metavar="LABEL_NAME.pgm")
    parser.add_argument("-o", "--output", required=True, help="the header")
    options = parser.parse_args()

    entries = []
    for path in options.files:
        try:
            label = read_label(path)
            maxval, pixels = read_pgm(path)
        except (OSError, ValueError) as error:
            sys.exit(f"images.py: {path}: {error}")
        name = os.path.splitext(os.path.basename(path))[0]
        rows = [
            "     " + ", ".join(f"{pixel:2}" for pixel in pixels[y * SIZE : y * SIZE + SIZE])
            for y in range(SIZE)
        ]
        entries.append(f'    {{"{name}", {label}, {maxval}, {{\n' + ",\n".join(rows) + "}},\n")
    with open(options.output, "w", encoding="ascii") as file:
        file.write(HEAD)
        file.write(f"enum {{ N_STORED_IMAGES = {len(entries)} }};\n\n")
        file.write("static const StoredImage stored_images[N_STORED_IMAGES] = {\n")
        file.writelines(entries)
        file.write("};\n\n#endif\n")


if __name__ == "__main__":
    main()
