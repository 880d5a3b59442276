"""Print the most memory that ``ntk`` takes, over ``memory``: six kinds of network, three budgets.

    python benchmarks/ntk_memory.py               # each kernel in a process of its own
    python benchmarks/ntk_memory.py KIND MEMORY   # one: bytes at the peak, less those held before

The kernel itself is not counted as ``memory``: it is part of the answer. Activations may take a
quarter besides. Peaks are the process's own (VmHWM), after small kernels have made torch load what
it needs: that takes up to 22 MiB once a process, 78 MiB for recurrent layers, at any budget. Then
peaks came to at most 1.18 times 64 MiB and 1.25 times 16 MiB (convolution), and 1.34 times 4 MiB
(recurrent).
"""

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from lazyrich import simulate

MEMORIES = (2**22, 2**24, 2**26)


class Last(nn.Module):
    """The last output of a recurrent layer, read out."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.LSTM(16, 128, batch_first=True), nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.inner(x)[0][:, -1])


class Attention(nn.Module):
    """A layer of a transformer, averaged over positions."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
        self.inner = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.inner(x).mean(1))


def convolution(norm: bool) -> nn.Module:
    between = nn.BatchNorm2d(32) if norm else nn.Identity()
    first, second = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
    head = (nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 4))
    return nn.Sequential(first, between, nn.ReLU(), second, nn.ReLU(), *head).eval()


KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(64, 512), nn.Tanh(), nn.Linear(512, 2)), (64,)),
    "deep perceptron": (
        lambda: nn.Sequential(
            nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        ),
        (64,),
    ),
    "convolution": (lambda: convolution(False), (3, 16, 16)),
    "convolution, batch norm": (lambda: convolution(True), (3, 16, 16)),
    "recurrent": (Last, (12, 16)),
    "transformer": (Attention, (12, 64)),
}
SAMPLES = 100


def taken(kind: str, memory: int) -> int:
    """Return the bytes that a kernel of ``SAMPLES`` samples takes at its peak, less itself."""
    torch.set_num_threads(1)
    make, shape = KINDS[kind]
    model, X = make(), torch.randn(SAMPLES, *shape)
    for few, least in ((2, memory), (3, 1), (20, 2**22)):  # torch loads what it needs on each way
        simulate.ntk(model, X[:few], outputs="trace", memory=least)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    K = simulate.ntk(model, X, outputs="trace", memory=memory)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    return int(peak[1]) * 1024 - held - K.numel() * K.element_size()


def main() -> None:
    """Print one number, or the table."""
    if len(sys.argv) > 1:
        print(taken(sys.argv[1], int(sys.argv[2])))
        return
    print("| network | " + " | ".join(f"{m >> 20} MiB" for m in MEMORIES) + " |")
    print("|---|" + "---|" * len(MEMORIES))
    for kind in KINDS:
        cells = []
        for memory in MEMORIES:
            command = [sys.executable, __file__, kind, str(memory)]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            cells.append(f"{int(out) / memory:.2f}")
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
