"""Train, play and deploy quadrupeds that walk blind under an unknown load."""

__version__ = "0.1.0"
