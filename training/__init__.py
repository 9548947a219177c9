"""What surrounds the training loop: settings, checks, freezing, checkpoints, data."""
