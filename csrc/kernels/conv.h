/* Convolution over up to three axes, channels last, as products of matrices of which one is never made whole.
 *
 * An output pixel is the product of one row, the C inputs under each tap in the order (depth, height, width, channel),
 * with the weight [taps * C, N] in panels: the numerics are those of matmul.h. What a tap finds outside the input is a
 * zero, multiplied like any other number, or left out where that makes no difference (conv_order.h). A group of
 * channels sees its own inputs and outputs only.
 *
 * Taps are read at fixed offsets from their pixel, in x or in a copy with the padding around it. */
#ifndef NNF_CONV_H
#define NNF_CONV_H

#include "activation_gradient.h"
#include "matmul.h"

#include "conv_gather.h"

#include "conv_window.h"

#include "conv_order.h"

#include "conv_tile.h"

#include "conv_forward.h"

#include "conv_weight_gradient.h"

#include "conv_turn.h"

#include "conv_depthwise.h"

#include "conv_depthwise_gradient.h"

#define NNF_CONV_KERNELS(X)                                                                                            \
    X(conv)                                                                                                            \
    X(conv_weight_gradient)                                                                                            \
    X(turn_weight)                                                                                                     \
    X(depthwise_conv)                                                                                                  \
    X(depthwise_conv_weight_gradient)

#endif
