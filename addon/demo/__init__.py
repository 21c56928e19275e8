"""The demo: simulated upstreams on loopback, so that the first run needs no key."""
