"""The record of studies and trials in the database, as typed values: read, compared, created."""
