"""What is installed is what was written: the whole package, under one name, from the wheel."""

import importlib
import importlib.metadata
import os
import pkgutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import lazyrich

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "lazyrich": "lazyrich",
    "theory": "lazyrich.theory",
    "simulate": "lazyrich.simulate",
    "verify": "lazyrich.verify",
    "paper_figures": "lazyrich.paper_figures",
}

needs_wheel = pytest.mark.skipif(
    os.environ.get("LAZYRICH_TEST_INSTALLED") != "1",
    reason="only `make test` installs the wheel that this looks at",
)


@needs_wheel
@pytest.mark.parametrize("name", sorted(FOLDERS.values()))
def test_the_installed_wheel_is_what_is_tested(name):
    module = importlib.import_module(name)
    assert Path(module.__file__).is_relative_to(sysconfig.get_paths()["purelib"])


@needs_wheel
def test_the_wheel_is_what_processes_started_by_tests_import():
    code = "import lazyrich.theory; print(lazyrich.theory.__file__)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT
    ).stdout
    assert Path(output.strip()).is_relative_to(sysconfig.get_paths()["purelib"])


@needs_wheel
def test_the_wheel_installs_one_top_level_name():
    files = importlib.metadata.files("lazyrich") or []
    top = {Path(file).parts[0] for file in files}
    dist_info = {name for name in top if name.endswith(".dist-info")}
    # ".." leads to bin/, where the command is.
    assert top - dist_info - {".."} == {"lazyrich"}


@needs_wheel
@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_every_source_file_is_in_the_wheel_unchanged(folder):
    installed = Path(importlib.import_module(FOLDERS[folder]).__file__).parent
    suffixes = {".py", ".typed", ".mplstyle"}
    sources = [f for f in (CHECKOUT / folder).rglob("*") if f.is_file() and f.suffix in suffixes]
    assert sources
    for source in sources:
        twin = installed / source.relative_to(CHECKOUT / folder)
        assert twin.read_bytes() == source.read_bytes()


def test_no_subpackage_shadows_a_top_level_name():
    """The mapped folders exist only below lazyrich: a user's own simulate.py shadows nothing."""
    inside = {module.name for module in pkgutil.iter_modules(lazyrich.__path__)}
    assert {"theory", "simulate", "verify", "paper_figures"} <= inside
    code = (
        "import importlib.util, sys; "
        "sys.exit(any(importlib.util.find_spec(n) for n in ('theory', 'simulate', 'verify')))"
    )
    # -P and a foreign folder: what is found now is found because it is installed.
    assert subprocess.run([sys.executable, "-P", "-c", code], cwd="/").returncode == 0


def test_version_is_one_number_everywhere():
    version = importlib.metadata.version("lazyrich")
    assert lazyrich.__version__ == version
    citation = (CHECKOUT / "CITATION.cff").read_text()
    assert f"version: {version}\n" in citation
    assert f"## [{version}]" in (CHECKOUT / "CHANGELOG.md").read_text()


def test_every_dependency_is_pinned_in_constraints():
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (CHECKOUT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    needed = [
        requirement.split(";")[0].split("[")[0].split(">")[0].strip()
        for requirement in importlib.metadata.requires("lazyrich") or []
    ]
    build = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["build-system"]["requires"]
    needed += [requirement.split(">")[0] for requirement in build]
    assert needed
    assert {name.lower().replace("_", "-") for name in needed} <= pinned


LIGHT_IMPORTS = ("import lazyrich", "from lazyrich import theory", "import lazyrich.cli")


@pytest.mark.parametrize("statement", LIGHT_IMPORTS)
def test_torch_stays_out_of(statement):
    code = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_importing_lazyrich_loads_neither_sympy_nor_numpy():
    code = (
        "import sys, lazyrich.cli; sys.exit(bool({'sympy', 'numpy', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
