"""Training of the starter voice's posterior encoder. Not in the wheel."""
