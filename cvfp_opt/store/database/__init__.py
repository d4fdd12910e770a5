"""Study databases: their kinds, how one is opened, the one reader and the one writer of rows."""
