"""Networks and losses, and their wiring in YAML."""
