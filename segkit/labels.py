"""What the values of a mask mean, everywhere after preprocessing."""

BACKGROUND, FOREGROUND, IGNORED = 0, 1, 255
