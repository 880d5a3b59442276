"""What is built: an sdist that builds the same wheel, metadata, and other versions of Python."""

import configparser
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = ("lazyrich", "theory", "simulate", "verify", "paper_figures")


def run(*command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def build(kind, source, out):
    """Build the wheel or the sdist of a source folder by its build backend, without a network."""
    code = f"from setuptools.build_meta import *; print(build_{kind}({str(out)!r}))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    text = run(sys.executable, "-c", code, cwd=source, env=environment)
    return out / text.split()[-1]


def unpacked(sdist, folder):
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, the wheel, and the wheel that the sdist builds, from a copy of the checkout."""
    pytest.importorskip("setuptools")
    out = tmp_path_factory.mktemp("dist")
    copy = out / "checkout"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "_build")
    shutil.copytree(CHECKOUT, copy, ignore=ignored)
    for name in ("first", "second", "unpacked"):
        (out / name).mkdir()
    sdist = build("sdist", copy, out)
    first = build("wheel", copy, out / "first")
    second = build("wheel", unpacked(sdist, out / "unpacked"), out / "second")
    return sdist, first, second


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(built):
    _, first, second = map(Path, built)
    one, other = contents(first), contents(second)
    assert set(one) == set(other)
    assert [name for name in one if one[name] != other[name]] == []
    assert {name.partition("/")[0] for name in one} == {
        "lazyrich",
        first.name.replace("-py3-none-any.whl", ".dist-info"),
    }


@pytest.mark.slow
def test_the_sdist_holds_what_a_packager_needs(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "constraints.txt", "Makefile", "tests/conftest.py", "docs/conf.py"} <= names
    sources = {str(p.relative_to(CHECKOUT)) for f in FOLDERS for p in (CHECKOUT / f).rglob("*.py")}
    assert sources <= names


@pytest.mark.slow
def test_the_metadata_are_complete(built):
    files = contents(built[1])
    (name,) = [name for name in files if name.endswith("/METADATA")]
    metadata = email.message_from_bytes(files[name])
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert metadata["Author"] == ", ".join(author["name"] for author in citation["authors"])
    assert metadata["Version"] == citation["version"]
    assert "MIT" in (metadata["License"], metadata["License-Expression"])
    assert metadata["Requires-Python"] == ">=3.11"
    assert "grokking" in metadata["Keywords"]
    for version in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in metadata.get_all("Classifier", [])
    readme = (CHECKOUT / "README.md").read_text()
    for url in metadata.get_all("Project-URL", []):
        assert url.split(", ")[1] in readme
    assert metadata.get_payload(decode=True) == readme.encode()
    assert "lazyrich/py.typed" in files


@pytest.mark.slow
def test_the_wheel_works_where_it_is_installed(built, tmp_path):
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
        *("--target", tmp_path, built[2]),
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    options = {"cwd": tmp_path, "env": environment}
    where = "import lazyrich.verify as v; print(v.__file__)"
    assert Path(run(sys.executable, "-c", where, **options).strip()).is_relative_to(tmp_path)
    assert "variance" in run(sys.executable, "-m", "lazyrich", "derive", "test-loss", **options)


@cache
def interpreters():
    """The Python versions from 3.11 on that this machine has: {version: command}."""
    found = {}
    for minor in range(11, 14):
        version = f"3.{minor}"
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        command = next(map(str, pyenv), None) or shutil.which(f"python{version}")
        if command and subprocess.run([command, "--version"], capture_output=True).returncode == 0:
            found[version] = command
    return found


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_source_compiles_without_a_warning(version):
    if version not in interpreters():
        pytest.skip(f"this machine has no Python {version}")
    code = (
        "import sys, pathlib\n"
        "for folder in sys.argv[1:]:\n"
        "    for path in pathlib.Path(folder).rglob('*.py'):\n"
        "        compile(path.read_text('utf-8'), str(path), 'exec', dont_inherit=True)\n"
        "print(*sys.version_info[:2], sep='.')"
    )
    folders = [CHECKOUT / name for name in (*FOLDERS, "tests", "benchmarks")]
    done = run(interpreters()[version], "-I", "-W", "error", "-c", code, *folders)
    assert done.strip() == version


def test_the_versions_are_the_same_everywhere():
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    least = setup["options"]["python_requires"].removeprefix(">=")
    tools = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]
    assert tools["pyright"]["pythonVersion"] == least
    assert tools["ruff"]["target-version"] == f"py{least.replace('.', '')}"
    workflow = yaml.safe_load((CHECKOUT / ".github/workflows/tests.yml").read_text())
    tested = workflow["jobs"]["versions"]["strategy"]["matrix"]["python"]
    assert tested[0] == least
    for version in tested:
        assert f"Programming Language :: Python :: {version}" in setup["metadata"]["classifiers"]


def test_what_checks_a_commit_is_what_make_lint_runs():
    """pre-commit pins the linter that constraints.txt pins; the docs build as `make docs` does."""
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    pins = dict(
        line.split("==")
        for line in (CHECKOUT / "constraints.txt").read_text().split("\n")
        if "==" in line
    )
    assert hooks["repos"][0]["rev"] == f"v{pins['ruff']}"
    docs = yaml.safe_load((CHECKOUT / ".readthedocs.yaml").read_text())
    assert (CHECKOUT / docs["sphinx"]["configuration"]).is_file()
    extras = configparser.ConfigParser()
    extras.read(CHECKOUT / "setup.cfg")
    known = set(extras["options.extras_require"])
    (install,) = [line for line in docs["build"]["jobs"]["install"] if ".[" in line]
    assert set(install.split("[")[1].split("]")[0].split(",")) <= known


def test_messages_name_packages_that_an_index_has():
    """lazyrich itself is on none: what to install is named by the package that is missing."""
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
    sources = [path for folder in (*FOLDERS, "docs") for path in (CHECKOUT / folder).rglob("*.py")]
    own = re.compile(r"pip install ['\"]?lazyrich")
    assert own.search("pip install 'lazyrich[explore]'")
    for path in (*pages, *sources):
        assert not own.search(path.read_text(encoding="utf-8")), path
