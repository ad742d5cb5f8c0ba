"""Training: the runtime contract, checkpoints and the loop."""
