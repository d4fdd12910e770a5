"""The interface over HTTP: the studies of a server, without its database."""
