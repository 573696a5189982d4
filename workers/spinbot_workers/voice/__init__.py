"""The voice engine."""
