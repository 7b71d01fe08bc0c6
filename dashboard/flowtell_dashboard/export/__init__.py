"""One run as one HTML file that needs nothing else: no server, no script, no request."""
