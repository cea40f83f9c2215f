"""What runs around and inside a job: the runner host, an attempt's runner, its sandbox. Standard library only."""
