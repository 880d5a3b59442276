"""The claims of Lyu et al. (2024), one topic a file; each file has a function ``claims()``."""
