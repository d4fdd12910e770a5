"""Studies on their way: exported to a file, imported, copied to another database, merged."""
