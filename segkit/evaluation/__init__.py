"""Scores of a checkpoint, per image and overall, and images of its predictions."""
