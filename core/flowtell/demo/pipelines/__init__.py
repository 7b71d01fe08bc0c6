"""The demo's pipelines, which are examples too: weather readings become tables of a small SQLite warehouse.

Each file runs by itself, in this order: `flowtell run flowtell.demo.pipelines.collect`, then `load`, `months`, `quality`
and `normals`.
"""
