"""The tour: pipelines on real data, run as processes of their own, with everything that is installed watching."""
