"""The laws beyond the papers, one topic a file; each file has a function ``claims()``."""
