"""What runs a function as a step: it reads the function's arguments, calls it, and writes what it returns.

It travels with the code of the step into whatever environment the job has, so it uses the standard library alone, and
what libraries the values themselves come from.
"""
