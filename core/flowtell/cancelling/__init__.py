"""A run in another process is ended: by the command and by the server's route, in the same way."""
