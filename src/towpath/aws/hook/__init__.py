"""A folder for the front of PYTHONPATH; it holds nothing but `sitecustomize`, which every Python loads as it starts."""
