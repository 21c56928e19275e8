"""One client request on its way: what is known of it, its attempts, its response, its record."""
