"""The mitmproxy addon: the only room that knows mitmproxy."""
