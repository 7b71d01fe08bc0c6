"""How a store of an earlier release becomes one of this release, one step a file, applied by alembic.

A step is frozen once it was released. A change of `flowtell.store.tables` counts SCHEMA_VERSION up and adds a step of that
number here; new stores are made from the tables as they are. A test upgrades a store of the first release and compares.
"""
