/* Pooling over windows of x[B, D, H, W, C], channels as lanes. y[B, d, h, w, C], one element per window and channel.
 *
 * | kernel                  | buffer                   |                                                              |
 * |-------------------------|--------------------------|--------------------------------------------------------------|
 * | `max_pool`              | 0 y, 1 x                 | the greatest of a window; NaN if one is                      |
 * | `max_pool_pick`         | 0 y, 1 g, 2 x            | g where x is greatest; the first of equals, the first NaN    |
 * | `max_pool_gradient`     | 0 dx, 1 dy, 2 x          | dx = sum of dy of the windows in which x is that greatest    |
 * | `average_pool`          | 0 y, 1 x                 | sum over the window, times 1 / (number of its elements)      |
 * | `average_pool_gradient` | 0 dx, 1 dy               | dx = sum of dy / number over the windows that hold x         |
 *
 * size: B, D, H, W, C, d, h, w, then per axis the windows' tables: begin and end for each of d, of h, of w; padding is
 * outside of them. average_pool_gradient has per axis also the first and the end of the windows that hold an element,
 * for each of D, of H, of W. Windows begin and end in ascending order. Sums are chains in ascending order of (d, h, w).
 * Threads divide the elements of y, for max_pool_gradient images and groups of channels, else the elements of dx. */
#ifndef NNF_KERNELS_POOL_H
#define NNF_KERNELS_POOL_H

#include "channel.h"
#include "reduce.h"

enum { POOL_GROUP = 64 }; /* channels of max_pool_gradient that one thread takes at least */

typedef struct {
    int64_t batch, in[3], channels, out[3];
    const int64_t *window[3]; /* begin, end of each window */
    const int64_t *holder[3]; /* first, end of the windows that hold an element */
} pool_shape;

static pool_shape pool_shape_of(const nnf_step *step) {
    const int64_t *size = step->size, *table = size + 8;
    pool_shape s = {.batch = size[0], .channels = size[4]};
    for (int a = 0; a < 3; a++) {
        s.in[a] = size[1 + a];
        s.out[a] = size[5 + a];
        s.window[a] = table;
        table += 2 * s.out[a];
    }
    for (int a = 0; a < 3; a++) {
        s.holder[a] = table;
        table += 2 * s.in[a];
    }
    return s;
}

/* A box of x, or of y: where it begins and ends on each axis. */
typedef struct {
    int64_t begin[3], end[3];
} pool_box;

/* What the tables say of the pixel of this index in a tensor of these extents. */
NNF_INLINE pool_box pool_box_of(const int64_t *const *table, const int64_t *extent, int64_t pixel, int64_t *image) {
    pool_box box;
    for (int a = 2; a >= 0; a--) {
        const int64_t i = pixel % extent[a];
        pixel /= extent[a];
        box.begin[a] = table[a][2 * i];
        box.end[a] = table[a][2 * i + 1];
    }
    *image = pixel;
    return box;
}

NNF_INLINE int64_t pool_count(const int64_t *const *table, int64_t d, int64_t h, int64_t w) {
    return (table[0][2 * d + 1] - table[0][2 * d]) * (table[1][2 * h + 1] - table[1][2 * h]) *
           (table[2][2 * w + 1] - table[2][2 * w]);
}

/* NNF_BOX(statement): for each pixel of `box` in a tensor of `extent`; `at` is its first element, k its number. */
#define NNF_BOX(statement)                                                                                             \
    for (int64_t d = box.begin[0], k = 0; d < box.end[0]; d++)                                                         \
        for (int64_t h = box.begin[1]; h < box.end[1]; h++)                                                            \
            for (int64_t w = box.begin[2]; w < box.end[2]; w++, k++) {                                                 \
                const int64_t at = ((d * extent[1] + h) * extent[2] + w) * n + c;                                      \
                statement                                                                                              \
            }

#define NNF_POOL_MAX(count, LOAD, STORE)                                                                               \
    {                                                                                                                  \
        vec best[count];                                                                                               \
        NNF_EACH(count) best[v] = v_set(-NNF_INFINITY);                                                                \
        NNF_BOX((void)k; NNF_EACH(count) best[v] = max_or_nan(best[v], LOAD(x + at + v * LANES));)                     \
        NNF_EACH(count) STORE(y + c + v * LANES, best[v]);                                                             \
    }

static void pool_max(real *y, const real *x, pool_box box, const int64_t *extent,
                     int64_t n){NNF_BY_COLUMNS(n, NNF_POOL_MAX)}

#define NNF_POOL_SUM(count, LOAD, STORE)                                                                               \
    {                                                                                                                  \
        vec sum[count];                                                                                                \
        NNF_EACH(count) sum[v] = v_zero();                                                                             \
        NNF_BOX((void)k; NNF_EACH(count) sum[v] = v_add(sum[v], LOAD(x + at + v * LANES));)                            \
        NNF_EACH(count) STORE(y + c + v * LANES, v_mul(sum[v], v_set(share)));                                         \
    }

