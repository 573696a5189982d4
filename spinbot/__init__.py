"""The contract between CLI, daemon and workers: errors, jobs, events, settings, store."""

__version__ = "0.1.0"
