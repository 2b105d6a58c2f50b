"""From a prompt to a message: request, decision, election, reply; the Runnable and the chat model."""
