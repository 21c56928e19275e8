"""Which requests the proxy answers, who may send them, and how each is handled."""
