"""One file per group of commands. Each is imported when it is typed, or for its line in `--help`."""
