"""What users import, by way of `towpath`: typed steps that emit the published definition, and a client of the API.

Standard library only, so that importing it stays quick. The public names are those of `towpath` itself.
"""
