#!/usr/bin/env python3
"""Trains the network of digits.mn and writes digits.safetensors.

    mncc --emit=pytorch digits.mn -o digits_net.py
    python3 train.py

The network is described once, in digits.mn: digits_net.py is what mncc makes
of it, a torch module `Digits` that takes images [N, H, W, C] and returns a
dict of the outputs, logits and scores. Needs torch and scikit-learn (the
images come with it, nothing is downloaded). Every fifth image is held out and
never trained on. Prints the accuracy on these; ends with status 1 if it is
below 97 %.
"""

import argparse
import json
import struct
import sys

import numpy as np
from sklearn.datasets import load_digits

HELD_OUT = 5  # every fifth image
FLOOR = 0.97


def load():
    """Images [N, 8, 8, 1] in 0..1, labels, and which of them are held out."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[..., np.newaxis]
    held_out = np.arange(len(images)) % HELD_OUT == 0
    return images, digits.target.astype(np.int64), held_out


def write_safetensors(path, state):
    """The length of a JSON header, the header, and all tensors one after the other."""
    header, data = {}, b""
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        values = tensor.detach().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of eight
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def shifted(images, torch):
    """Each image moved by at most one pixel, which the network should not mind."""
    padded = torch.nn.functional.pad(images, (0, 0, 1, 1, 1, 1))
    n = len(images)
    rows = torch.randint(0, 3, (n, 1)) + torch.arange(8)
    columns = torch.randint(0, 3, (n, 1)) + torch.arange(8)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def accuracy(net, images, labels):
    logits = net(images)["logits"]
    return (logits.argmax(1) == labels).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description="train digits.mn")
    parser.add_argument("-o", "--output", default="digits.safetensors")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    import torch
    from digits_net import Digits

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # one order of summation, so one result
    torch.use_deterministic_algorithms(True)

    images, labels, held_out = load()
    train = torch.from_numpy(images[~held_out]), torch.from_numpy(labels[~held_out])
    test = torch.from_numpy(images[held_out]), torch.from_numpy(labels[held_out])

    net, batch = Digits(), 64
    steps = options.epochs * (len(train[0]) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(options.epochs):
        net.train()
        order = torch.randperm(len(train[0]))
        for i in range(len(order) // batch):
            pick = order[i * batch:(i + 1) * batch]
            loss = loss_of(net(shifted(train[0][pick], torch))["logits"], train[1][pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if (epoch + 1) % 20 == 0:
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}", flush=True)

    net.eval()
    with torch.no_grad():
        trained, held = accuracy(net, *train), accuracy(net, *test)
    write_safetensors(options.output, net.state_dict())
    print(f"trained on {len(train[0])} images: {trained:.2%} of them right")
    print(f"held out {len(test[0])} images: {held:.2%} of them right")
    return 0 if held >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
