"""The program around the addon: flags, masters, start, shutdown, logs."""
