"""A trained network on new pictures: masks, overlays and cutouts; other runtimes."""
