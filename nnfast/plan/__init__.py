"""From a graph to a flat plan: memory, steps, division of work; and the plan's printed form.

In: a graph after its passes. Out: Plan (nnfast.plan.plan), which the compiled executor runs.
"""
