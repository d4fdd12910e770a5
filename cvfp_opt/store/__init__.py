"""The only door to disk and database: database <- files <- record <- queue <- transfer, doctor.

Sees optuna and sqlalchemy, never torch.
"""
