"""Where artifacts lie, and the checkpoints of running trials among them."""
