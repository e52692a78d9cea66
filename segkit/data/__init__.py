"""Pictures and masks: where they come from, how they are packed, augmented and batched."""
