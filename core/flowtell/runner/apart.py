"""What the runner may do with a plugin that lives in a process of its own, whatever made that process."""

from __future__ import annotations


def apart(plugin: object) -> Apart | None:
    """The plugin as one that has a process of its own; None where it has none."""
    return plugin if isinstance(plugin, Apart) else None


class Apart:
    """All of it is for any thread, while another waits for the plugin's answer."""

    @property
    def pid(self) -> int:
        raise NotImplementedError

    def memory(self) -> int:
        """Resident bytes; 0 where that cannot be told."""
        raise NotImplementedError

    def watch(self) -> None:
        """Look whether it keeps to its bounds, and kill it if not."""
        raise NotImplementedError

    def strike(self) -> None:
        """Kill it: a call under way ends with an error."""
        raise NotImplementedError

    def end(self) -> None:
        """Kill it and let go of it. For the thread that calls it, when no call is under way."""
        raise NotImplementedError
