"""Pyright finds nothing wrong with the types of the sources and of the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


# Here and not before the tests: it takes one core for most of a minute.
@pytest.mark.slow
def test_pyright_finds_nothing(monkeypatch):
    monkeypatch.setenv("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1")  # else it asks for news online
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("0 errors, 0 warnings"), done.stdout + done.stderr
