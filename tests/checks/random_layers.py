"""Layers that change images or sound at random, for the tests of files: name to (how to make one, shape of a row of 4 numbers)."""

from nnfast import layers

IMAGE, SOUND = (2, 2, 1), (4, 1)
RANDOM = {
    "CenterCrop": (lambda: layers.CenterCrop(1, 2), IMAGE),
    "RandomBrightness": (lambda: layers.RandomBrightness(0.2), IMAGE),
    "RandomContrast": (lambda: layers.RandomContrast(0.2), IMAGE),
    "RandomCrop": (lambda: layers.RandomCrop(1, 2), IMAGE),
    "RandomErasing": (lambda: layers.RandomErasing(0.5), IMAGE),
    "RandomFlip": (lambda: layers.RandomFlip(), IMAGE),
    "RandomRotation": (lambda: layers.RandomRotation(0.1), IMAGE),
    "RandomTimeShift": (lambda: layers.RandomTimeShift(0.3), SOUND),
    "RandomTranslation": (lambda: layers.RandomTranslation(0.1, 0.2), IMAGE),
    "RandomZoom": (lambda: layers.RandomZoom(0.2), IMAGE),
    "SpecAugment": (lambda: layers.SpecAugment(), IMAGE),
}
MIXING = {"CutMix", "MixUp"}  # of images and labels together, so not part of a model
