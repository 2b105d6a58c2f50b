"""An OpenAI-compatible HTTP server over a router."""
