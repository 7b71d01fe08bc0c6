"""Pages about assets: the catalogue, and one asset with its surroundings."""
