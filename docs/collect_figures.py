"""Take over figures that were drawn into the gallery of the docs.

``python docs/collect_figures.py FOLDER [FOLDER ...]`` reads what ``lazyrich figures --out FOLDER``
wrote (``figure-NAME.png`` and ``.json``), and puts a small copy of each picture and what it is said
to show into ``docs/images/figures``. What the checks measured goes into
``paper_figures/measured.json``, for the ledger. A later folder takes the place of an earlier one.
"""

import json
import sys
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).resolve().parent / "images" / "figures"
KEPT = ("title", "preset", "caption", "notes", "not_run", "parameters", "checks")
MEASURED = TARGET.parents[2] / "paper_figures" / "measured.json"
WIDTH = 1400  # pixels
COLOURS = 64


def collect(folders: list[Path]) -> None:
    """Write the pictures, ``figures.json`` and ``measured.json``."""
    TARGET.mkdir(parents=True, exist_ok=True)
    index = TARGET / "figures.json"
    known = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    for folder in folders:
        for file in sorted(folder.glob("figure-*.json")):
            report = json.loads(file.read_text(encoding="utf-8"))
            name = report["figure"]
            picture = Image.open(file.with_suffix(".png")).convert("RGB")
            picture.thumbnail((WIDTH, 4 * WIDTH))
            palette = picture.quantize(COLOURS, dither=Image.Dither.NONE)
            palette.save(TARGET / f"{name}.png", optimize=True)
            known[name] = {key: report[key] for key in KEPT if report.get(key) not in (None, "")}
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    index.write_text(text + "\n", encoding="utf-8")
    text = json.dumps(measured(known), indent=0, ensure_ascii=False)
    MEASURED.write_text(text + "\n", encoding="utf-8")


def measured(known: dict) -> dict:
    """Of each figure the preset, and claim, name and measurement of each check for a claim."""
    return {
        name: {
            "preset": report["preset"],
            "checks": [
                [check["claim"], check["name"], check["measured"]]
                for check in report["checks"]
                if check.get("claim")
            ],
        }
        for name, report in sorted(known.items())
    }


if __name__ == "__main__":
    collect([Path(folder) for folder in sys.argv[1:]])
