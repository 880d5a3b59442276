"""What stands where in Kumar et al. 2024, in our words: its sections, figures and references.

The paper's text is no part of this repository. These are the facts that claims on references
between its parts need: of each section and figure the subjects, of each reference its place, the
subject that it promises and the target that it prints.
"""

from dataclasses import dataclass

SECTIONS: dict[str, set[str]] = {
    "1": {"introduction"},
    "2": {"related work"},
    "3": {"modular arithmetic", "weight norm", "weight decay", "loss, not accuracy"},
    "4": {"lazy to rich"},
    "4.1": {"lazy training", "ways to laziness"},
    "5": {"polynomial task", "NTK", "kernel-task alignment"},
    "5.1": {"alpha"},
    "5.2": {"epsilon"},
    "5.3": {"loss decomposition"},
    "6": {"other tasks", "other architectures", "adaptive optimisers"},
    "6.1": {"eigenvector labels", "MNIST", "transformer"},
    "7": {"conclusion", "limitations"},
    "8": {"more experiments"},
    "8.1": {"centred predictor", "learning rate"},
    "8.2": {"scale of the initial weights", "output scale"},
    "8.3": {"modular arithmetic", "settings"},
    "8.3.1": {"student-teacher"},
    "8.3.2": {"data set size", "loss decomposition"},
    "8.3.3": {"initial weights towards the solution"},
    "9": {"other theories"},
    "10": {"difficulty of a task", "breakdown of linearisation"},
    "11": {"derivations"},
    "11.1": {"eigenvalues of the NTK"},
    "11.2": {"kernel-task alignment"},
    "12": {"both layers trained"},
    "13": {"weight decay"},
    "14": {"momentum", "adaptive optimisers"},
    "15": {"other targets"},
    "15.1": {"multi-index targets"},
    "15.2": {"higher-degree targets"},
    "16": {"loss and accuracy"},
    "16.1": {"definitions of grokking"},
    "16.2": {"accuracy is misleading"},
    "16.3": {"grokking in accuracy alone"},
    "16.4": {"loss, not accuracy"},
    "17": {"data set size", "eigenvector labels"},
}

# Figure -> panel -> subjects of its caption; "" where the caption names no panels.
FIGURES: dict[str, dict[str, set[str]]] = {
    "1": {
        "a": {"sketch in parameter space"},
        "b": {"polynomial task", "learning curves", "kernel regression"},
        "c": {"polynomial task", "weight norm", "kernel-task alignment"},
    },
    "2": {
        "a": {"modular arithmetic", "accuracy curves", "weight norm"},
        "b": {"modular arithmetic", "loss curves", "weight norm"},
        "c": {"modular arithmetic", "alpha"},
    },
    "3": {
        "a": {"polynomial task", "alpha"},
        "b": {"polynomial task", "epsilon"},
        "c": {"sketch in parameter space", "alpha"},
        "d": {"sketch in parameter space", "epsilon"},
        "e": {"polynomial task", "alpha", "epsilon", "time to grok"},
    },
    "4": {"": {"polynomial task", "learning curves", "loss decomposition"}},
    "5": {p: {"eigenvector labels", "learning curves"} for p in "abc"},
    "6": {"a": {"MNIST", "alpha"}, "b": {"transformer", "alpha"}},
    "7": {
        "a": {"polynomial task", "alpha", "ways to laziness"},
        "b": {"polynomial task", "scale of the initial weights", "ways to laziness"},
        "c": {"polynomial task", "alpha as sigma^-2"},
        **{p: {"relative parameter change", "final test loss"} for p in "def"},
    },
    "8": {"": {"student-teacher", "alpha", "accuracy curves"}},
    "9": {
        **{p: {"data set size", "learning curves"} for p in "abc"},
        **{p: {"data set size", "loss decomposition"} for p in "def"},
    },
    "10": {"": {"initial weights towards the solution"}},
    "11": {"": {"both layers trained", "loss decomposition"}},
    "12": {p: {"transformer", "weight decay"} for p in "abc"},
    "13": {"": {"momentum", "adaptive optimisers", "learning curves"}},
    "14": {"": {"higher-degree targets"}},
    "15": {"": {"higher-degree targets"}},
    "16": {"": {"modular arithmetic", "accuracy curves", "loss curves"}},
    "17": {"": {"student-teacher", "accuracy curves", "thresholds"}},
    "18": {"": {"student-teacher", "loss curves"}},
    "19": {"": {"eigenvector labels", "data set size"}},
}

# Figure -> the section that it stands in.
PLACES = {
    **{"1": "1", "2": "3", "3": "5.2", "4": "5.3", "5": "6.1", "6": "6.1", "7": "8.2"},
    **{"8": "8.3.1", "9": "8.3.2", "10": "8.3.3", "11": "12", "12": "13", "13": "14"},
    **{"14": "15.1", "15": "15.2", "16": "16.1", "17": "16.4", "18": "16.4", "19": "17"},
}

