"""The results table, from a plan to its figure."""
