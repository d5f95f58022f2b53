#!/usr/bin/env python3
"""Writes held-out digits as PGM files: samples/LABEL_INDEX.pgm, 8 x 8, P5, 0..16.

The first few of each digit, in the order of the data set; INDEX is the image's
number there. They are not chosen by whether the network gets them right.
"""

import argparse
import os

from train import load


def main():
    parser = argparse.ArgumentParser(description="write held-out digits as PGM files")
    parser.add_argument("-o", "--output", default="samples", help="folder")
    parser.add_argument("--each", type=int, default=2, help="images of each digit")
    options = parser.parse_args()

    images, labels, held_out = load()
    os.makedirs(options.output, exist_ok=True)
    written = [0] * 10
    for index in held_out.nonzero()[0]:
        label = labels[index]
        if written[label] == options.each:
            continue
        written[label] += 1
        with open(os.path.join(options.output, f"{label}_{index:04}.pgm"), "wb") as file:
            pixels = (images[index, 0] * 16).astype("u1")
            file.write(b"P5\n8 8\n16\n" + pixels.tobytes())


if __name__ == "__main__":
    main()
