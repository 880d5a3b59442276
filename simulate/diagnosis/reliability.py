"""How often forecasts of ``diagnose`` were right: benchmarks/diagnose.py, second and third set."""

RELIABILITY = {
    "pairs": 84,
    "right": 73,
    "grokked": 12,
    "forecast to grok": 11,
    "delays within a factor 2": 10,
    "words": "in 84 pairs of task and scale, without weight decay, 73 phases were right (87%); of "
    "12 that grokked, 11 were forecast to, 10 with a delay within a factor 2. At scales that just "
    'fail to generalise, "groks" is forecast too often.',
}

# What was measured of optimisers other than gradient flow; see benchmarks/diagnose.py.
OPTIMISERS = {
    "sgd": "not yet measured",
    "adam": "not yet measured",
}
