"""Raw images and masks: decoding, mask values, splits, packing."""
