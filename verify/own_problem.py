"""``verify.problem``: a user's own network and target, attacked as the papers' model is.

The theory of the problem is compared with autograd, quadrature, exact cubatures and descent; each
comparison has a control that it must reject.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazyrich.support.arguments import fits_memory, one_of, positive_integer
from lazyrich.support.patience import followed, told
from lazyrich.support.toml_file import read_toml
from lazyrich.verify.own_report import Check, ProblemReport

if TYPE_CHECKING:
    from lazyrich.theory import Problem
    from lazyrich.verify.own_checks import Attack
    from lazyrich.verify.own_setting import Finding, Setting

_NOUNS = ("activation", "target", "readouts", "inputs")
_SIZES = {"D": 5, "P": 20, "N": 40}
LARGEST = 1e30  # entries of vectors and matrices


def problem(
    source: str | Path | Mapping[str, Any],
    seed: int = 0,
    progress: Callable[[float, float], object] | None = None,
) -> ProblemReport:
    """Check the theory of a user's problem; ``source`` is a TOML file or its entries.

    Entries: ``activation``, ``target``, ``readouts``, ``inputs`` ("I/D", "Sigma" or a covariance);
    the sizes ``D``, ``P``, ``N``; and a value for each symbol of activation and target, and for
    ``Sigma`` (vectors and matrices are drawn where they are left out, and ``sigma``, or ``sigma_w``
    and ``sigma_v``, are 1). Raises ``ValueError`` for an entry that is none of these, or a missing
    one.

    >>> report = problem({"activation": "h + c h^3", "target": "beta.x", "c": 0.5, "D": 3})
    >>> report.passed, len(report.checks) > 5
    (True, True)
    """
    from lazyrich.simulate.arrays import natural
    from lazyrich.verify import own_checks

    setting = _setting(_entries(source), natural("seed", seed))
    attacks = own_checks.attacks_on(setting)
    checks, progress = [], told(progress, "the checks")
    for number, attack in enumerate(attacks, start=1):
        with followed():
            checks.append(_checked(attack, setting))
        progress(number, len(attacks))
    if all(check.verdict == "not judged" for check in checks):
        raise ValueError(f"no check can be made {checks[0].found}")
    shown = {"D": setting.D, "P": setting.P, "N": setting.N, "seed": seed}
    shown |= {k: v for k, v in setting.values.items() if not hasattr(v, "shape")}
    described = setting.problem
    unchecked = own_checks.not_checked(setting, attacks)
    return ProblemReport(
        repr(described), shown, tuple(checks), described.not_available(), unchecked
    )


def _entries(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(source)
    return read_toml("problem", source)


def _setting(entries: dict[str, Any], seed: int) -> "Setting":
    import numpy as np

    from lazyrich.theory import Problem
    from lazyrich.verify.own_setting import Setting

    if not isinstance(entries.get("inputs", ""), str):
        entries["Sigma"] = entries.pop("inputs")
        entries["inputs"] = "Sigma"
    described = Problem(**{key: entries.pop(key) for key in _NOUNS if key in entries})
    all_symbols = described.symbols
    described = _without_zeros(described, entries)
    if described.activation.degree == 0:
        text = described.activation.text
        raise ValueError(f"activation = {text}: must depend on h, as a constant learns nothing")
    sizes = {k: positive_integer(k, entries.pop(k, size)) for k, size in _SIZES.items()}
    size = 8 * sizes["D"] * sum(sizes.values())
    fits_memory(", ".join(f"{k} = {v}" for k, v in sizes.items()) + ": the arrays", size)
    deviations = ("sigma",) if described.readouts == "fixed" else ("sigma_w", "sigma_v")
    known = [*all_symbols, *described.inputs.symbols, *deviations]
    for name in entries:
        one_of("entry", name, [*_NOUNS, *_SIZES, *known])
    random = np.random.default_rng([seed, 0])
    values: dict[str, Any] = {}
    for name, symbol in all_symbols.items():
        shape = getattr(symbol, "shape", ())
        if shape:
            size = (sizes["D"],) if shape[1] == 1 else (sizes["D"], sizes["D"])
            values[name] = _array(name, entries, size, random)
        elif name in entries:
            values[name] = _number(name, entries[name])
        else:
            raise ValueError(f"missing {name}: give it a value, such as {name} = 0.1")
    if not described.inputs.isotropic:
        values["Sigma"] = _covariance(entries, sizes["D"], random)
    for name in deviations:
        values[name] = _number(name, entries.get(name, 1.0), positive=True)
    return Setting(described, **sizes, seed=seed, values=values)


def _without_zeros(problem: "Problem", entries: Mapping[str, Any]) -> "Problem":
    """The problem with coefficients of value 0 put in: the forms hold for generic values."""
    from lazyrich.theory import Problem

    own = problem.activation.symbols
    given = {name: _number(name, entries[name]) for name in own if name in entries}
    zeros = [(own[name], 0) for name, value in given.items() if value == 0]
    if not zeros:
        return problem
    activation = problem.activation.expr.subs(zeros)
    return Problem(activation, problem.target, problem.readouts, problem.inputs)


def _covariance(entries: Mapping[str, Any], D: int, random: Any) -> Any:
    from lazyrich.theory.values import check_covariance
    from lazyrich.verify.own_setting import drawn_covariance

    if "Sigma" not in entries:
        return drawn_covariance(D, random)
    found = _array("Sigma", entries, (D, D), random)
    check_covariance("Sigma", found, definite=True)
    return found


def _number(name: str, value: Any, positive: bool = False) -> float:
    from lazyrich.support.arguments import finite
    from lazyrich.theory.values import number

    read = number(value) if isinstance(value, str) else None  # "1/10"
    return finite(name, value if read is None else float(read), positive=positive)


def _array(name: str, entries: Mapping[str, Any], shape: tuple, random: Any) -> Any:
    import numpy as np

    if name not in entries:
        return random.normal(size=shape)
    try:
        value = np.array(entries[name], dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {entries[name]!r}: must be numbers in equal rows") from None
    if value.shape != shape or not np.isfinite(value).all():
        raise ValueError(f"{name} has shape {value.shape}: must be {shape}")
    if (largest := float(np.abs(value).max())) > LARGEST:
        raise ValueError(f"{name} has an entry of {largest:g} in size: must be at most {LARGEST:g}")
    return value


def _checked(attack: "Attack", setting: "Setting") -> Check:
    import numpy as np

    from lazyrich.simulate.stability import OVERFLOWS, DivergenceError, NumericalError
    from lazyrich.verify.ledger import Undecided

    start = time.perf_counter()
    finding, why = None, "a wrong statement passes it as well"
    try:
        with np.errstate(over="raise", invalid="raise"):
            finding: Finding | None = attack.run(setting)
    except DivergenceError:
        why = "training diverges"
    except (NumericalError, np.linalg.LinAlgError, *OVERFLOWS):
        why = "a number leaves the range of floating point"
    except ValueError as error:  # what it needs isn't defined at these values
        why = str(error)
    except AssertionError as error:
        if not (error.args and isinstance(error.args[0], Undecided)):
            raise
        why = str(error)
    seconds = time.perf_counter() - start
    if finding is None or (finding.holds and not finding.control_rejected):
        found = f"at {_given(setting)}: {why}"
        return Check(attack.name, attack.statement, "not judged", found, "", seconds)
    return Check(
        name=attack.name,
        statement=attack.statement,
        verdict="passed" if finding.holds else "FAILED",
        found=f"error {finding.error:.1e} (allowed {finding.allowed:.0e}), {finding.detail}",
        control=f"{finding.control:.1e}, "
        + ("rejected" if finding.control_rejected else "not rejected"),
        seconds=seconds,
    )


def _given(setting: "Setting") -> str:
    """The numbers that may lie too far apart; without any, activation and target."""
    scalars = {k: v for k, v in setting.values.items() if not hasattr(v, "shape") and abs(v) != 1}
    given = ", ".join(f"{k} = {v:g}" for k, v in scalars.items())
    return given or f"{setting.problem.activation.text}, {setting.problem.target.text}"
