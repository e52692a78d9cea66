"""Data sources: synthetic pets, Oxford-IIIT Pet, your own folder."""
