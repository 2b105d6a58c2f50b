"""From names to chat models: registry, pool file, providers, tools."""
