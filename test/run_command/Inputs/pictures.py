"""Writes pictures of every kind that mncc run reads, and compares what becomes of them.

    pictures.py write            the files, into this folder
    pictures.py check MNCC       runs the network that hands its input on, and compares

Nothing but numpy and zlib is used: the JPEG files have one colour a block of 8 x 8."""

import struct
import subprocess
import sys
import zlib

import numpy as np

# ---- writers ----


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, pixels, depth=8, colour=None, extra=b""):
    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if colour is None else colour
    dtype = ">u2" if depth == 16 else "u1"
    rows = b"".join(b"\0" + pixels[y].astype(dtype).tobytes() for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(rows)
    parts = [data[:len(data) // 2], data[len(data) // 2:]]
    write(path, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra +
          b"".join(chunk(b"IDAT", part) for part in parts) + chunk(b"IEND", b""))


def bmp(path, pixels, upwards=True):
    height, width, _ = pixels.shape
    stride = (width * 3 + 3) // 4 * 4
    rows = [pixels[y, :, ::-1].tobytes().ljust(stride, b"\0") for y in range(height)]
    data = b"".join(rows[::-1] if upwards else rows)
    head = struct.pack("<IiiHHIIiiII", 40, width, height if upwards else -height, 1, 24, 0, len(data), 0, 0, 0, 0)
    write(path, b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + head + data)


def pnm(path, pixels, most=255):
    height, width, channels = pixels.shape
    kind = b"P5" if channels == 1 else b"P6"
    data = pixels.astype(">u2" if most > 255 else "u1").tobytes()
    write(path, kind + b"\n# a comment\n%d %d\n%d\n" % (width, height, most) + data)


class Bits:
    def __init__(self):
        self.data, self.bits, self.n = bytearray(), 0, 0

    def put(self, value, n):
        for i in reversed(range(n)):
            self.bits = self.bits << 1 | value >> i & 1
            self.n += 1
            if self.n == 8:
                self.data.append(self.bits)
                if self.bits == 255:
                    self.data.append(0)
                self.bits = self.n = 0

    def done(self):
        while self.n:
            self.put(1, 1)
        return bytes(self.data)


def segment(marker, data):
    return bytes([255, marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg(path, components, adobe=None):
    """components: [height / 8, width / 8, n] bytes, one for each block, in JPEG's own colours."""
    rows, columns, n = components.shape
    bits, before = Bits(), [0] * n
    for y in range(rows):
        for x in range(columns):
            for c in range(n):
                # The quantiser is 8, so that one step of the DC coefficient is one level.
                dc = int(components[y, x, c]) - 128
                difference, before[c] = dc - before[c], dc
                size = abs(difference).bit_length()
                bits.put(size, 4)  # the code of a size is the size itself, four bits long
                bits.put(difference if difference >= 0 else difference + (1 << size) - 1, size)
                bits.put(0, 1)  # no AC coefficient
    dc_table = bytes([0]) + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12))
    ac_table = bytes([16]) + bytes([1] + [0] * 15) + bytes([0])
    write(path, b"\xff\xd8" +
          (segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe)) if adobe is not None else b"") +
          segment(0xDB, bytes([0]) + bytes([8] * 64)) +
          segment(0xC0, struct.pack(">BHHB", 8, rows * 8, columns * 8, n) +
                  b"".join(bytes([c + 1, 0x11, 0]) for c in range(n))) +
          segment(0xC4, dc_table) + segment(0xC4, ac_table) +
          segment(0xDA, bytes([n]) + b"".join(bytes([c + 1, 0]) for c in range(n)) + bytes([0, 63, 0])) +
          bits.done() + b"\xff\xd9")


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


# ---- what is written ----

RANDOM = np.random.RandomState(1)
RGB = RANDOM.randint(0, 256, (7, 5, 3)).astype(np.uint8)
RGBA = RANDOM.randint(0, 256, (7, 5, 4)).astype(np.uint8)
GREY = RANDOM.randint(0, 256, (7, 5, 1)).astype(np.uint8)
GREY_ALPHA = RANDOM.randint(0, 256, (7, 5, 2)).astype(np.uint8)
WIDE = RANDOM.randint(0, 65536, (7, 5, 3))
PALETTE = RANDOM.randint(0, 256, (4, 3)).astype(np.uint8)
INDICES = RANDOM.randint(0, 4, (7, 5, 1)).astype(np.uint8)
BLOCKS = RANDOM.randint(0, 256, (2, 3, 3)).astype(np.uint8)
INKS = RANDOM.randint(0, 256, (2, 3, 4)).astype(np.uint8)
SMOOTH = np.clip(np.add.outer(np.arange(90) * 1.5, np.arange(120) * 0.9)[:, :, None] * [1, 0.7, 0.4] + 5, 0, 255).astype(np.uint8)


def blown_up(blocks):
    return blocks.repeat(8, 0).repeat(8, 1)


def write_all():
    png("rgb.png", RGB)
    png("RGBA.PNG", RGBA)
    png("grey.png", GREY)
    png("grey-alpha.png", GREY_ALPHA)
    png("wide.png", WIDE, 16)
    png("palette.png", INDICES, 8, 3, chunk(b"PLTE", PALETTE.tobytes()))
    # An animation shows its first picture.
    png("animated.png", RGB, extra=chunk(b"acTL", struct.pack(">II", 2, 0)))
    bmp("up.bmp", RGB)
    bmp("down.bmp", RGB, False)
    pnm("rgb.ppm", RGB)
    pnm("grey.pgm", GREY)
    pnm("wide.ppm", WIDE, 65535)
    pnm("few.ppm", RGB // 16, 15)
    jpeg("grey.jpg", BLOCKS[:, :, :1])
    jpeg("rgb.jpeg", BLOCKS, adobe=0)
    jpeg("ycc.jpg", BLOCKS)
    jpeg("cmyk.jpg", INKS, adobe=0)
    png("smooth.png", SMOOTH)
    png("tall.png", SMOOTH.transpose(1, 0, 2))

    # What is wrong with them.
    def damaged(name, source, change):
        with open(source, "rb") as file:
            data = bytearray(file.read())
        write(name, bytes(change(data)))

    def flipped(data):
        data[data.index(b"IDAT") + 6] ^= 1
        return data

    for source in ("rgb.png", "up.bmp", "rgb.ppm", "ycc.jpg", "grey.pgm"):
        damaged("cut-" + source, source, lambda data: data[:-9])
    damaged("cut.jpg", "ycc.jpg", lambda data: data[:-2])
    damaged("flipped.png", "rgb.png", flipped)
    write("not-deflated.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)) +
          chunk(b"IDAT", b"\x78\x9cnothing") + chunk(b"IEND", b""))
    write("huge.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) +
          chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    write("zero.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0)) +
          chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    write("zero.ppm", b"P6 0 4 255\n")
    write("huge.ppm", b"P6 60000 60000 255\n")
    write("ascii.ppm", b"P3 1 1 255\n1 2 3\n")
    write("empty.png", b"")
    write("text.png", b"this is no picture\n")
    write("moving.gif", b"GIF89a")


# ---- what becomes of them ----

NETWORK = "network hand_on() { input x: f32[%d, %d, %d]; x -> relu -> output y; }\n"


def run(mncc, path, shape, *options):
    write("hand-on.mn", (NETWORK % shape).encode())
    subprocess.run([mncc, "run", "--evaluate", "hand-on.mn", path, "-o", "y.npy", *options], check=True)
    return np.load("y.npy")


def expect(name, got, wanted, bound=0.0):
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    if got.shape != wanted.shape or not np.max(np.abs(got - wanted)) <= bound:
        sys.exit("%s: wanted\n%s\ngot\n%s" % (name, wanted, got))


def grey_of(rgb):
    return ((rgb.astype(int) * [19595, 38470, 7471]).sum(2, keepdims=True) + 32768) >> 16


def rgb_of(ycc):
    y, cb, cr = (ycc[:, :, i:i + 1].astype(float) for i in range(3))
    rgb = [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)]
    return np.clip(np.concatenate(rgb, 2), 0, 255)


def weights_of(size, first, last, wanted):
    """[wanted][size]: triangles as wide as a new pixel, or as an old one if that is wider."""
    scale = (last - first) / wanted
    support = max(scale, 1.0)
    rows = np.zeros((wanted, size))
    for i in range(wanted):
        centre = first + (i + 0.5) * scale
        for at in range(int(np.floor(centre - support)) - 1, int(np.ceil(centre + support)) + 1):
            rows[i, min(max(at, 0), size - 1)] += max(0.0, 1 - abs(at + 0.5 - centre) / support)
    return rows / rows.sum(1, keepdims=True)


def resized(pixels, part, height, width):
    left, top, right, bottom = part
    down = weights_of(pixels.shape[0], top, bottom, height)
    across = weights_of(pixels.shape[1], left, right, width)
    return np.einsum("xw,ywc->yxc", across, np.tensordot(down, pixels.astype(float), 1))


def check_all(mncc):
    bytes_of = ("--scale=1",)
    shape = (7, 5, 3)
    for name in ("rgb.png", "animated.png", "up.bmp", "down.bmp", "rgb.ppm"):
        expect(name, run(mncc, name, shape, *bytes_of), RGB)
    expect("RGBA.PNG", run(mncc, "RGBA.PNG", (7, 5, 4), *bytes_of), RGBA)
    expect("alpha left out", run(mncc, "RGBA.PNG", shape, *bytes_of), RGBA[:, :, :3])
    expect("alpha added", run(mncc, "rgb.png", (7, 5, 4), *bytes_of), np.dstack([RGB, np.full((7, 5, 1), 255)]))
    expect("grey.png", run(mncc, "grey.png", (7, 5, 1), *bytes_of), GREY)
    expect("grey.pgm", run(mncc, "grey.pgm", (7, 5, 1), *bytes_of), GREY)
    expect("grey as colour", run(mncc, "grey.png", shape, *bytes_of), GREY.repeat(3, 2))
    expect("grey-alpha.png", run(mncc, "grey-alpha.png", (7, 5, 1), *bytes_of), GREY_ALPHA[:, :, :1])
    expect("colour as grey", run(mncc, "rgb.png", (7, 5, 1), *bytes_of), grey_of(RGB))
    expect("palette.png", run(mncc, "palette.png", shape, *bytes_of), PALETTE[INDICES[:, :, 0]])
    expect("wide.png", run(mncc, "wide.png", shape, *bytes_of), WIDE >> 8)
    expect("wide.ppm", run(mncc, "wide.ppm", shape, *bytes_of), np.floor(WIDE * 255 / 65535 + 0.5))
    expect("few.ppm", run(mncc, "few.ppm", shape, *bytes_of), RGB // 16 * 17)
    expect("grey.jpg", run(mncc, "grey.jpg", (16, 24, 1), *bytes_of), blown_up(BLOCKS[:, :, :1]))
    expect("rgb.jpeg", run(mncc, "rgb.jpeg", (16, 24, 3), *bytes_of), blown_up(BLOCKS))
    expect("ycc.jpg", run(mncc, "ycc.jpg", (16, 24, 3), *bytes_of), rgb_of(blown_up(BLOCKS)), 1.0)
    # The inks of Adobe's files are stored inverted.
    expect("cmyk.jpg", run(mncc, "cmyk.jpg", (16, 24, 3), *bytes_of),
           blown_up(INKS)[:, :, :3] * (blown_up(INKS)[:, :, 3:] / 255.0), 1.0)

    # Numbers: 0 to 1 unless the command line or the network says otherwise.
    expect("0 to 1", run(mncc, "rgb.png", shape), RGB / 255.0, 1e-7)
    mean, scale = [120, 110.5, 100], [1 / 64, 1 / 32, 1 / 16]
    expect("mean and scale", run(mncc, "rgb.png", shape, "--mean=120,110.5,100", "--scale=1/64,1/32,1/16"),
           np.maximum((RGB - mean) * scale, 0), 1e-6)

    # Sizes. The 90 x 120 picture becomes smaller, larger, narrower.
    half, third = ("smooth.png", SMOOTH), ("tall.png", SMOOTH.transpose(1, 0, 2))
    for name, pixels in (half, third):
        h, w = pixels.shape[:2]
        for size in ((30, 30), (31, 47), (200, 150)):
            out = (size[0], size[1], 3)
            got = run(mncc, name, out, *bytes_of, "--fit=stretch")
            expect("%s stretched to %dx%d" % ((name,) + size), got, resized(pixels, (0, 0, w, h), *size), 1.0)
            factor = min(h / size[0], w / size[1])
            ch, cw = size[0] * factor, size[1] * factor
            part = ((w - cw) / 2, (h - ch) / 2, (w + cw) / 2, (h + ch) / 2)
            got = run(mncc, name, out, *bytes_of, "--fit=crop")
            expect("%s cut to %dx%d" % ((name,) + size), got, resized(pixels, part, *size), 1.0)
            expect("cutting is the default", run(mncc, name, out, *bytes_of), got)
            factor = max(h / size[0], w / size[1])
            ph, pw = int(h / factor + 0.5), int(w / factor + 0.5)
            wanted = np.zeros(out)
            top, left = (size[0] - ph) // 2, (size[1] - pw) // 2
            wanted[top:top + ph, left:left + pw] = resized(pixels, (0, 0, w, h), ph, pw)
            got = run(mncc, name, out, *bytes_of, "--fit=pad")
            expect("%s padded to %dx%d" % ((name,) + size), got, wanted, 1.0)


if __name__ == "__main__":
    write_all() if sys.argv[1] == "write" else check_all(sys.argv[2])
