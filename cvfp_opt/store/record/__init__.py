"""What a study and its trials leave in the database, as typed values: read, compared, created."""
