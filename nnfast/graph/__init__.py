"""The graph: values, nodes, how Python code becomes a graph, its checker and its printer.

In: what layers and losses compute on symbolic values. Out: a Graph, read by nnfast.passes, nnfast.plan and nnfast.reference.
"""
