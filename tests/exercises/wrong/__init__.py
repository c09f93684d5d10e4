"""Wrong answers to each exercise, as tables."""
