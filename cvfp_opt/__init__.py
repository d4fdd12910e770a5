"""cvfp-opt: hyperparameter optimization for the CVFP (Context Vector Fixed-Point) model."""

__version__ = "0.2.0"
