"""The only door to disk and database: locations, storage, leases, records, mirrors.

Sees optuna and sqlalchemy, never torch.
"""
