"""The look engine."""
