"""Studies moved as a whole: exported, imported, copied, merged, renamed, deleted."""
