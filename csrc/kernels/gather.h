/* The ends of a step: rows of the user's data come in, records go out, the counters move on.
 *
 * `gather_rows`, `gather_rows_int32`
 *   buffer: 0 y[B, row] (real or int32), 1 source (bytes), 2 index int64, 3 counters
 *   size:   B, row (elements), stride of a source row in bytes, type code of the source, number of source rows
 *   Row i comes from source row index[counters[NNF_ROW] + i]; an index outside the source leaves zeros.
 *   Types: 0 uint8 and bool, 1 int8, 2 int16, 3 uint16, 4 int32, 5 uint32, 6 int64, 7 uint64, 8 float16, 9 float32,
 *   10 float64. To int32, reals are truncated toward zero and saturated (NaN to INT32_MIN), integers saturated.
 *
 * `record`
 *   buffer: 0 log double, 1 x real[width], 2 counters
 *   size:   width, stride of the log, offset
 *   log[counters[NNF_SLOT] * stride + offset + i] = x[i]. Thread 0.
 *
 * `advance`
 *   buffer: 0 counters
 *   size:   what to add to NNF_ITERATION, NNF_ROW, NNF_SLOT. Thread 0. */
#ifndef NNF_KERNELS_GATHER_H
#define NNF_KERNELS_GATHER_H

#include "arithmetic.h"
#include "split.h"

/* float16 to float32, exact: the bits of the magnitude as those of a float, times 2^112; denormals come right by that.
 */
