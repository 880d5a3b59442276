"""What a user types never writes to the terminal but as text: no line breaks, no colours."""

import os

import pytest

from lazyrich import cli, simulate, theory, verify
from lazyrich.support.arguments import escaped

ODD = "a\nb\x1b[31m\x9b1mc"
SHOWN = r"a\nb\x1b[31m\x9b1mc"
SMALL = ("simulate", "--D", "3", "--P", "5", "--width", "4", "--steps", "5", "--quiet")
SWEEP = "[grid]\nalpha = [1.0]\n[fixed]\nD = 3\nP = 5\nsteps = 3\nwidth = 4\n"


def printed(capsys, *arguments):
    """Exit code and what was printed: on stdout for success, else the one line on stderr."""
    try:
        cli.main(arguments)
        code = 0
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert not any(c in out + err for c in "\x1b\x9b\r")
    assert code == 0 or (out == "" and err.count("\n") == 1)
    return code, out if code == 0 else err


@pytest.mark.parametrize(
    "arguments",
    [
        (ODD,),
        ("derive", ODD),
        ("derive", f"--{ODD}"),
        ("derive", "test-loss", "--at", f"{ODD}=1"),
        ("derive", "--expect", ODD),
        ("derive", "--expect", "x.x", "--cov", f"{ODD}=I"),
        ("check", ODD, "1"),
        ("check", "test-loss", ODD),
        ("verify", ODD),
        ("verify", "--problem", ODD),
        ("sweep", f"{ODD}.toml"),
        ("figures", ODD),
        ("figures", "1", "--out", f"/dev/null/{ODD}"),
        ("simulate", ODD),
        ("simulate", "--D", ODD),
        ("simulate", "--width", ODD),
        ("simulate", "--target", ODD),
        ("simulate", "--constant", ODD),
        ("simulate", "--constant", f"B={ODD}.npy"),
        ("simulate", "--inputs", f"{ODD}.npy"),
        ("simulate", "--out", f"{ODD}.doc"),
        ("simulate", "--out", f"no/{ODD}/x.nc"),
        ("predict", "--alpha", "1", "--epsilon", "1", "--data", ODD),
        ("diagnose", ODD, "--data", ODD),
        ("explore", "--port", ODD),
    ],
)
def test_an_error_shows_it_escaped(capsys, arguments):
    code, line = printed(capsys, *arguments)
    assert code == 2
    assert r"\x1b" in line


def test_a_name_of_a_file_is_printed_escaped(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out = printed(capsys, *SMALL, "--out", f"{ODD}.nc")
    assert (code, out.splitlines()[-1]) == (0, f"wrote {SHOWN}.nc")
    assert (tmp_path / f"{ODD}.nc").is_file()
    (tmp_path / f"{ODD}.toml").write_text(SWEEP)
    code, out = printed(capsys, "sweep", f"{ODD}.toml", "--out", f"{ODD}.nc", "--jobs", "1")
    assert (code, out) == (0, f"1 cells (1 alpha) in {SHOWN}; all finished\nwrote {SHOWN}.nc\n")
    (tmp_path / f"{ODD}.nc").write_bytes(b"no dataset")
    with pytest.raises(ValueError, match="truncated") as error:
        simulate.load(f"{ODD}.nc")
    assert str(error.value).startswith(f"{SHOWN}.nc: ")


@pytest.mark.parametrize("command", [("sweep",), ("verify", "--problem")])
def test_a_key_of_toml_is_shown_escaped(capsys, tmp_path, command):
    key = '"a\\nb\\u001b[31m" = 1\n'
    file = tmp_path / "own.toml"
    file.write_text(SWEEP + key if command == ("sweep",) else f'activation = "h"\n{key}')
    code, line = printed(capsys, *command, str(file))
    assert code == 2
    assert r"'a\nb\x1b[31m': Allowed: " in line


KINDS = ["missing", "a folder", "a pipe", "no text", "no TOML", "digits", "deep", "no rights"]


@pytest.mark.parametrize("command", [("sweep",), ("verify", "--problem")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_toml_file_that_can_not_be_read_is_one_line(capsys, tmp_path, monkeypatch, command, kind):
    file = tmp_path / "own.toml"
    right = {
        "missing": "no such file",
        "a folder": "is a folder; must be a TOML file",
        "no text": "not a TOML file: 'utf-8' codec can't decode byte 0xff",
        "no TOML": "not a TOML file: ",
        "a pipe": "is no file; must be a TOML file",
        "digits": "must have integers of fewer digits",
        "deep": "must be nested less deep",
        "no rights": "can't be read: Permission denied",
    }[kind]
    if kind == "a folder":
        file.mkdir()
    elif kind == "a pipe":
        os.mkfifo(file)
    elif kind != "missing":
        contents = {"no text": b"\xff", "no TOML": b"[[[", "digits": b"a = " + 6000 * b"9"}
        contents["deep"] = b"a = " + 5000 * b"["
        file.write_bytes(contents.get(kind, b""))
    if kind == "no rights":  # root may read all

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pathlib.Path.read_text", refuse)
    code, line = printed(capsys, *command, str(file))
    name = "FILE.toml" if command == ("sweep",) else "problem"
    assert code == 2
    assert line.startswith(f"lazyrich: {name} = {file}: {right}")
    with pytest.raises(ValueError, match=f"^problem = {file}: "):
        verify.problem(file)


def test_a_formula_with_a_line_break_is_one_line_of_the_answer():
    lines = str(theory.check("expect: E[x.x]\n", "1\r")).splitlines()
    assert lines[0].startswith(r"expect: E[x.x]\n: equal for every D")


def test_letters_of_all_languages_stay():
    assert escaped("β/naïve/数.nc") == "β/naïve/数.nc"
