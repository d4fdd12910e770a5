"""Read-only views of a study: summaries, judgement, tables, definitions. No torch."""
