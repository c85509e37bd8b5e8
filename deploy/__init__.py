"""What stands behind the game server: the Collector's pipelines, its stores, and how they are built and run.

Run from a checkout: ``python -m deploy --help``. Not part of the installed runtime.
"""
