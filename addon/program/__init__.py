"""The process around the addon: flags, mitmproxy's masters, startup, shutdown, logging."""
