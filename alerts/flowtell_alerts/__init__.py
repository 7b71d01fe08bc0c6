"""Rules, incidents and notifications for flowtell."""
