"""How long ``lazyrich derive`` takes to answer, from the start of the process."""

import subprocess
import sys

import pytest

QUERIES = {
    "import sympy": "import sympy",
    "derive (the list)": "from lazyrich.cli import main; main(['derive'])",
    "derive test-loss": "from lazyrich.cli import main; main(['derive', 'test-loss'])",
    "derive ntk-eigenvalues": "from lazyrich.cli import main; main(['derive', 'ntk-eigenvalues'])",
    "derive population-time": "from lazyrich.cli import main; main(['derive', 'population-time'])",
}


@pytest.mark.parametrize("name", QUERIES)
def test_query(measure, name):
    """A new Python process each: what `lazyrich derive` runs, and `import sympy` alone."""

    def run():
        command = [sys.executable, "-P", "-c", QUERIES[name]]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    measure("A symbolic query", name, run, rounds=4)
