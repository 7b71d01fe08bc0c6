"""Whether this process runs one due run, for somebody else who serves."""

from __future__ import annotations

is_due_run = False
