"""What the pipeline made, and how fast it is, for a person."""
