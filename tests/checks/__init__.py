"""What the tests check, as functions, so that test_tests.py can show that they catch faults.

ops.py       an op's results: reference, bits, places, memory around them
gradients.py gradient rules against central differences
products.py  the three matrix products through the executor, on memory of one's own
guarded.py   arrays between sentinels, or between pages that nobody may touch
models.py    the models that passes, plans and bits are tested on, and their graphs
resumable.py  a training with everything that has a state, to be stopped and resumed
plans.py     memory plans and barriers, by simulation
"""
