/* Who may use the process's team of threads: one caller at a time, and nobody in a child forked after the team was
 * used, since OpenMP's threads do not exist there and entering a region would wait for them for ever. */
#include "nnfast.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_int busy;
static atomic_int used;
static atomic_int orphaned;

static void in_child(void) {
    if (atomic_load(&used))
        atomic_store(&orphaned, 1);
    atomic_store(&busy, 0);
}

void nnf_team_prepare(void) { pthread_atfork(0, 0, in_child); }

int nnf_team_take(void) {
    int free_team = 0;
    if (atomic_load(&orphaned) || !atomic_compare_exchange_strong(&busy, &free_team, 1))
        return 0;
    atomic_store(&used, 1);
    return 1;
}

void nnf_team_give(void) { atomic_store(&busy, 0); }

/* The date of the OpenMP standard that the compiler follows (yyyymm), or 0 in a serial build. */
int nnf_openmp_version(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}
