"""Kills a server under load, again and again, and counts what it forgot. `make chaos` runs it."""
