"""Plans looked at from outside: what lies where, written and read when, without the planner's own notion of lifetimes."""

from nnfast.plan.memory import ARENA, CONSTANTS


def bytes_of(place):
    return place.space, place.offset, place.offset + place.nbytes


def overlaps(a, b):
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def check_memory(plan):
    """Replay the steps, keeping for each piece of memory which step wrote it last: whatever a node reads must still be what the node
    that made it wrote, and what is known beforehand (constants, inputs) must be untouched."""
    layout, graph = plan.layout, plan.graph
    content = {}  # value whose bytes are intact -> its bytes

    def write(value):
        place = bytes_of(layout.places[value])
        for other in [v for v, at in content.items() if overlaps(at, place) and v is not value]:
            del content[other]
        content[value] = place

    for value in (*graph.constants.values(), *graph.variables.values(), *graph.inputs):
        write(value)
    for node in graph.nodes:
        for value in node.inputs:
            assert value in content, f"{node} reads {value}, whose memory another value has taken"
        if node.op.view:
            content[node.output] = bytes_of(layout.places[node.output])
            continue
        for value in node.outputs:
            write(value)
    for value in graph.outputs:
        assert value in content, f"the output {value} is overwritten before the end"
    for variable, new in graph.updates:
        assert new in content, f"the new content of {variable} is overwritten before the end"
        assert layout.places[new] == layout.places[variable], f"{variable} is not updated in its own memory"
    for value, place in layout.places.items():
        if place.space == ARENA:
            assert place.end <= layout.arena_bytes, f"{value} lies beyond the arena"
        if place.space == CONSTANTS:
            assert place.end <= layout.constant_bytes, f"{value} lies beyond the constants"
        assert place.offset % 64 == 0, f"{value} is not aligned"


def check_in_place(plan):
    """A step that writes over one of its inputs does so on exactly the same bytes: a shifted overlap would read what it wrote."""
    for step in plan.steps:
        for written in step.writes():
            for read in step.reads():
                if written.overlaps(read):
                    assert (written.offset, written.nbytes) == (read.offset, read.nbytes), step.title


def check_constants_stay(plan):
    for step in plan.steps:
        assert all(place.space != CONSTANTS for place in step.writes()), f"{step.title} writes to a constant"


def check_barriers(plan):
    """Between two barriers no thread may touch what another writes. Every step's memory is taken as touched by all of its threads:
    a step of one thread belongs to thread 0."""
    since = []  # (title, threads, writes, reads) since the last barrier
    for step in plan.steps:
        if step.barrier:
            since = []
        writes, reads = [bytes_of(p) for p in step.writes()], [bytes_of(p) for p in step.reads()]
        for title, threads, earlier_writes, earlier_reads in since:
            if threads == 1 and step.threads == 1:
                continue
            clash = any(overlaps(a, b) for a in writes for b in (*earlier_writes, *earlier_reads))
            clash |= any(overlaps(a, b) for a in reads for b in earlier_writes)
            assert not clash, f"{step.title} and {title} meet in memory without a barrier between them"
        since.append((step.title, step.threads, writes, reads))


ALL = (check_memory, check_in_place, check_constants_stay, check_barriers)
