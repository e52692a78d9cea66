"""Contact sheets of images with captions."""
