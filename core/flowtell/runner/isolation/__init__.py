"""A plugin in a process of its own: the same contract over a pipe, the same cursor.

The server's side is `isolated`, `process` and `building`; the plugin's is `child`, `child_context`, `child_log`, `line`,
`spelling` and `table_spelling`; both know `messages`, `frames`, `grammar`, `values` and `event_batch`.

It contains accidents and greed: what exits, crashes, hangs, holds the interpreter, leaks, floods or outgrows its bound. What
comes out of the process is taken as hostile: it is decoded into the types of `messages` and rebuilt from a grammar, so it
runs no code in the server and touches no table but the plugin's own. It is no sandbox for an attacker: the process has
the rights of the server's user, and may read and write what that user may.
"""
