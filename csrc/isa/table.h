/* The table of one level and type: every row of every family. Included by each isa/X.c after its vocabulary. */
#include "../nnfast.h"

#if __has_include("../kernels/matmul.h")
#include "../kernels/matmul.h"
#else
#define NNF_MATMUL_KERNELS(X)
#define NNF_MATMUL_FUNCTIONS(X)
#endif
#if __has_include("../kernels/elementwise.h")
#include "../kernels/elementwise.h"
#endif
#if __has_include("../kernels/reduce.h")
#include "../kernels/reduce.h"
#endif
#if __has_include("../kernels/softmax.h")
#include "../kernels/softmax.h"
#endif
#if __has_include("../kernels/loss.h")
#include "../kernels/loss.h"
#endif
#if __has_include("../kernels/shape.h")
#include "../kernels/shape.h"
#endif
#if __has_include("../kernels/random.h")
#include "../kernels/random.h"
#endif
#if __has_include("../kernels/update.h")
#include "../kernels/update.h"
#endif

/* A family lists its kernels, its functions, or both. */
#ifndef NNF_MATMUL_KERNELS
#define NNF_MATMUL_KERNELS(X)
#endif
#ifndef NNF_MATMUL_FUNCTIONS
#define NNF_MATMUL_FUNCTIONS(X)
#endif
#ifndef NNF_ELEMENTWISE_KERNELS
#define NNF_ELEMENTWISE_KERNELS(X)
#endif
#ifndef NNF_ELEMENTWISE_FUNCTIONS
#define NNF_ELEMENTWISE_FUNCTIONS(X)
#endif
#ifndef NNF_REDUCE_KERNELS
#define NNF_REDUCE_KERNELS(X)
#endif
#ifndef NNF_REDUCE_FUNCTIONS
#define NNF_REDUCE_FUNCTIONS(X)
#endif
#ifndef NNF_SOFTMAX_KERNELS
#define NNF_SOFTMAX_KERNELS(X)
#endif
#ifndef NNF_SOFTMAX_FUNCTIONS
#define NNF_SOFTMAX_FUNCTIONS(X)
#endif
#ifndef NNF_LOSS_KERNELS
#define NNF_LOSS_KERNELS(X)
#endif
#ifndef NNF_LOSS_FUNCTIONS
#define NNF_LOSS_FUNCTIONS(X)
#endif
#ifndef NNF_SHAPE_KERNELS
#define NNF_SHAPE_KERNELS(X)
#endif
#ifndef NNF_SHAPE_FUNCTIONS
#define NNF_SHAPE_FUNCTIONS(X)
#endif
#ifndef NNF_RANDOM_KERNELS
#define NNF_RANDOM_KERNELS(X)
#endif
#ifndef NNF_RANDOM_FUNCTIONS
#define NNF_RANDOM_FUNCTIONS(X)
#endif
#ifndef NNF_UPDATE_KERNELS
#define NNF_UPDATE_KERNELS(X)
#endif
#ifndef NNF_UPDATE_FUNCTIONS
#define NNF_UPDATE_FUNCTIONS(X)
#endif

#define NNF_ALL_KERNELS(X)                                                                                             \
    NNF_MATMUL_KERNELS(X) \
    NNF_ELEMENTWISE_KERNELS(X) \
    NNF_REDUCE_KERNELS(X) \
    NNF_SOFTMAX_KERNELS(X) \
    NNF_LOSS_KERNELS(X) \
    NNF_SHAPE_KERNELS(X) \
    NNF_RANDOM_KERNELS(X) \
    NNF_UPDATE_KERNELS(X)

#define NNF_ALL_FUNCTIONS(X)                                                                                           \
    NNF_MATMUL_FUNCTIONS(X) \
    NNF_ELEMENTWISE_FUNCTIONS(X) \
    NNF_REDUCE_FUNCTIONS(X) \
    NNF_SOFTMAX_FUNCTIONS(X) \
    NNF_LOSS_FUNCTIONS(X) \
    NNF_SHAPE_FUNCTIONS(X) \
    NNF_RANDOM_FUNCTIONS(X) \
    NNF_UPDATE_FUNCTIONS(X)

#define NNF_KERNEL_ROW(name) {#name, k_##name, 0},
#define NNF_FUNCTION_ROW(name) {#name, 0, f_##name},

static const nnf_entry entries[] = {NNF_ALL_KERNELS(NNF_KERNEL_ROW) NNF_ALL_FUNCTIONS(NNF_FUNCTION_ROW)};

#define NNF_PASTE(level, real) nnf_table_##level##_f##real
#define NNF_TABLE_NAME(level, real) NNF_PASTE(level, real)
#define NNF_TEXT(x) #x
#define NNF_EXPANDED_TEXT(x) NNF_TEXT(x)

extern const nnf_table NNF_TABLE_NAME(NNF_LEVEL, NNF_REAL);
const nnf_table NNF_TABLE_NAME(NNF_LEVEL, NNF_REAL) = {
    .level = NNF_EXPANDED_TEXT(NNF_LEVEL),
    .dtype = NNF_REAL == 32 ? "float32" : "float64",
    .lanes = LANES,
    .count = (int32_t)(sizeof entries / sizeof entries[0]),
    .entries = entries,
};
