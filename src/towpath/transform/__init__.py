"""What runs inside a transform job: a driver that feeds a model, and the model's process. Standard library only.

It imports nothing of the platform; the model is loaded as the model server loads it (`towpath.serving`).
"""
