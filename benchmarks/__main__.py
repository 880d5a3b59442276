"""Run every benchmark and write docs/benchmarks.md and its picture: ``python benchmarks``."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    # The installed lazyrich, not the checkout's. One thread, as the runs of a sweep have: two on
    # arrays of this size go at one of two speeds, from one minute to the next.
    environment = os.environ | {"PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        pytest = [sys.executable, "-m", "pytest", FOLDER, "-q", f"--benchmark-json={results}"]
        pytest += ["--benchmark-columns=min", "--benchmark-sort=fullname", "-p", "no:cacheprovider"]
        failed = subprocess.run(pytest, env=environment, cwd=FOLDER.parent).returncode
        if failed:
            return failed
        report = [sys.executable, FOLDER / "report.py", results, FOLDER.parent / "docs"]
        return subprocess.run(report, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
