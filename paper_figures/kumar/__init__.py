"""The figures of Kumar et al. (2024), one a file."""
