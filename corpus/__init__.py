"""Corpora: synthesis, download, mixing, manifests and pronunciations."""
