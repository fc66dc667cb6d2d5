/* nnfast.h: everything that Cython, the executor and the kernels agree on. The only header Cython sees.
 *
 * A kernel takes a step, the thread's number and the number of threads, does its share of the work, and returns.
 * A function works on one contiguous run of elements and knows nothing of threads, strides or shapes.
 * Each SIMD level exports one table per floating-point type; names in it are looked up once, when a plan is made.
 * csrc/README.md has the contract. */
#ifndef NNFAST_H
#define NNFAST_H

#include <stdint.h>

enum {
    NNF_PANEL = 16,         /* columns of one weight panel, on every level and for every type */
    NNF_CHUNK = 512,        /* a sum of products is cut here; part of the numeric contract */
    NNF_VIRTUAL_LANES = 64, /* lanes of a row reduction; part of the numeric contract */
    NNF_ROW_CHUNK = 8192,   /* a longer row is reduced in pieces of this size, added in order; contract */
    NNF_ROW_BLOCK = 64,     /* rows whose statistics are taken together, then added in order; contract */
    NNF_BLOCK = 256,        /* elements of one run that an elementwise program works on in L1 */
    NNF_MAX_RANK = 6,
    NNF_MAX_BUFFERS = 16,     /* buffers of one elementwise step */
    NNF_MAX_TEMPORARIES = 16, /* temporaries of one elementwise program */
    NNF_PARAMETERS = 4,       /* scalar parameters of one function */
};

#define NNF_SCRATCH_BYTES ((int64_t)4 << 20) /* private working memory of one thread, 64-byte aligned */

/* Slots of the counters buffer (int64): the only state that steps share besides tensors. */
enum {
    NNF_ITERATION = 0, /* optimizer steps done so far */
    NNF_ROW = 1,       /* position in the index array at which this batch begins */
    NNF_SLOT = 2,      /* batch number within this run: where records go, which learning rate holds */
    NNF_SEED = 3,      /* seed of the random streams */
    NNF_COUNTERS = 8,
};

/* y[i] = f(a[i], b[i], c[i]; p) for i < n. Unused operands are NULL. y may be the same pointer as any operand. */
typedef void (*nnf_function)(void *y, const void *a, const void *b, const void *c, const double *p, int64_t n);

/* One operation of a program. In an elementwise step y, a, b, c are slots: first the step's buffers, then temporaries;
 * -1 is none. In the epilogue of a product the running value is y and a; b is the buffer of the second operand or -1,
 * c its row stride in elements (0: one row for all, as a bias is). */
typedef struct nnf_operation {
    nnf_function function;
    int32_t y, a, b, c;
    double p[NNF_PARAMETERS];
} nnf_operation;

typedef struct nnf_step nnf_step;
typedef void (*nnf_kernel)(const nnf_step *step, int thread, int threads);

struct nnf_step {
    nnf_kernel kernel;
    char **buffer;                /* outputs first, then inputs; each kernel says which is which */
    const int64_t *size;          /* sizes and strides, in elements */
    const double *scalar;         /* attributes */
    const nnf_operation *program; /* elementwise program, or epilogue */
    char *scratch;                /* share t owns scratch + t * NNF_SCRATCH_BYTES */
    int32_t operations;           /* length of program */
    int32_t threads;              /* use at most so many threads: small work is not divided */
    int32_t parts;                /* shares per thread: more where a fast thread can help a slow one */
    int32_t barrier;              /* wait for all threads before this step begins */
    int32_t id;                   /* place in the plan, for profiles */
};

/* A row of a table holds a kernel or a function, never both. */
typedef struct nnf_entry {
    const char *name;
    nnf_kernel kernel;
    nnf_function function;
} nnf_entry;

typedef struct nnf_table {
    const char *level; /* "scalar", "avx2", "avx512", "neon" */
    const char *dtype; /* "float32", "float64" */
    int32_t lanes;
    int32_t count;
    const nnf_entry *entries;
} nnf_table;

/* run.c: a plan's steps, and how a team shares them. A phase is the steps between two barriers. All threads of the team
 * call nnf_run_thread with their number; it returns when every batch is done. */
typedef struct nnf_phase {
    int32_t begin, end; /* of the steps */
    int32_t threads;    /* most that one of its steps uses */
    int32_t parts;      /* most shares per thread */
} nnf_phase;

typedef struct nnf_share {
    _Atomic int64_t taken; /* the last phase, counted from the beginning of the run, in which a thread took it */
    char after[120];       /* two cache lines each: processors fetch them in pairs */
} nnf_share;

typedef struct nnf_run {
    nnf_step *steps;
    const nnf_phase *phases;
    nnf_share *shares;
    int32_t phase_count;
    int32_t share_count; /* of the phase that has most */
    int32_t threads;     /* of the team at most */
    int64_t batches;     /* how often all steps are run */
    int64_t *profile_ns; /* per step: nanoseconds of thread 0, with the wait that follows the phase; or NULL */
    int32_t processor;   /* of the thread that prepared the run, or -1 */
    char before[128];    /* what all threads write has a cache line to itself, whatever the alignment of the struct */
    _Atomic int64_t position; /* the phase at work, counted from the beginning of the run */
    _Atomic int32_t finished; /* its finished shares */
    _Atomic int32_t sleepers;
    _Atomic int32_t crowded; /* a second thread began on the processor of the first */
    char after[128];
} nnf_run;

void nnf_prepare_run(nnf_run *run);
void nnf_run_thread(nnf_run *run, int thread);
void nnf_relax(void); /* between two looks at what another thread is to change */

/* team.c: the threads of the process that share a run. `region` opens a parallel region of so many threads; each calls
 * nnf_team_work with its number, counted from 1, and theirs. */
typedef void (*nnf_region)(int threads);
void nnf_team_prepare(nnf_region open);
void nnf_team_work(int thread, int threads);
void nnf_team_run(nnf_run *run, double work_ns);
int nnf_team_limit(void);
int64_t nnf_team_set_wake_from(int64_t work_ns);
int nnf_openmp_version(void);

/* memory.c: zeroed, 64-byte aligned; NULL when there is none. */
void *nnf_allocate(int64_t bytes);
void nnf_release(void *block, int64_t bytes);

/* dispatch.c: tables compiled into this build, weakest level first; both types of each level. */
int nnf_table_count(void);
const nnf_table *nnf_get_table(int i);
/* cpu.c: may this processor, under this operating system, run the level? If not, why (a static string), else NULL. */
const char *nnf_why_not(const char *level);

#endif