static void pool_average(real *y, const real *x, pool_box box, const int64_t *extent, int64_t n) {
    const int64_t count = (box.end[0] - box.begin[0]) * (box.end[1] - box.begin[1]) * (box.end[2] - box.begin[2]);
    const real share = 1 / (real)count;
    NNF_BY_COLUMNS(n, NNF_POOL_SUM)
}

/* One pixel of dx: the windows in `box` hold it. */
#define NNF_POOL_SPREAD(count, LOAD, STORE)                                                                            \
    {                                                                                                                  \
        vec sum[count];                                                                                                \
        NNF_EACH(count) sum[v] = v_zero();                                                                             \
        NNF_BOX((void)k; const vec share = v_set(1 / (real)pool_count(window, d, h, w));                               \
                NNF_EACH(count) sum[v] = v_add(sum[v], v_mul(LOAD(dy + at + v * LANES), share));)                      \
        NNF_EACH(count) STORE(dx + c + v * LANES, sum[v]);                                                             \
    }

static void pool_spread(real *dx, const real *dy, pool_box box, const int64_t *extent, const int64_t *const *window,
                        int64_t n){NNF_BY_COLUMNS(n, NNF_POOL_SPREAD)}

/* The number of the first greatest of a window, the first NaN before all. */
#define NNF_POOL_PLACE(count, LOAD)                                                                                    \
    vec best[count], place[count];                                                                                     \
    NNF_EACH(count) {                                                                                                  \
        best[v] = v_set(-NNF_INFINITY);                                                                                \
        place[v] = v_zero();                                                                                           \
    }                                                                                                                  \
    NNF_BOX(const vec number = v_set((real)k); NNF_EACH(count) {                                                       \
        const vec value = LOAD(x + at + v * LANES);                                                                    \
        const mask take = m_and(m_not(v_le(value, best[v])), m_not(v_isnan(best[v])));                                 \
        best[v] = v_select(take, value, best[v]);                                                                      \
        place[v] = v_select(take, number, place[v]);                                                                   \
    })

#define NNF_POOL_PICK(count, LOAD, STORE)                                                                              \
    {                                                                                                                  \
        NNF_POOL_PLACE(count, LOAD)                                                                                    \
        NNF_EACH(count) best[v] = v_zero();                                                                            \
        NNF_BOX(const vec number = v_set((real)k);                                                                     \
                NNF_EACH(count) best[v] = v_select(v_eq(place[v], number), LOAD(g + at + v * LANES), best[v]);)        \
        NNF_EACH(count) STORE(y + c + v * LANES, best[v]);                                                             \
    }

static void pool_pick(real *y, const real *g, const real *x, pool_box box, const int64_t *extent,
                      int64_t n){NNF_BY_COLUMNS(n, NNF_POOL_PICK)}

/* dy goes to the greatest of its window. tiled: no other window holds these elements, and none has written there. */
#define NNF_POOL_GIVE(count, LOAD, STORE)                                                                              \
    {                                                                                                                  \
        NNF_POOL_PLACE(count, LOAD)                                                                                    \
        NNF_EACH(count) best[v] = LOAD(dy + c + v * LANES);                                                            \
        NNF_BOX(const vec number = v_set((real)k); NNF_EACH(count) {                                                   \
            const vec part = v_select(v_eq(place[v], number), best[v], v_zero());                                      \
            STORE(dx + at + v * LANES, tiled ? part : v_add(LOAD(dx + at + v * LANES), part));                         \
        })                                                                                                             \
    }

NNF_INLINE void pool_give_columns(real *dx, const real *dy, const real *x, pool_box box, const int64_t *extent,
                                  int64_t n, int64_t columns, int tiled) {
    NNF_BY_COLUMNS(columns, NNF_POOL_GIVE)
}
static void pool_give(real *dx, const real *dy, const real *x, pool_box box, const int64_t *extent, int64_t n,
                      int64_t columns, int tiled) {
    if (tiled)
        pool_give_columns(dx, dy, x, box, extent, n, columns, 1);
    else
        pool_give_columns(dx, dy, x, box, extent, n, columns, 0);
}

/* dx of a window that holds its elements alone. */
#define NNF_POOL_FILL(count, LOAD, STORE)                                                                              \
    {                                                                                                                  \
        vec part[count];                                                                                               \
        NNF_EACH(count) part[v] = v_mul(LOAD(dy + c + v * LANES), v_set(share));                                       \
        NNF_BOX((void)k; NNF_EACH(count) STORE(dx + at + v * LANES, part[v]);)                                         \
    }

