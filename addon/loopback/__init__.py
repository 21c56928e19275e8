"""An HTTP server on loopback that plays scripted responses: simulated ones, and recorded ones."""
