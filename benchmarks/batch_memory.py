"""Print the most memory in bytes that a batch takes: python batch_memory.py RUNS D P N_TEST WIDTH.

Each run has its own data, as with ``task_seed`` in a grid. Less what the process held before.
"""

import re
import resource
import sys
from pathlib import Path

from lazyrich.simulate import cells


def batch(count: int, D: int, P: int, n_test: int, width: float) -> list[cells.Cell]:
    same = {"D": D, "P": P, "n_test": n_test, "width": width, "alpha": 1.0, "epsilon": 0.02}
    same |= {"engine": "moments", "centred": True}
    same |= {"learning_rate": 0.1, "steps": 5, "alignment": "train", "record": [0, 5]}
    return [cells.complete(same | {"seed": i, "task_seed": i}) for i in range(count)]


count, D, P, n_test = map(int, sys.argv[1:5])
width = float(sys.argv[5])
width = int(width) if width < float("inf") else width
cells.run(batch(2, 2, 3, 1, width=5))  # loads what is loaded on the way
held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
cells.run(batch(count, D, P, n_test, width))
# Not ru_maxrss: that of a child begins at what its parent held.
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
assert peak is not None
print(int(peak[1]) * 1024 - held)
