"""Training and prediction: what compile, fit, evaluate and predict do.

state.py   what lives between steps: counters, learning rates, optimizer state, all weights in one piece of memory
targets.py which losses and metrics stand on which output
step.py    traces a training, test or prediction step and plans it
phase.py   runs the batches of an epoch through a plan
run.py     where a fit stands, for a file
resume.py  goes on from such a file
loop.py    fit, evaluate, predict: epochs, callbacks, progress
"""
