"""Write the TorchScript file that FTorch reads, by a Python that has PyTorch.

    python torchscript.py NETWORK FILE

NETWORK is the plain file of benchmarks/fortran.py; its layers alone are written, traced and
frozen, as FTorch's documentation advises.
"""

import struct
import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn


def main() -> None:
    content = bytearray(Path(sys.argv[1]).read_bytes())
    (n_layers,) = struct.unpack_from("<i", content)
    widths = struct.unpack_from(f"<{n_layers + 1}i", content, 4)
    offset = 4 * (n_layers + 2)

    def take(*shape: int) -> torch.Tensor:
        nonlocal offset
        size = torch.Size(shape).numel()
        values = torch.frombuffer(content, dtype=torch.float32, count=size, offset=offset)
        offset += 4 * size
        return values.reshape(shape).clone()

    modules: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        linear = nn.Linear(n_in, n_out)
        linear.weight.data = take(n_in, n_out).T.contiguous()
        linear.bias.data = take(n_out)
        modules += [linear, nn.ReLU()]
    modules[-1] = nn.Sigmoid()
    model = nn.Sequential(*modules).eval()
    traced = torch.jit.trace(model, torch.zeros(2, widths[0]))
    torch.jit.freeze(traced).save(sys.argv[2])


if __name__ == "__main__":
    main()
