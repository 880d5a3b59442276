"""The figures of the laws beyond the papers, one a file."""
