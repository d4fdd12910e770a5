"""The checks of a study database and the files beside it, and their repairs."""
