"""Training program of the starter look. Not part of the wheel: `PYTHONPATH=workers python -m starter_look --help`."""
