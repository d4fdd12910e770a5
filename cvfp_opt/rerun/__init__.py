"""A recorded trial trained again: to compare it, to hand it on, to use its network."""
