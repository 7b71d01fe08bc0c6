"""What the log tells of one run, event by event: its states with their causes, measures, artifacts, assets, attempts."""
