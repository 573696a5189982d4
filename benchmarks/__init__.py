"""What things cost, measured on this machine in one run. A timing is never asserted: it is printed, with its ratio."""
