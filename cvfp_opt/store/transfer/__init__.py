"""The transfer of whole studies: export, import, copy, merge; and their renaming and deletion."""
