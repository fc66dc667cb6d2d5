"""Networks from their public descriptions, with random weights; names and arguments as in keras.applications.

In: the shape of an image, the number of classes. Out: a Model. One file per family; what they share stands in blocks.py.
"""

from nnfast.applications.inverted import EfficientNetLite0, MobileNetV2
from nnfast.applications.lenet import LeNet5
from nnfast.applications.mobilenet import MobileNet
from nnfast.applications.resnet import ResNet, ResNet18, ResNet34, ResNet50
from nnfast.applications.vgg import VGG11

__all__ = [
    "EfficientNetLite0",
    "LeNet5",
    "MobileNet",
    "MobileNetV2",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "VGG11",
]
