"""Laws beyond the papers, derived from the same model: one law a file."""
