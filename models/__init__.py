"""Networks, features and losses."""
