"""What the tests check, as functions, so that test_tests.py can show that they catch faults.

ops.py       an op's results: reference, bits, places, memory around them
gradients.py gradient rules against central differences
products.py  the three matrix products through the executor, on memory of one's own
guarded.py   arrays between sentinels, or between pages that nobody may touch
models.py    the models that passes, plans and bits are tested on, and their graphs
random_layers.py, resumable.py, model_files.py, saving_loop.py  layers, trainings, files and a process for the tests of state
plans.py     memory plans and barriers, by simulation
"""
