/* The division of work over threads: equal ranges of whole grains, the same owner in each call. */
#ifndef NNF_KERNELS_SPLIT_H
#define NNF_KERNELS_SPLIT_H

#include "../nnfast.h"

typedef struct {
    int64_t begin, end;
} nnf_range;

/* The part of 0..count-1 that belongs to this thread; it begins at a multiple of grain. Empty for threads beyond
 * step->threads. */
static inline nnf_range split_range(const nnf_step *step, int64_t count, int64_t grain, int thread, int threads) {
    const int64_t team = step->threads < threads ? (step->threads > 0 ? step->threads : 1) : threads;
    nnf_range range = {0, 0};
    if (thread >= team || count <= 0)
        return range;
    const int64_t grains = (count + grain - 1) / grain;
    range.begin = grains * thread / team * grain;
    range.end = grains * (thread + 1) / team * grain;
    if (range.end > count)
        range.end = count;
    return range;
}

/* Elements of one cache line: ranges of whole lines keep threads out of each other's lines. */
#define NNF_LINE ((int64_t)(64 / sizeof(real)))

#endif
