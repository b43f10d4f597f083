"""Hundreds of clients, some of them rude, for as long as one likes: what fails, and what grows. `make load` runs it."""
