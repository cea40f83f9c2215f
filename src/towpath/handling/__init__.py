"""Runs one call of a function inside its job; standard library only, and nothing else of ours."""
