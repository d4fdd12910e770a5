"""Telling people and programs what happened: hooks, the file that names them, who sends."""
