"""The proxy's configuration: the settings, their sources, and the file that keeps changes."""
