"""The benchmark: the same work in nnfast and in its peers, checked first, timed in turns, beside what the machine can do.

    cases       what is measured: sizes and nothing else
    inputs      the arrays of a case, the same in every process
    peers/      how each library does a case: one short file each
    worker      a process of one library, which answers questions on its standard input
    process     the other end of its pipes
    limits      what the machine can do at most
    rounds      check a case, time all sides in turns -> Line: times, ratios with intervals, fraction of the limit
    footprint   import time, size, memory and first call, in fresh processes
    run         the command: chooses cases and peers
    table, chart    what a reader sees

Only `run` is for others: `nnfast bench` calls it; bench/ reads `cases` and `peers`.
"""
