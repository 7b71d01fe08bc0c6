"""The timeline: all runs over time, at the resolution of the screen, with exact counts."""
