/* Who may use the process's team of threads: one caller at a time, and nobody in a child forked after the team was
 * used, since OpenMP's threads do not exist there and entering a region would wait for them for ever.
 *
 * A short run takes the team only right after another run, while its threads still look for work: to wake them, and to
 * wait for them at the end, takes longer than they save. `predict` of one row by 784-512-256-10 took 291 us with
 * sleeping threads, 49 us on one (Intel Xeon, AVX-512, 2026-11). It also takes one thread for some time after the team
 * was found on one processor, as it is after a wake on a virtual machine. The bits are the same. */
#include "nnfast.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static atomic_int busy;
static atomic_int used;
static atomic_int orphaned;
static _Atomic int64_t crowded_until_ns;
static _Atomic int64_t last_run_ns;            /* when the last run that could use the team ended */
static _Atomic int64_t wake_from_ns = 1000000; /* work that is worth the waking of the team */

enum {
    AWAKE_NS = 20000,     /* OpenMP's threads look for work about so long */
    CROWDED_NS = 5000000, /* how long short runs leave a crowded team alone */
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void in_child(void) {
    if (atomic_load(&used))
        atomic_store(&orphaned, 1);
    atomic_store(&busy, 0);
}

void nnf_team_prepare(void) { pthread_atfork(0, 0, in_child); }

/* Returns what it was. */
int64_t nnf_team_set_wake_from(int64_t work_ns) { return atomic_exchange(&wake_from_ns, work_ns); }

int nnf_team_take(double work_ns) {
    int free_team = 0;
    if (work_ns < (double)atomic_load(&wake_from_ns)) {
        const int64_t now = now_ns();
        if (now - atomic_load(&last_run_ns) > AWAKE_NS || now < atomic_load(&crowded_until_ns))
            return 0;
    }
    if (atomic_load(&orphaned) || !atomic_compare_exchange_strong(&busy, &free_team, 1))
        return 0;
    atomic_store(&used, 1);
    return 1;
}

void nnf_team_give(void) { atomic_store(&busy, 0); }

void nnf_team_note_end(int crowded) {
    const int64_t now = now_ns();
    atomic_store(&last_run_ns, now);
    if (crowded)
        atomic_store(&crowded_until_ns, now + CROWDED_NS);
}

/* The date of the OpenMP standard that the compiler follows (yyyymm), or 0 in a serial build. */
int nnf_openmp_version(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}
