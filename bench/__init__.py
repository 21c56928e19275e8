"""What the proxy costs, as ratios to bare mitmdump and to no proxy at all: `python -m bench`."""
