"""How often forecasts of ``diagnose`` were right: measured by benchmarks/diagnose.py."""

RELIABILITY = {
    "pairs": 0,
    "right": 0,
    "delays": 0,
    "delays_within_2": 0,
    "words": "not measured yet",
}
