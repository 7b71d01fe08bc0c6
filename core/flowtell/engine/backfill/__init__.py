"""Back-fills: a flow run for each of many days or parameters, each run in a process of its own, under one parent run."""
