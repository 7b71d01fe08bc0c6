"""The Prefect bridge: a running Prefect server's runs, assets and capacity as events, by its REST API and event websocket.

Prefect itself is never imported, and nothing is installed in its flows.
"""
