"""The label audit: which masks contradict what networks predict that were not trained on them."""
