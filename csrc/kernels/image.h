/* Images moved by an affine map: flips, crops, shifts, rotations, zooms.
 *
 * `affine_image`
 *   buffer: 0 y[B, OH, OW, C], 1 x[B, H, W, C], 2 matrix[B, 6]
 *   size:   B, H, W, C, OH, OW, interpolation (0 nearest, 1 bilinear), fill (0 constant, 1 nearest, 2 reflect, 3 wrap)
 *   scalar: value beyond the image, for fill 0
 *   y[b, i, j] is x[b] at row (m0 i + m2) + m1 j and column (m3 i + m5) + m4 j, m = matrix[b]; coordinates and weights
 * are double in both types. Beyond the image: fill 1 takes the nearest pixel, 2 mirrors at the edge (dcba|abcd|dcba), 3
 * repeats the image. A coordinate that is not a number, or beyond a billion, is taken as -1e9 or 1e9. H and W are at
 * least 1. */
#ifndef NNF_KERNELS_IMAGE_H
#define NNF_KERNELS_IMAGE_H

#include "split.h"

enum { FILL_CONSTANT, FILL_NEAREST, FILL_REFLECT, FILL_WRAP };

typedef struct image {
    const real *x;
    int64_t H, W, C;
    int fill;
    real beyond;
} image;

/* The pixel that stands for coordinate i of n; -1 for the constant. */
NNF_INLINE int64_t image_index(int64_t i, int64_t n, int fill) {
    if (i >= 0 && i < n)
        return i;
    if (fill == FILL_CONSTANT)
        return -1;
    if (fill == FILL_NEAREST)
        return i < 0 ? 0 : n - 1;
    const int64_t period = fill == FILL_WRAP ? n : 2 * n;
    int64_t rest = i % period;
    if (rest < 0)
        rest += period;
    return rest < n ? rest : period - 1 - rest;
}

NNF_INLINE double image_coordinate(double v) {
    if (!(v > -1e9))
        return -1e9;
    return v < 1e9 ? v : 1e9;
}

NNF_INLINE int64_t image_floor(double v) {
    const int64_t i = (int64_t)v;
    return i - ((double)i > v);
}

NNF_INLINE const real *image_pixel(const image *m, int64_t row, int64_t column) {
    return row < 0 || column < 0 ? 0 : m->x + (row * m->W + column) * m->C;
}

static void image_nearest(const image *m, real *y, double row, double column) {
    const int64_t r = image_index(image_floor(row + 0.5), m->H, m->fill),
                  c = image_index(image_floor(column + 0.5), m->W, m->fill);
    const real *from = image_pixel(m, r, c);
    for (int64_t i = 0; i < m->C; i++)
        y[i] = from ? from[i] : m->beyond;
}

NNF_INLINE double image_between(double a, double b, double part) { return part == 0 ? a : a + part * (b - a); }

static void image_bilinear(const image *m, real *y, double row, double column) {
    const int64_t r = image_floor(row), c = image_floor(column);
    const double down = row - (double)r, right = column - (double)c;
    if (r >= 0 && r + 1 < m->H && c >= 0 && c + 1 < m->W) {
        const real *a = m->x + (r * m->W + c) * m->C, *d = a + m->W * m->C;
        for (int64_t i = 0; i < m->C; i++) {
            const double upper = image_between(a[i], a[i + m->C], right);
            y[i] = (real)image_between(upper, image_between(d[i], d[i + m->C], right), down);
        }
        return;
    }
    const int64_t r0 = image_index(r, m->H, m->fill), r1 = image_index(r + 1, m->H, m->fill);
    const int64_t c0 = image_index(c, m->W, m->fill), c1 = image_index(c + 1, m->W, m->fill);
    const real *a = image_pixel(m, r0, c0), *b = image_pixel(m, r0, c1);
    const real *d = image_pixel(m, r1, c0), *e = image_pixel(m, r1, c1);
    for (int64_t i = 0; i < m->C; i++) {
        const double upper = image_between(a ? a[i] : m->beyond, b ? b[i] : m->beyond, right);
        const double lower = image_between(d ? d[i] : m->beyond, e ? e[i] : m->beyond, right);
        y[i] = (real)image_between(upper, lower, down);
    }
}

/* A row of y whose pixels are whole pixels of one row of x, side by side: column j from begin + j or begin - j. */
static void image_row(const image *m, real *y, int64_t row, int64_t begin, int step, int64_t width) {
    const int64_t r = image_index(row, m->H, m->fill);
    int64_t j = 0;
    while (j < width) {
        const int64_t c = begin + step * j;
        if (step == 1 && r >= 0 && c >= 0 && c < m->W) {
            const int64_t n = m->W - c < width - j ? m->W - c : width - j;
            __builtin_memcpy(y + j * m->C, image_pixel(m, r, c), (uint64_t)(n * m->C) * sizeof(real));
            j += n;
            continue;
        }
        const real *from = image_pixel(m, r, image_index(c, m->W, m->fill));
        for (int64_t i = 0; i < m->C; i++)
            y[j * m->C + i] = from ? from[i] : m->beyond;
        j++;
    }
}

static void k_affine_image(const nnf_step *step, int thread, int threads) {
    const int64_t *size = step->size, B = size[0], OH = size[4], OW = size[5];
    const int bilinear = size[6] == 1;
    image m = {0, size[1], size[2], size[3], (int)size[7], (real)step->scalar[0]};
    const nnf_range rows = split_range(step, B * OH, 1, thread, threads);
    for (int64_t o = rows.begin; o < rows.end; o++) {
        const int64_t b = o / OH, i = o % OH;
        const real *matrix = (const real *)step->buffer[2] + 6 * b;
        const double row = matrix[0] * (double)i + matrix[2], down = matrix[1];
        const double column = matrix[3] * (double)i + matrix[5], right = matrix[4];
        real *y = (real *)step->buffer[0] + o * OW * m.C;
        m.x = (const real *)step->buffer[1] + b * m.H * m.W * m.C;
        const double r = image_coordinate(row), c = image_coordinate(column);
        if (down == 0 && (right == 1 || right == -1) && (double)image_floor(r) == row &&
            (double)image_floor(c) == column) {
            image_row(&m, y, image_floor(r), image_floor(c), (int)right, OW);
            continue;
        }
        for (int64_t j = 0; j < OW; j++, y += m.C) {
            const double at_row = image_coordinate(row + down * (double)j),
                         at_column = image_coordinate(column + right * (double)j);
            if (bilinear)
                image_bilinear(&m, y, at_row, at_column);
            else
                image_nearest(&m, y, at_row, at_column);
        }
    }
}

#define NNF_IMAGE_KERNELS(X) X(affine_image)

#endif