static void pool_fill(real *dx, const real *dy, pool_box box, const int64_t *extent, int64_t n) {
    const int64_t count = (box.end[0] - box.begin[0]) * (box.end[1] - box.begin[1]) * (box.end[2] - box.begin[2]);
    const real share = 1 / (real)count;
    NNF_BY_COLUMNS(n, NNF_POOL_FILL)
}

/* Does each element belong to exactly one window? */
static int pool_tiles(const pool_shape *s) {
    for (int a = 0; a < 3; a++) {
        int64_t end = 0;
        for (int64_t o = 0; o < s->out[a]; o++) {
            if (s->window[a][2 * o] != end)
                return 0;
            end = s->window[a][2 * o + 1];
        }
        if (end != s->in[a])
            return 0;
    }
    return 1;
}

NNF_INLINE int64_t pool_pixels(const int64_t *extent) { return extent[0] * extent[1] * extent[2]; }

#define NNF_POOL_KERNEL(name, extents, inputs, table, call)                                                            \
    static void k_##name(const nnf_step *step, int thread, int threads) {                                              \
        const pool_shape s = pool_shape_of(step);                                                                      \
        const int64_t n = s.channels, image_size = pool_pixels(s.inputs) * n;                                          \
        const nnf_range range = split_range(step, s.batch * pool_pixels(s.extents), 1, thread, threads);               \
        for (int64_t i = range.begin; i < range.end; i++) {                                                            \
            int64_t image;                                                                                             \
            const pool_box box = pool_box_of(s.table, s.extents, i, &image);                                           \
            real *y = (real *)step->buffer[0] + i * n;                                                                 \
            const real *x = (const real *)step->buffer[1] + image * image_size;                                        \
            call;                                                                                                      \
        }                                                                                                              \
    }

NNF_POOL_KERNEL(max_pool, out, in, window, pool_max(y, x, box, s.in, n))
NNF_POOL_KERNEL(average_pool, out, in, window, pool_average(y, x, box, s.in, n))
NNF_POOL_KERNEL(max_pool_pick, out, in, window,
                pool_pick(y, x, (const real *)step->buffer[2] + image * image_size, box, s.in, n))

/* Window by window where these tile x: 20 GB/s in place of 12 (56 x 56 x 64, 2 x 2). */
static void k_average_pool_gradient(const nnf_step *step, int thread, int threads) {
    const pool_shape s = pool_shape_of(step);
    const int tiled = pool_tiles(&s);
    const int64_t n = s.channels, pixels = pool_pixels(s.in), windows = pool_pixels(s.out);
    const nnf_range range = split_range(step, s.batch * (tiled ? windows : pixels), 1, thread, threads);
    real *dx = (real *)step->buffer[0];
    const real *dy = (const real *)step->buffer[1];
    for (int64_t i = range.begin; i < range.end; i++) {
        int64_t image;
        if (tiled) {
            const pool_box box = pool_box_of(s.window, s.out, i, &image);
            pool_fill(dx + image * pixels * n, dy + i * n, box, s.in, n);
        } else {
            const pool_box box = pool_box_of(s.holder, s.in, i, &image);
            pool_spread(dx + i * n, dy + image * windows * n, box, s.out, s.window, n);
        }
    }
}

static void k_max_pool_gradient(const nnf_step *step, int thread, int threads) {
    const pool_shape s = pool_shape_of(step);
    const int64_t n = s.channels, pixels = pool_pixels(s.in), windows = pool_pixels(s.out);
    const int64_t groups = s.batch >= 4 * threads ? 1 : (n + POOL_GROUP - 1) / POOL_GROUP;
    const int64_t width = groups == 1 ? n : POOL_GROUP;
    const int tiled = pool_tiles(&s);
    const nnf_range range = split_range(step, s.batch * groups, 1, thread, threads);
    for (int64_t task = range.begin; task < range.end; task++) {
        const int64_t image = task / groups, first = task % groups * width;
        const int64_t columns = n - first < width ? n - first : width;
        real *dx = (real *)step->buffer[0] + image * pixels * n + first;
        const real *dy = (const real *)step->buffer[1] + image * windows * n + first;
        const real *x = (const real *)step->buffer[2] + image * pixels * n + first;
        for (int64_t p = 0; p < pixels && !tiled; p++)
            __builtin_memset(dx + p * n, 0, (uint64_t)columns * sizeof *dx);
        for (int64_t o = 0; o < windows; o++) {
            int64_t ignored;
            const pool_box box = pool_box_of(s.window, s.out, o, &ignored);
            pool_give(dx, dy + o * n, x, box, s.in, n, columns, tiled);
        }
    }
}

#define NNF_POOL_KERNELS(X) X(max_pool) X(max_pool_pick) X(max_pool_gradient) X(average_pool) X(average_pool_gradient)

#endif
