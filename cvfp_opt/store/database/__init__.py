"""Where studies lie: the kinds of databases, and what it takes to open one."""
