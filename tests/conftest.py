"""Settings of the whole suite: threads, Hypothesis profiles, run-time checks of array shapes."""

import os
import threading

# Two workers on two cores: one thread each. Before anything loads a BLAS or torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

# quick: on a developer's machine. ci: the same examples every time. thorough: on demand, by
# HYPOTHESIS_PROFILE=thorough or pytest --hypothesis-profile=thorough. No deadlines anywhere: on a
# shared machine they report the neighbours.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=20, **_COMMON)
settings.register_profile("ci", max_examples=25, derandomize=True, print_blob=True, **_COMMON)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **_COMMON)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "quick")
)

# Checks the jaxtyping shapes of calls into lazyrich.simulate (shapes.py). It must stand before the
# first import of that package, which is here.
jaxtyping.install_import_hook("lazyrich.simulate", "tests.shapes.at_first_calls")
pytest_plugins = ["tests.shapes"]


def pytest_collection_modifyitems(items):
    """Tests that share long runs come first: workers take long stretches then, and few at the end.

    A run that two workers need is trained twice; and a long test at the end leaves one idle.
    """
    first = ("test_verdicts.py", "test_figures_tiny.py")
    items.sort(key=lambda item: item.path.name not in first)


@pytest.fixture(scope="module")
def server():
    """A running server of the explorer, on a port that is free."""
    from lazyrich.explore.server import Server

    made = Server(0)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()
