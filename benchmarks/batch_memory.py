"""Print the most memory in bytes that a batch takes: python batch_memory.py RUNS D P."""

import math
import resource
import sys
from pathlib import Path

from test_cost import plans

from lazyrich.simulate.batch import train_batch

count, D, P = map(int, sys.argv[1:])
train_batch(plans(2, D=2, P=3, width=math.inf, steps=1))  # loads what is loaded on the way
wanted = plans(count, D=D, P=P, width=math.inf, steps=5)
held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
train_batch(wanted)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - held)
