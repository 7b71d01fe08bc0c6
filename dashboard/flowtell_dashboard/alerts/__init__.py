"""Alerts: what is wrong now, what rules found, who is silent, and what no channel took."""
