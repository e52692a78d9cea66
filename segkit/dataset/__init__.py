"""Raw pictures and masks: what they mean, which split they belong to, and how they are packed."""
