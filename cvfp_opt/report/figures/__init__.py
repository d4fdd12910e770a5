"""Figures of a study: each an info function (pure, no plotly) and a drawing of what it found."""
