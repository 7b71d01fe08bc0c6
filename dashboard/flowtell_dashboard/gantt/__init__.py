"""One run in time: its task runs, what decided its length, and how each compares with its own history."""
