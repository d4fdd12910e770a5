"""The study definitions that come with cvfp-opt: ``*.toml``, data."""
