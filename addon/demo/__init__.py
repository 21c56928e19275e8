"""The demo: simulated upstreams on loopback, so that a first run needs no key."""
