"""How often forecasts of ``diagnose`` were right: by benchmarks/diagnose.py, second set."""

RELIABILITY = {
    "pairs": 42,
    "right": 37,
    "grokked": 6,
    "forecast to grok": 6,
    "delays within a factor 2": 5,
    "words": "in 42 pairs of task and scale, without weight decay, 37 phases were right; of 6 that "
    "grokked, 6 were forecast to, 5 with a delay within a factor 2. At the largest scale that "
    "still generalises, forecasts are too hopeful.",
}
