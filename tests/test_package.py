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
    suffixes = {".py", ".typed", ".mplstyle", ".toml", ".html", ".css", ".js", ".gz"}
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


WHERE = (
    "import lazyrich; from importlib.util import find_spec; print(lazyrich.__version__, "
    f"*(find_spec(name).origin for name in {sorted(FOLDERS.values())}))"
)


def _python(*arguments, cwd, path):
    """Python with the current folder on sys.path first, as by default, then ``path``."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(path)},
    )


@pytest.fixture
def other_version(tmp_path):
    """Another lazyrich, installed: its front door can be imported, its parts say who they are."""
    site = tmp_path / "site"
    for name in sorted(FOLDERS.values()):
        folder = site.joinpath(*name.split("."))
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("__version__ = 'other'\n")
    return site


def test_python_started_in_a_checkout_uses_the_checkout_alone(other_version):
    """Its front door must not open on the rooms of an installed version."""
    done = _python("-c", WHERE, cwd=CHECKOUT, path=other_version)
    assert done.returncode == 0, done.stderr
    version, *files = done.stdout.split()
    assert version == lazyrich.__version__
    folders = {name: folder for folder, name in FOLDERS.items()}
    meant = [CHECKOUT / folders[name] / "__init__.py" for name in sorted(folders)]
    assert list(map(Path, files)) == meant


def test_python_started_elsewhere_uses_the_installed_version_alone(other_version, tmp_path):
    done = _python("-c", WHERE, cwd=tmp_path, path=other_version)
    version, *files = done.stdout.split()
    assert version == "other"
    assert all(Path(file).is_relative_to(other_version) for file in files)


def test_a_checkout_finds_only_its_four_parts():
    """Its other folders (tests, docs) are no parts of lazyrich."""
    names = [f"lazyrich.{name}" for name in ("verify", "tests", "docs", "benchmarks", "lazyrich")]
    code = f"from importlib.util import find_spec; print(*(find_spec(n) is None for n in {names}))"
    found = _python("-c", code, cwd=CHECKOUT, path="").stdout.split()
    assert found == ["False", "True", "True", "True", "True"]


def test_python_m_lazyrich_is_the_command_line(tmp_path):
    for folder in (CHECKOUT, tmp_path):
        path = Path(lazyrich.__file__).parents[1]
        done = _python("-m", "lazyrich", "derive", "test-los", cwd=folder, path=path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "'test-loss'" in done.stderr
