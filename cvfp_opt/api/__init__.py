"""The Python interface: the functions that users and commands call."""
