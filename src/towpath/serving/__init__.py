"""The model server that runs inside a serving job; it imports nothing else of ours."""
