"""Shows exchanges in mitmproxy's interfaces: annotations, content views, commands."""
