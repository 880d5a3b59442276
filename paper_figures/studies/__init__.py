"""Runs that several figures draw: their parameters, and what is read off them."""
