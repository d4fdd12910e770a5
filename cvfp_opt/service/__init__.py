"""HTTP: `serve`'s own interface, its pages, and the dashboard beside them."""
