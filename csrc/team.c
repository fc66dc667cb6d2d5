/* The team of threads of this process, and who runs with it.
 *
 * The caller of a run is thread 0 of it, whichever thread of the process that is. The others, the workers, are the
 * threads of one OpenMP region that stays open: they wait in it for the next run. A thread of its own, the host, opens
 * the region, since OpenMP gives every thread that opens one a pool of its own: so sixteen callers have one set of
 * workers, and a forked child, where no worker lives on, makes a new host and need not touch what its parent opened.
 * A caller waits for workers that are at work in its run and for no others; run.c lets it take the shares of those
 * that do not come.
 *
 * One caller at a time has the team, with as many threads fewer as other callers run (sixteen that predicted 512 rows
 * with two threads took 1.14 to 1.20 times as long as one after the other before, 0.72 to 0.79 so). One that finds it
 * taken runs alone, as does a short run whose workers sleep: to wake them takes longer than they save. `predict` of one
 * row by 784-512-256-10 took 291 us with sleeping threads, 49 us on one (Intel Xeon, AVX-512, 2026-11). It also takes
 * one thread for some time after the team was found on one processor, as it is after a wake on a virtual machine. The
 * bits are the same. */
#include "nnfast.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum {
    AWAKE_NS = 20000,       /* workers look for the next run about so long before they sleep */
    LONG_AWAKE_NS = 150000, /* the same while runs follow each other within this time, as calls of `predict` do */
    CROWDED_NS = 5000000,   /* how long short runs leave a crowded team alone */
    LOOKS_PER_CLOCK = 64,
    LOOKS_PER_YIELD = 1024,
    OPEN = 1, /* in the gate: workers may enter the run */
    INSIDE = 2,
};

static atomic_int running; /* callers in a run */
static atomic_int taken;   /* by one of them */
static _Atomic int64_t gate;
static nnf_run *current;           /* behind the gate */
static _Atomic uint32_t run_count; /* a new value calls the workers */
static atomic_int size;            /* workers that the region is to have */
static int hosted;                 /* whether there is a host; belongs to who has the team */
static nnf_region region;

static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sleep_end = PTHREAD_COND_INITIALIZER;
static atomic_int sleepers;

static _Atomic int64_t crowded_until_ns;
static _Atomic int64_t awake_ns = AWAKE_NS;
static _Atomic int64_t last_run_ns;            /* when the last run that could use the team ended */
static _Atomic int64_t wake_from_ns = 1000000; /* work that is worth the waking of the team */

static int first_limit; /* OpenMP's number of threads before anyone changed it */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The forking thread is the only one here: as if no run had ever been. */
static void in_child(void) {
    atomic_store(&running, 0);
    atomic_store(&taken, 0);
    atomic_store(&gate, 0);
    atomic_store(&size, 0);
    atomic_store(&sleepers, 0);
    hosted = 0;
    sleep_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    sleep_end = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}

/* Once, at import; `open` opens the parallel region and calls nnf_team_work in each of its threads. */
void nnf_team_prepare(nnf_region open) {
    region = open;
#ifdef _OPENMP
    first_limit = omp_get_max_threads();
#endif
    pthread_atfork(0, 0, in_child);
}

/* How many threads OpenMP allows to this caller: what omp_set_num_threads has set since the import, as threadpoolctl
 * does, and OMP_THREAD_LIMIT. What it began with is no limit: nnfast has read the variables and the machine itself. */
int nnf_team_limit(void) {
#ifdef _OPENMP
    const int set = omp_get_max_threads(), limit = omp_get_thread_limit();
    return set != first_limit && set < limit ? set : limit;
#else
    return 1;
#endif
}

/* Returns what it was. */
int64_t nnf_team_set_wake_from(int64_t work_ns) { return atomic_exchange(&wake_from_ns, work_ns); }

