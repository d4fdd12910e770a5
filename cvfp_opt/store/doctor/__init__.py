"""What is wrong in a study database and beside it, and what can be mended."""
