"""Experiments that several figures share: one network on one task a file."""
