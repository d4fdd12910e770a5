"""Workers of a search: started and restarted here, on this machine or a Dask cluster."""
