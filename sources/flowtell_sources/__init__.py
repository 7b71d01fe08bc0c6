"""Sources for flowtell: observe commands, Prefect and other schedulers without rewriting them."""
