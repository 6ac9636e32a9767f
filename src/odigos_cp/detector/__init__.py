"""The detector: looks at the processes of some containers of one node, says what they are, and ends.

It stands alone: standard library only, nothing of ours outside this package, so that its image is an interpreter and
these files. Its only contract with the rest is the JSON of `report`.

The walk: `__main__` reads the arguments and opens the output -> `belonging` finds the processes of each container ->
`examination` looks at each one (`look`) in a child that has become the process' user and can only read (`privileges`,
`confinement`) -> `choosing` asks `languages` about each and picks the one that speaks for the container -> `report`
writes what is known, within its bounds. `snapshots` is a second reader beside `procfs`, of recorded containers.
"""
