"""All constants that make the images harder or easier to segment.

Unless stated otherwise, lengths are fractions of the image's shorter side, and probabilities are per image.
"""

AREA_SHARE = (0.20, 0.48)
"""Range of the share of the image that the whole animal aims to cover; larger is easier."""

MAX_OVERHANG = 1.12
"""How far the animal may exceed the frame (1: its box just fits); larger cuts more animals off."""

CLUTTER = (1, 5)
"""Range of the number of things (furniture, cushions, blobs) behind the animal; more is harder."""

FUR_DISTRACTORS = (0, 2)
"""Range of the number of furry, coat-coloured blobs without a face behind the animal; more is harder."""

ACCENT_SHARE = 0.15
"""Probability that a background thing has a colour no coat has (green, blue, red); higher is easier."""

GREENERY = 0.18
"""Probability of an outdoor scene with greenish ground; higher is easier, as no animal is green."""

MIN_CONTRAST = 42.0
"""Least distance in RGB (0..255) between a coat and the large surfaces behind it; higher is easier."""

SCENE_TEXTURE = 0.09
"""Strength of the texture on surfaces, relative to their brightness; higher is harder."""

BACKGROUND_BLUR = (0.0, 1.3)
"""Range of the background's blur radius in hundredths of the shorter side; more is easier."""

FUR_TEXTURE = 0.15
"""Strength of the hair texture on the animal, relative to its brightness; higher is easier."""

OUTLINE = 0.50
"""How dark the soft outline around each part of the animal is, 0 to 1; higher is easier."""

RELIEF = 0.9
"""Strength of the light and shade that make the animal look round; higher is easier."""

OCCLUDER = 0.40
"""Probability of something in front of the animal; higher is harder."""

MAX_FACE_HIDDEN = 0.34
"""Largest share of the face's features that an occluder may hide; one that hides more is left out."""

MAX_OCCLUDED = 0.22
"""Largest share of the animal that an occluder may hide; one that hides more is left out."""

EXPOSURE = 0.22
"""Standard deviation of the logarithm of the exposure; higher makes thresholds on brightness worse."""

COLOUR_CAST = 0.045
"""Standard deviation of each channel's gain; higher makes thresholds on colour worse."""

LIGHT_GRADIENT = 0.30
"""Largest relative change of brightness from one side of the image to the other; higher is harder."""

CAST_SHADOWS = 0.35
"""Probability of a hard-edged shadow or a patch of sun across animal and background; higher is harder."""

CAMERA_NOISE = (0.0, 5.0)
"""Range of the standard deviation of the noise, in grey levels of 255; more is harder."""

CAMERA_BLUR = (0.0, 0.5)
"""Range of the radius of the final blur in hundredths of the shorter side; more is harder."""
