"""The flow wing: what runs inside a user's process and writes events. Users import its names from `flowtell`."""
