/* Activations of one run: y = f(a; p). nnfast/ops/activation.py has the formulas. NaN stays NaN in all of them. */
#ifndef NNF_KERNELS_ACTIVATION_H
#define NNF_KERNELS_ACTIVATION_H

#include "../math/sigmoid.h"
#include "arithmetic.h"

#define SELU_SCALE v_set((real)1.0507009873554804934193349852946)
#define SELU_SCALE_ALPHA v_set((real)1.7580993408473768599402175208123)

NNF_INLINE vec positive(vec a, vec above, vec below) { return v_select(v_lt(v_zero(), a), above, below); }
NNF_INLINE vec v_relu6(vec a) { return v_min(v_set(6), v_max(v_zero(), a)); }
NNF_INLINE vec v_hard_sigmoid(vec a) { return v_div(v_relu6(v_add(a, v_set(3))), v_set(6)); }
/* Beyond the limit the result is 1 in magnitude; inf / inf would be NaN. */
NNF_INLINE vec v_softsign(vec a) {
    const vec limit = v_set(NNF_PAIR(0x1p30, 0x1p60));
    const vec x = v_max(v_neg(limit), v_min(limit, a));
    return v_div(x, v_add(ONE, v_abs(x)));
}

NNF_FUNCTION1(relu, , v_max(v_zero(), a))
NNF_FUNCTION1(relu6, , v_relu6(a))
NNF_FUNCTION1(leaky_relu, const vec slope = P(0), positive(a, a, v_mul(slope, a)))
NNF_FUNCTION1(elu, const vec alpha = P(0), positive(a, a, v_mul(alpha, v_expm1(a))))
NNF_FUNCTION1(selu, , positive(a, v_mul(SELU_SCALE, a), v_mul(SELU_SCALE_ALPHA, v_expm1(a))))
NNF_FUNCTION1(sigmoid, , v_sigmoid(a))
NNF_FUNCTION1(hard_sigmoid, , v_hard_sigmoid(a))
NNF_FUNCTION1(tanh, , v_tanh(a))
NNF_FUNCTION1(gelu, , v_gelu(a))
NNF_FUNCTION1(gelu_tanh, , v_gelu_tanh(a))
NNF_FUNCTION1(silu, , v_silu(a))
/* Below -3 the second factor is 0; -inf * 0 would be NaN. */
NNF_FUNCTION1(hard_silu, , v_mul(v_max(v_set(-3), a), v_hard_sigmoid(a)))
NNF_FUNCTION1(softplus, , v_softplus(a))
NNF_FUNCTION1(softsign, , v_softsign(a))
NNF_FUNCTION1(mish, , v_mish(a))

/* clang-format off */
#define NNF_ACTIVATION_FUNCTIONS(X)                                                                                    \
    X(relu) X(relu6) X(leaky_relu) X(elu) X(selu) X(sigmoid) X(hard_sigmoid) X(tanh) X(gelu) X(gelu_tanh) X(silu)      \
    X(hard_silu) X(softplus) X(softsign) X(mish)
/* clang-format on */

#endif
