"""The command language: what a command looks like, where it may stand, how it is found and run."""
