/* The table of one level and type: every row of every family. Included by each isa/X.c after its vocabulary. */
#include "../nnfast.h"

#include "../kernels/attention.h"
#include "../kernels/cache.h"
#include "../kernels/channel.h"
#include "../kernels/conv.h"
#include "../kernels/ctc.h"
#include "../kernels/elementwise.h"
#include "../kernels/image.h"
#include "../kernels/letters.h"
#include "../kernels/limits.h"
#include "../kernels/lookup.h"
#include "../kernels/loss.h"
#include "../kernels/matmul.h"
#include "../kernels/norm.h"
#include "../kernels/pool.h"
#include "../kernels/random.h"
#include "../kernels/recurrent.h"
#include "../kernels/reduce.h"
#include "../kernels/resample.h"
#include "../kernels/shape.h"
#include "../kernels/softmax.h"
#include "../kernels/update.h"

#define NNF_ALL_KERNELS(X)                                                                                             \
    NNF_MATMUL_KERNELS(X)                                                                                              \
    NNF_CONV_KERNELS(X)                                                                                                \
    NNF_ELEMENTWISE_KERNELS(X)                                                                                         \
    NNF_REDUCE_KERNELS(X)                                                                                              \
    NNF_SOFTMAX_KERNELS(X)                                                                                             \
    NNF_LOSS_KERNELS(X)                                                                                                \
    NNF_CTC_KERNELS(X)                                                                                                 \
    NNF_LETTERS_KERNELS(X)                                                                                             \
    NNF_SHAPE_KERNELS(X)                                                                                               \
    NNF_IMAGE_KERNELS(X)                                                                                               \
    NNF_RANDOM_KERNELS(X)                                                                                              \
    NNF_CHANNEL_KERNELS(X)                                                                                             \
    NNF_NORM_KERNELS(X)                                                                                                \
    NNF_POOL_KERNELS(X)                                                                                                \
    NNF_RESAMPLE_KERNELS(X)                                                                                            \
    NNF_RECURRENT_KERNELS(X)                                                                                           \
    NNF_UPDATE_KERNELS(X)                                                                                              \
    NNF_ATTENTION_KERNELS(X)                                                                                           \
    NNF_CACHE_KERNELS(X)                                                                                               \
    NNF_LOOKUP_KERNELS(X)                                                                                              \
    NNF_LIMITS_KERNELS(X)

#define NNF_ALL_FUNCTIONS(X) NNF_ELEMENTWISE_FUNCTIONS(X)

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
