"""`make bench`: how fast the registry is beside what it cannot be faster than. `docs/performance.md` explains it."""
