"""The figures of Lyu et al. (2024), one a file."""
