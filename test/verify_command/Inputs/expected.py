"""Writes safetensors files of what verify is to expect of slope.mn, from `mncc run` on variants of it.

    expected.py MNCC NETWORK"""

import json
import struct
import subprocess
import sys

import numpy as np


def save(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        raw = array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


mncc, network = sys.argv[1:]
with open(network, encoding="utf-8") as file:
    text = file.read().replace("leaky -> conv", "leaky -> output leaky; leaky -> conv")
with open("both.mn", "w", encoding="utf-8") as file:
    file.write(text)
subprocess.run([mncc, "run", "--evaluate", "both.mn", "random:1", "--weights", "random:1", "-o", "out.npy"], check=True)
leaky, y = np.load("out.leaky.npy"), np.load("out.y.npy")
save("right.safetensors", {"leaky_relu0": leaky[None], "leaky": leaky, "y": y})
save("wrong.safetensors", {"y": y, "leaky_relu0": leaky + np.eye(4, 2, dtype="f4")[:, None, :]})
save("shape.safetensors", {"y": y.transpose(2, 0, 1)[None]})
save("name.safetensors", {"z": y})
not_a_number = y.copy()
not_a_number[1, 2, 3] = np.nan
np.save("nan.npy", not_a_number)
