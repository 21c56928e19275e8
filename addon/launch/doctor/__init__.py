"""`llm-proxy doctor`: checks the proxy, an agent and their environment."""
