"""Members called in parallel, in threads or tasks, within deadlines: the only network I/O of a request."""