# Figure -> what the text says of how it was made, of the settings that a run of it needs.
NEEDED = ("D", "P", "N", "alpha", "epsilon", "learning rate", "epochs", "seeds", "centred")
STATED: dict[str, set[str]] = {
    "1": set(),
    "2": {"D", "P", "N", "learning rate"},  # p = 23: 2p inputs, 90% of the pairs, 100 neurons
    "3": set(),
    "4": set(),
    "5": set(),  # j, but not D and P
    "6": set(),
    "7": set(),
    "8": {"D", "N"},
    "9": {"P"},
    "10": set(),
    "11": set(),
    "12": {"alpha"},
    "13": set(),
    "14": set(),
    "15": set(),
    "16": set(),
    "17": {"D", "N"},
    "18": {"D", "N"},
    "19": set(),
}


@dataclass(frozen=True)
class Reference:
    """A reference at ``source`` to ``target`` (such as "Sec. 5" or "Fig. 9a") for ``subject``."""

    source: str
    subject: str
    target: str


REFERENCES = (
    Reference("Sec. 1", "sketch in parameter space", "Fig. 1a"),
    Reference("Fig. 1", "polynomial task", "Sec. 5"),
    Reference("Fig. 1", "kernel-task alignment", "Sec. 5"),
    Reference("Sec. 2", "transformer", "Sec. 6"),
    Reference("Sec. 2", "adaptive optimisers", "Sec. 6"),
    Reference("Sec. 2", "adaptive optimisers", "Sec. 14"),
    Reference("Sec. 2", "other theories", "Sec. 9"),
    Reference("Sec. 3", "modular arithmetic", "Fig. 2"),
    Reference("Sec. 3", "settings", "Sec. 8.3"),
    Reference("Sec. 3", "weight norm", "Fig. 2a"),
    Reference("Sec. 3", "loss curves", "Fig. 2b"),
    Reference("Sec. 3", "other architectures", "Sec. 6"),
    Reference("Sec. 3", "polynomial task", "Sec. 5"),
    Reference("Sec. 3", "weight norm", "Fig. 1c"),
    Reference("Sec. 3", "alpha", "Fig. 2c"),
    Reference("Sec. 4.1", "kernel-task alignment", "Sec. 5"),
    Reference("Sec. 5", "eigenvalues of the NTK", "Sec. 11"),
    Reference("Sec. 5", "kernel-task alignment", "Sec. 11"),
    Reference("Sec. 5", "polynomial task", "Fig. 1"),
    Reference("Sec. 5", "polynomial task", "Fig. 3"),
    Reference("Sec. 5.1", "alpha", "Fig. 3a"),
    Reference("Sec. 5.1", "ways to laziness", "Fig. 7"),
    Reference("Sec. 5.2", "epsilon", "Fig. 3b"),
    Reference("Sec. 5.2", "difficulty of a task", "Sec. 10"),
    Reference("Sec. 5.3", "kernel-task alignment", "Sec. 11"),
    Reference("Sec. 5.3", "loss decomposition", "Fig. 4"),
    Reference("Sec. 6.1", "eigenvector labels", "Fig. 5b"),
    Reference("Sec. 6.1", "MNIST", "Fig. 6a"),
    Reference("Sec. 6.1", "transformer", "Fig. 6b"),
    Reference("Sec. 6.1", "alpha as sigma^-2", "Fig. 7"),
    Reference("Fig. 6", "student-teacher", "Sec. 8"),
    Reference("Sec. 7", "weight decay", "Sec. 13"),
    Reference("Sec. 7", "momentum", "Sec. 14"),
    Reference("Sec. 8.3.2", "learning curves", "Fig. 9a"),
    Reference("Sec. 8.3.2", "loss decomposition", "Fig. 9d"),
    Reference("Sec. 8.3.3", "kernel-task alignment", "Fig. 1"),
    Reference("Sec. 9", "weight decay", "Sec. 13"),
    Reference("Sec. 12", "loss decomposition", "Sec. 5"),
    Reference("Sec. 14", "polynomial task", "Fig. 1"),
    Reference("Sec. 14", "student-teacher", "Sec. 8"),
    Reference("Sec. 15.2", "higher-degree targets", "Fig. 15"),
    Reference("Sec. 16.1", "modular arithmetic", "Fig. 16"),
    Reference("Sec. 17", "eigenvector labels", "Fig. 5"),
    Reference("Sec. 17", "eigenvector labels", "Fig. 5c"),
)


@dataclass(frozen=True)
class Slip:
    """A slip of the pen at ``source``: what is printed there and what is meant."""

    source: str
    printed: str
    meant: str


