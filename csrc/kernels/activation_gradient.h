/* Derivatives of activations times dy, of one run: y = a * f'(b; p), a = dy; b is the activation's output where the
 * comment says y, else its input x. At kinks the derivative is PyTorch's: relu'(0) = 0, relu6 and hard_sigmoid are flat
 * at both ends, leaky_relu'(0) = slope. */
#ifndef NNF_KERNELS_ACTIVATION_GRADIENT_H
#define NNF_KERNELS_ACTIVATION_GRADIENT_H

#include "activation.h"

NNF_INLINE vec between(vec low, vec x, vec high, vec inside) {
    return v_select(m_and(v_lt(low, x), v_lt(x, high)), inside, v_zero());
}

/* d (2x + 3) / 6 between -3 and 3 */
NNF_INLINE vec hard_silu_slope(vec d, vec x) {
    const vec middle = v_div(v_mul(d, v_fma(v_set(2), x, v_set(3))), v_set(6));
    return v_select(v_le(x, v_set(-3)), v_zero(), v_select(v_le(v_set(3), x), d, middle));
}

NNF_INLINE vec softsign_slope(vec x) {
    const vec divisor = v_add(ONE, v_abs(x));
    return v_div(ONE, v_mul(divisor, divisor));
}

NNF_FUNCTION2(relu_gradient, , positive(b, a, v_zero()))           /* y */
NNF_FUNCTION2(relu6_gradient, , between(v_zero(), b, v_set(6), a)) /* y */
NNF_FUNCTION2(leaky_relu_gradient, const vec slope = P(0), positive(b, a, v_mul(slope, a)))
NNF_FUNCTION2(elu_gradient, const vec alpha = P(0), positive(b, a, v_mul(a, v_add(b, alpha)))) /* y */
NNF_FUNCTION2(selu_gradient, , v_mul(a, positive(b, SELU_SCALE, v_add(b, SELU_SCALE_ALPHA))))  /* y */
NNF_FUNCTION2(sigmoid_gradient, , v_mul(v_mul(a, b), v_sub(ONE, b)))                           /* y */
NNF_FUNCTION2(hard_sigmoid_gradient, , between(v_set(-3), b, v_set(3), v_div(a, v_set(6))))
NNF_FUNCTION2(tanh_gradient, , v_mul(a, v_fnma(b, b, ONE))) /* y */
NNF_FUNCTION2(gelu_gradient, , v_mul(a, gelu_slope(b)))
NNF_FUNCTION2(gelu_tanh_gradient, , v_mul(a, gelu_tanh_slope(b)))
NNF_FUNCTION2(silu_gradient, , v_mul(a, silu_slope(b)))
NNF_FUNCTION2(hard_silu_gradient, , hard_silu_slope(a, b))
NNF_FUNCTION2(softplus_gradient, , v_mul(a, v_sigmoid(b)))
NNF_FUNCTION2(softsign_gradient, , v_mul(a, softsign_slope(b)))
NNF_FUNCTION2(mish_gradient, , v_mul(a, mish_slope(b)))

/* clang-format off */
#define NNF_ACTIVATION_GRADIENT_FUNCTIONS(X)                                                                           \
    X(relu_gradient) X(relu6_gradient) X(leaky_relu_gradient) X(elu_gradient) X(selu_gradient) X(sigmoid_gradient)     \
    X(hard_sigmoid_gradient) X(tanh_gradient) X(gelu_gradient) X(gelu_tanh_gradient) X(silu_gradient)                  \
    X(hard_silu_gradient) X(softplus_gradient) X(softsign_gradient) X(mish_gradient)
/* clang-format on */

#endif
