"""One exported file in runtimes that nobody here wrote: what each finds and how long it takes, as a table.

Each runtime is installed into an environment of its own, and reads and writes arrays: ``alone.py`` and
``alone.mjs``, which run there, import nothing of this package. ``table.py`` imports the whole stack, ``kinds.py``
nothing.
"""