SLIPS = (
    Slip("Sec. 1", "a principle aim", "a principal aim"),
    Slip("Sec. 2", "experiments in 6", "experiments in Section 6"),
    Slip("Sec. 5", "|K|_F of the initial kernel K_0", "|K_0|_F"),
    Slip("Fig. 4", "inital NTK", "initial NTK"),
    Slip("Sec. 6.1", "the j-th largest eigenvector", "the eigenvector of j-th largest eigenvalue"),
    Slip("Fig. 5", "j-th largest eigenvectors", "eigenvectors of j-th largest eigenvalue"),
    Slip("Sec. 8.3", "the rest of the test", "the rest for the test"),
    Slip("Fig. 8", "being with 0.001 of", "being within 0.001 of"),
    Slip("Sec. 11.2", "beta M x, in eq. (20)", "beta^T M x"),
    Slip("Sec. 11.2", "the beta beta direction", "the direction of beta beta^T"),
    Slip("Sec. 12", "the eigenvalues is", "the eigenvalues are"),
    Slip("Sec. 13", "lazy training during gradient", "lazy training during gradient descent"),
    Slip("Sec. 14", "grokking as in 1", "grokking as in Figure 1"),
    Slip("Sec. 14", "hence then claim", "hence the claim"),
    Slip("Sec. 15.1", "beta_3 c dot x", "beta_3.x, a product"),
    Slip("Sec. 16.2", "some classes are classification tasks", "some tasks are"),
    Slip("Fig. 19", "fixed task difficult j", "fixed task difficulty j"),
    Slip("Fig. 19", "even smaller eigenvectors", "eigenvectors of even smaller eigenvalues"),
)

# What the text says of other papers' results, and of which; none of it can be checked here.
CITED = (
    ("Sec. 2", "Thilak et al. 2022", "grokking comes from an anomaly of adaptive optimisers"),
    ("Sec. 2", "Varma et al. 2023", "a more efficient generalising circuit wins under decay"),
    ("Sec. 5", "Saad & Solla 1995", "two-layer networks with fixed readouts: committee machines"),
    ("Sec. 5.1", "Chizat et al. 2019", "output and label scale induce laziness, proved"),
    ("Sec. 8.3", "Gromov 2023", "the results on modular addition agree with those there"),
    ("Sec. 9", "Liu et al. 2022b", "a circular embedding for modular arithmetic"),
    ("Sec. 9", "Power et al. 2022", "with much data training and validation track, Section 3.1"),
    ("Sec. 9", "Nanda et al. 2023", "with enough data no gap is left, Section 5.3"),
    ("Sec. 9", "Varma et al. 2023", "variants of grokking near a critical size of the data set"),
    ("Sec. 9", "Barak et al. 2022", "networks learn parities with grokking-like dynamics"),
    ("Sec. 13", "Nanda et al. 2023", "delay against weight decay, Figure 27"),
    ("Sec. 13", "Liu et al. 2022a", "time to generalise against weight decay"),
    ("Sec. 13", "Lewkowycz & Gur-Ari 2020", "the NTK evolves at the order of the decay"),
    ("Sec. 14", "Nanda et al. 2023", "an early rise of the weight norm, Figure 7"),
    ("Sec. 15.2", "Arous et al. 2021", "sample complexity by information exponent, Theorem 1.3"),
    ("Sec. 16.1", "Power et al. 2022", "grokking in loss, Figure 4"),
    ("Sec. 16.4", "Davies et al. 2023", "loss is studied, Figure 5b"),
    ("Sec. 16.4", "Schaeffer et al. 2023", "hard thresholds mislead"),
)

# One quantity, and every colour or style in which a passage has it drawn.
COLOURS = {
    ("Sec. 5.3", "power in linear modes, Figure 4"): ("orange", "dashed black"),
    ("Sec. 8.3.3; Fig. 10", "initial weights alone, Figure 10"): ("dark blue", "solid blue"),
    ("Sec. 8.3.3; Fig. 10", "more of the solution, Figure 10"): ("gold", "solid red"),
    ("Fig. 9", "power in linear modes, Figure 9"): ("dashed black",),
}


def subjects(target: str) -> set[str]:
    """What stands at "Sec. 5" (its subsections included) or "Fig. 9a"; empty where nothing does.

    >>> "eigenvector labels" in subjects("Fig. 5"), subjects("Sec. 19")
    (True, set())
    """
    kind, _, name = target.partition(" ")
    if kind == "Sec.":
        parts = [v for k, v in SECTIONS.items() if k == name or k.startswith(f"{name}.")]
        return set().union(*parts)
    number = name.rstrip("abcdef")
    panels = FIGURES.get(number, {})
    chosen = [v for panel, v in panels.items() if panel == name[len(number) :] or name == number]
    return set().union(*chosen)


def places_of(subject: str, kind: str) -> list[str]:
    """Every section ("Sec.") or figure ("Fig.") about the subject.

    >>> places_of("eigenvector labels", "Fig.")
    ['Fig. 5', 'Fig. 19']
    """
    names = SECTIONS if kind == "Sec." else FIGURES
    return [f"{kind} {name}" for name in names if subject in subjects(f"{kind} {name}")]