/* The workers */
static int enter(void) {
    int64_t before = atomic_load(&gate);
    while (before & OPEN)
        if (atomic_compare_exchange_weak(&gate, &before, before + INSIDE))
            return 1;
    return 0;
}

static void wait_for_a_run_after(uint32_t seen) {
    const int64_t begin = now_ns();
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&run_count, memory_order_acquire) != seen)
                return;
            nnf_relax();
        }
    } while (now_ns() - begin < atomic_load_explicit(&awake_ns, memory_order_relaxed));
    pthread_mutex_lock(&sleep_lock);
    atomic_fetch_add(&sleepers, 1); /* before the look at the count, in one order for all threads */
    while (atomic_load(&run_count) == seen)
        pthread_cond_wait(&sleep_end, &sleep_lock);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&sleep_lock);
}

void nnf_team_work(int thread, int threads) {
    for (;;) {
        const uint32_t seen = atomic_load(&run_count);
        if (atomic_load(&size) != threads)
            return;
        if (enter()) {
            if (thread < current->threads)
                nnf_run_thread(current, thread);
            atomic_fetch_sub(&gate, INSIDE);
        }
        wait_for_a_run_after(seen);
    }
}

static void *host(void *unused) {
    (void)unused;
    for (;;)
        region(atomic_load(&size));
    return 0;
}

/* The caller */
static void grow(int workers) {
    pthread_t thread;
    if (workers > atomic_load(&size))
        atomic_store(&size, workers); /* workers of a smaller region leave it at the next call */
    if (hosted)
        return;
    hosted = pthread_create(&thread, 0, host, 0) == 0; /* without, the caller takes all shares */
    if (hosted)
        pthread_detach(thread);
}

static void call_workers(void) {
    atomic_fetch_add(&run_count, 1);
    if (atomic_load(&sleepers) == 0)
        return;
    pthread_mutex_lock(&sleep_lock);
    pthread_cond_broadcast(&sleep_end);
    pthread_mutex_unlock(&sleep_lock);
}

static void wait_until_all_have_left(void) {
    for (int i = 1; atomic_load(&gate) != 0; i++) {
        nnf_relax();
        if (i % LOOKS_PER_YIELD == 0)
            sched_yield();
    }
}

static void note_end(int crowded) {
    const int64_t now = now_ns();
    atomic_store(&last_run_ns, now);
    if (crowded)
        atomic_store(&crowded_until_ns, now + CROWDED_NS);
}

static int take(double work_ns) {
    const int64_t now = now_ns(), pause = now - atomic_load(&last_run_ns);
    const int64_t awake = atomic_exchange(&awake_ns, pause < LONG_AWAKE_NS ? LONG_AWAKE_NS : AWAKE_NS);
    int nobody = 0;
    if (work_ns < (double)atomic_load(&wake_from_ns) && (pause > awake || now < atomic_load(&crowded_until_ns)))
        return 0;
    return atomic_compare_exchange_strong(&taken, &nobody, 1);
}

/* Runs with run->threads threads, fewer where other callers run, or sets them to 1 where the team is taken or not worth
 * it for work that takes one thread about work_ns. */
void nnf_team_run(nnf_run *run, double work_ns) {
    const int several = run->threads > 1;
    run->threads -= atomic_fetch_add(&running, 1);
    const int team = run->threads > 1 && take(work_ns);
    if (!team)
        run->threads = 1;
    nnf_prepare_run(run);
    if (team) {
        grow(run->threads - 1);
        current = run;
        atomic_store(&gate, OPEN);
        call_workers();
    }
    nnf_run_thread(run, 0);
    if (team) {
        atomic_fetch_sub(&gate, OPEN);
        wait_until_all_have_left();
        atomic_store(&taken, 0);
    }
    atomic_fetch_sub(&running, 1);
    if (several)
        note_end(team && atomic_load(&run->crowded));
}

/* The date of the OpenMP standard that the compiler follows (yyyymm), or 0 in a serial build. */
int nnf_openmp_version(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}
