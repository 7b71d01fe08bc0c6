"""The web pages of flowtell: what runs, what ran, and one page for each run."""
