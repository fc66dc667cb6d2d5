"""Looking inside a trained model: what a prediction depends on, and what the layers see.

In: a model of one input, arrays. Out: arrays, or pictures. attribution.py computes, pictures.py draws (extra `viz`).
"""

from nnfast.explain.attribution import grad_cam, integrated_gradients, occlusion, saliency, smooth_grad
from nnfast.explain.pictures import draw_feature_maps, draw_filters, feature_maps

__all__ = [
    "draw_feature_maps",
    "draw_filters",
    "feature_maps",
    "grad_cam",
    "integrated_gradients",
    "occlusion",
    "saliency",
    "smooth_grad",
]
