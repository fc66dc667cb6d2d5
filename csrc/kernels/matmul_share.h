/* What the three products share: how work is divided, how rows become strips, what follows the sums. */
#ifndef NNF_MATMUL_SHARE_H
#define NNF_MATMUL_SHARE_H

enum {
    BLOCK_BYTES = 512 << 10,                               /* a packed operand, about half of the second-level cache */
    BLOCK_ROWS = BLOCK_BYTES / NNF_CHUNK / (NNF_REAL / 8), /* rows of one chunk that fill it */
    FINISH_BYTES = 128 << 10,                              /* output that the epilogue finds in the cache */
    NARROW = 4 * LANES,                                    /* columns for which packing rows of x does not pay */
    SHORT = 384 /
        (NNF_REAL / 8), /* four times as many where rows are short: a tile's part of w stays in the first cache */
    FEW_BATCH =
        64, /* below, threads divide the weight only: the same owner each time, so its part stays in its cache */
};

typedef struct range {
    int64_t begin, end;
} range;

NNF_INLINE int is_narrow(int64_t columns, int64_t k) { return columns <= (k <= SHORT ? 4 * NARROW : NARROW); }

NNF_INLINE int64_t panels_of(range columns) { return (columns.end - columns.begin + NNF_PANEL - 1) / NNF_PANEL; }

/* Part `index` of `parts` nearly equal parts of n, cut at multiples of `unit`. */
static range part_of(int64_t n, int64_t unit, int64_t index, int64_t parts) {
    const int64_t units = (n + unit - 1) / unit;
    range part = {units * index / parts * unit, units * (index + 1) / parts * unit};
    if (part.begin > n)
        part.begin = n;
    if (part.end > n)
        part.end = n;
    return part;
}

static int64_t largest_part(int64_t n, int64_t unit, int64_t parts) {
    const int64_t units = (n + unit - 1) / unit;
    const int64_t largest = (units + parts - 1) / parts * unit;
    return largest < n ? largest : n;
}

/* Divides an output over a grid of threads. The slowest part counts first, then what each thread reads: a column of w
 * costs it column_cost, a row of the batch row_cost: OPERAND_COST, more where packing it takes longer. */
enum { OPERAND_COST = 8 };

typedef struct share {
    range rows, columns;
} share;

static share share_of(int64_t rows, int64_t row_unit, int64_t columns, int64_t column_unit, int64_t row_cost,
                      int64_t column_cost, int whole_rows, int thread, int threads) {
    int best = whole_rows ? 1 : threads;
    if (whole_rows && (columns + column_unit - 1) / column_unit < threads)
        whole_rows = 0;
    if (threads > 1 && !whole_rows) {
        int64_t best_cost = INT64_MAX;
        for (int down = 1; down <= threads; down++) {
            const int across = threads / down;
            const int64_t height = largest_part(rows, row_unit, down),
                          width = largest_part(columns, column_unit, across);
            const int64_t cost = height * width + row_cost * height + column_cost * width;
            if (cost < best_cost) {
                best_cost = cost;
                best = down;
            }
        }
    }
    const int across = threads / best;
    share s = {{0, 0}, {0, 0}};
    if (thread >= best * across)
        return s;
    s.rows = part_of(rows, row_unit, thread / across, best);
    s.columns = part_of(columns, column_unit, thread % across, across);
    return s;
}

/* Strips of at most `most` rows, as equal as can be: 32 rows are 11 + 11 + 10, not 14 + 14 + 4. */
typedef struct strips {
    int64_t count, height, taller; /* the first `taller` strips have height + 1 rows */
} strips;

static strips strips_of(int64_t rows, int64_t most) {
    strips s = {(rows + most - 1) / most, 0, 0};
    if (s.count) {
        s.height = rows / s.count;
        s.taller = rows % s.count;
    }
    return s;
}

NNF_INLINE int64_t strip_begin(strips s, int64_t i) { return i * s.height + (i < s.taller ? i : s.taller); }
NNF_INLINE int strip_rows(strips s, int64_t i) { return (int)(s.height + (i < s.taller)); }

enum { FINISH_RUN = 1024, FINISH_OPERATIONS = 4 };

/* y is contiguous and its rows are short: several at a time, with row operands repeated as often. */
static void finish_short_rows(const nnf_step *step, real *y, int64_t n, range rows) {
    real repeated[FINISH_OPERATIONS][FINISH_RUN];
    const int64_t together = FINISH_RUN / n;
    for (int32_t i = 0; i < step->operations; i++)
        if (step->program[i].b >= 0 && step->program[i].c == 0)
            for (int64_t r = 0; r < together; r++)
                __builtin_memcpy(repeated[i] + r * n, step->buffer[step->program[i].b], (uint64_t)n * sizeof(real));
    for (int64_t m = rows.begin; m < rows.end; m += together)
        for (int32_t i = 0; i < step->operations; i++) {
            const nnf_operation *op = &step->program[i];
            const real *operand = op->b < 0 ? 0 : op->c ? (const real *)step->buffer[op->b] + m * n : repeated[i];
            const int64_t count = rows.end - m < together ? rows.end - m : together;
            op->function(y + m * n, y + m * n, operand, 0, op->p, count * n);
        }
}

/* The step's program on y[rows, columns]. */
static void finish(const nnf_step *step, real *y, int64_t ldy, range rows, range columns) {
    const int64_t n = columns.end - columns.begin;
    if (step->operations == 0 || n <= 0)
        return;
    if (n == ldy && n <= FINISH_RUN / 4 && rows.end - rows.begin >= 4 && step->operations <= FINISH_OPERATIONS) {
        finish_short_rows(step, y, n, rows);
        return;
    }
    for (int64_t m = rows.begin; m < rows.end; m++)
        for (int32_t i = 0; i < step->operations; i++) {
            const nnf_operation *op = &step->program[i];
            real *run = y + m * ldy + columns.begin;
            const real *operand = op->b < 0 ? 0 : (const real *)step->buffer[op->b] + m * op->c + columns.begin;
            op->function(run, run, operand, 0, op->p, n);
        }
}

NNF_INLINE real *own_scratch(const nnf_step *step, int thread) {
    return (real *)(step->scratch + thread * NNF_SCRATCH_BYTES);
}

NNF_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
NNF_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Sums of a tile that do not belong where c is; whoever has it copies what exists. */
typedef struct edge_tile {
    real value[32 * LANES];
} __attribute__((aligned(64))) edge_tile;

#endif
