"""The command line: words on a terminal and exit codes over the library. It holds no algorithm.

Installed as `weft_geo_cli`, because `cli` would clash with other packages. Every command has a file of its own and
imports the library only when it runs, so that `weft-geo --help` answers at once.
"""
