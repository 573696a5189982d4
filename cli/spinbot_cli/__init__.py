"""What a person types, and what is drawn on the screen."""
