"""Scores of a checkpoint, per image and in sum, and pictures of what it predicts."""