static inline float half_to_float(uint16_t half) {
    union {
        uint32_t bits;
        float value;
    } x = {(uint32_t)(half & 0x7fff) << 13};
    x.value *= 0x1p112f;
    x.bits |= ((half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0) | (uint32_t)(half & 0x8000) << 16;
    return x.value;
}

static inline int32_t saturate_int32(double x) {
    return !(x >= -0x1p31) ? INT32_MIN : x >= 0x1p31 ? INT32_MAX : (int32_t)x;
}

/* The index of row i of this batch, or -1. */
static inline int64_t gather_index(const nnf_step *step, int64_t i) {
    const int64_t *index = (const int64_t *)step->buffer[2], *counters = (const int64_t *)step->buffer[3];
    const int64_t row = index[counters[NNF_ROW] + i];
    return row >= 0 && row < step->size[4] ? row : -1;
}

/* One row: y[j] = CONVERT(x[j]) for n elements of a C type. Sources may be unaligned, so elements are copied out. */
#define NNF_GATHER_CASE(code, type, CONVERT)                                                                           \
    case code:                                                                                                         \
        for (int64_t j = 0; j < n; j++) {                                                                              \
            type value;                                                                                                \
            __builtin_memcpy(&value, x + j * (int64_t)sizeof value, sizeof value);                                     \
            y[j] = CONVERT(value);                                                                                     \
        }                                                                                                              \
        break;

#define NNF_TO_REAL(value) ((real)(value))
#define NNF_HALF_TO_REAL(value) ((real)half_to_float(value))
#define NNF_TO_INT32(value) ((int32_t)(value))
#define NNF_REAL_TO_INT32(value) saturate_int32((double)(value))
#define NNF_HALF_TO_INT32(value) saturate_int32((double)half_to_float(value))
#define NNF_UNSIGNED_TO_INT32(value) ((value) > INT32_MAX ? INT32_MAX : (int32_t)(value))
#define NNF_LONG_TO_INT32(value) ((value) < INT32_MIN ? INT32_MIN : NNF_UNSIGNED_TO_INT32(value))

#define NNF_OWN_TYPE (sizeof(real) == 4 ? 9 : 10)

/* Rows come from anywhere in the source, so those to come are fetched ahead: batches of 256 rows of 30 float32 numbers
 * out of 12 MB took 16 us, with this and copies of whole rows 8 to 10 us (Intel Xeon, AVX-512, one thread, 2026-11);
 * rows in cache take 2 us. */
#define NNF_GATHER_AHEAD 64

static inline void gather_fetch(const nnf_step *step, int64_t i) {
    const int64_t row = gather_index(step, i), bytes = step->size[2] < 1024 ? step->size[2] : 1024;
    if (row >= 0)
        for (int64_t j = 0; j < bytes; j += 64)
            __builtin_prefetch(step->buffer[1] + row * step->size[2] + j);
}

static void gather_row(real *y, const char *x, int64_t n, int64_t type) {
    if (type == NNF_OWN_TYPE) {
        __builtin_memcpy(y, x, (uint64_t)n * sizeof *y);
        return;
    }
    switch (type) {
        NNF_GATHER_CASE(0, uint8_t, NNF_TO_REAL)
        NNF_GATHER_CASE(1, int8_t, NNF_TO_REAL)
        NNF_GATHER_CASE(2, int16_t, NNF_TO_REAL)
        NNF_GATHER_CASE(3, uint16_t, NNF_TO_REAL)
        NNF_GATHER_CASE(4, int32_t, NNF_TO_REAL)
        NNF_GATHER_CASE(5, uint32_t, NNF_TO_REAL)
        NNF_GATHER_CASE(6, int64_t, NNF_TO_REAL)
        NNF_GATHER_CASE(7, uint64_t, NNF_TO_REAL)
        NNF_GATHER_CASE(8, uint16_t, NNF_HALF_TO_REAL)
        NNF_GATHER_CASE(9, float, NNF_TO_REAL)
        NNF_GATHER_CASE(10, double, NNF_TO_REAL)
    }
}

static void gather_row_int32(int32_t *y, const char *x, int64_t n, int64_t type) {
    switch (type) {
        NNF_GATHER_CASE(0, uint8_t, NNF_TO_INT32)
        NNF_GATHER_CASE(1, int8_t, NNF_TO_INT32)
        NNF_GATHER_CASE(2, int16_t, NNF_TO_INT32)
        NNF_GATHER_CASE(3, uint16_t, NNF_TO_INT32)
        NNF_GATHER_CASE(4, int32_t, NNF_TO_INT32)
        NNF_GATHER_CASE(5, uint32_t, NNF_UNSIGNED_TO_INT32)
        NNF_GATHER_CASE(6, int64_t, NNF_LONG_TO_INT32)
        NNF_GATHER_CASE(7, uint64_t, NNF_UNSIGNED_TO_INT32)
        NNF_GATHER_CASE(8, uint16_t, NNF_HALF_TO_INT32)
        NNF_GATHER_CASE(9, float, NNF_REAL_TO_INT32)
        NNF_GATHER_CASE(10, double, NNF_REAL_TO_INT32)
    }
}

#define NNF_GATHER(name, type, convert)                                                                                \
    static void k_##name(const nnf_step *step, int thread, int threads) {                                              \
        const int64_t n = step->size[1];                                                                               \
        const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);                                   \
        for (int64_t i = rows.begin; i < rows.end; i++) {                                                              \
            if (i + NNF_GATHER_AHEAD < rows.end)                                                                       \
                gather_fetch(step, i + NNF_GATHER_AHEAD);                                                              \
            type *y = (type *)step->buffer[0] + i * n;                                                                 \
            const int64_t row = gather_index(step, i);                                                                 \
            if (row < 0)                                                                                               \
                __builtin_memset(y, 0, (uint64_t)n * sizeof *y);                                                       \
            else                                                                                                       \
                convert(y, step->buffer[1] + row * step->size[2], n, step->size[3]);                                   \
        }                                                                                                              \
    }

NNF_GATHER(gather_rows, real, gather_row)
NNF_GATHER(gather_rows_int32, int32_t, gather_row_int32)

static void k_record(const nnf_step *step, int thread, int threads) {
    (void)threads;
    if (thread != 0)
        return;
    const int64_t *counters = (const int64_t *)step->buffer[2];
    double *log = (double *)step->buffer[0] + counters[NNF_SLOT] * step->size[1] + step->size[2];
    const real *x = (const real *)step->buffer[1];
    for (int64_t i = 0; i < step->size[0]; i++)
        log[i] = (double)x[i];
}

static void k_advance(const nnf_step *step, int thread, int threads) {
    (void)threads;
    if (thread != 0)
        return;
    int64_t *counters = (int64_t *)step->buffer[0];
    counters[NNF_ITERATION] += step->size[0];
    counters[NNF_ROW] += step->size[1];
    counters[NNF_SLOT] += step->size[2];
}

#define NNF_GATHER_KERNELS(X) X(gather_rows) X(gather_rows_int32) X(record) X(advance)

#endif
