"""The results table, from a plan to its figure, and a measurement of speed."""
