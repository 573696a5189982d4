"""The video engine."""
