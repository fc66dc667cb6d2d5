/* The loop that each thread of a team runs. team.c says who is in it.
 *
 * Between two barriers lies a phase: steps that need no waiting. A phase is divided into shares, one or more for each
 * thread that was asked for, and a thread takes its own shares first, so that its part of the weights stays in its
 * cache. A share whose thread does not come (it has not woken up yet, it is slow, or another process has its processor)
 * is taken by one that waits: the kernels give the same bits whoever runs a share. So a wait is only ever for work that
 * is being done. */
#define _GNU_SOURCE
#include "nnfast.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    /* A wait looks at the position for SPIN_NS. Then it offers its processor between the looks, since the partner may
     * need it to go on, and sleeps after SLEEP_FROM_NS. It sleeps late because a virtual machine wakes a thread on the
     * processor of its waker and leaves it there for tens of milliseconds: 32 x 784 x 256 on plain arrays took 139 us
     * with sleep after 20 us, 75 so; beside a process that takes one of two cores a step was 15 % slower (Xeon,
     * 2026-11). */
    SPIN_NS = 20000,
    SLEEP_FROM_NS = 1000000,
    SPINS_PER_CLOCK = 64, /* looks at the position between two looks at the clock */
    PATIENCE = 16,        /* looks at the share of another thread before it is taken: a present thread is faster */
};

/* Other libraries switch denormals off or change the rounding for a thread, and do not switch back. */
#if defined(__x86_64__)
static uint64_t get_float_state(void) { return _mm_getcsr(); }
static void set_float_state(uint64_t state) { _mm_setcsr((unsigned)state); }
static const uint64_t default_float_state = 0x1f80; /* all exceptions masked, to nearest, denormals kept */
#elif defined(__aarch64__)
static uint64_t get_float_state(void) {
    uint64_t state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    return state;
}
static void set_float_state(uint64_t state) { __asm__ volatile("msr fpcr, %0" : : "r"(state)); }
static const uint64_t default_float_state = 0;
#else
static uint64_t get_float_state(void) { return 0; }
static void set_float_state(uint64_t state) { (void)state; }
static const uint64_t default_float_state = 0;
#endif

void nnf_relax(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" : : : "memory"); /* a real pause, where `yield` is a no-op */
#endif
}

static int32_t processor(void) {
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Sleep until the run has left this phase. */
static void sleep_at(nnf_run *run, int64_t position) {
#ifdef __linux__
    atomic_fetch_add(&run->sleepers, 1);
    while (atomic_load(&run->position) == position)
        syscall(SYS_futex, &run->position, FUTEX_WAIT_PRIVATE, (uint32_t)position, 0, 0, 0); /* its low half */
    atomic_fetch_sub(&run->sleepers, 1);
#else
    while (atomic_load(&run->position) == position)
        sched_yield();
#endif
}

static void wake_sleepers(nnf_run *run) {
#ifdef __linux__
    if (atomic_load(&run->sleepers) > 0)
        syscall(SYS_futex, &run->position, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
#else
    (void)run;
#endif
}

static void wait_for_the_end_of(nnf_run *run, int64_t position) {
    int64_t begin = 0;
    for (;;) {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&run->position, memory_order_acquire) != position)
                return;
            nnf_relax();
        }
        const int64_t now = now_ns();
        if (!begin)
            begin = now;
        else if (now - begin > SLEEP_FROM_NS)
            break;
        else if (now - begin > SPIN_NS)
            sched_yield();
    }
    sleep_at(run, position);
}

static int shares_of(const nnf_run *run, int threads, int parts) {
    return run->threads == 1 ? 1 : (run->threads < threads ? run->threads : threads) * parts;
}

/* The kernels know shares only: working memory belongs to threads, and this thread's is passed as that of the share. */
static void run_share_of_step(const nnf_step *step, int share, int shares, int thread) {
    nnf_step own = *step;
    own.scratch = (char *)((uintptr_t)step->scratch + (uintptr_t)((thread - share) * NNF_SCRATCH_BYTES));
    own.threads = shares;
    own.kernel(&own, share, shares);
}

static void run_share(const nnf_run *run, const nnf_phase *phase, int share, int thread, int64_t *profile) {
    for (int32_t i = phase->begin; i < phase->end; i++) {
        const nnf_step *step = &run->steps[i];
        const int shares = shares_of(run, step->threads, step->parts);
        const int64_t begin = profile ? now_ns() : 0;
        if (share == thread && share < shares && shares <= step->threads)
            step->kernel(step, share, shares);
        else if (share < shares)
            run_share_of_step(step, share, shares, thread);
        if (profile)
            profile[i] += now_ns() - begin;
    }
}

/* A share remembers the last phase in which it was taken. A thread that comes late to a finished phase finds all of its
 * shares taken, in that phase or a later one. */
static int take_share(nnf_run *run, int share, int64_t position) {
    int64_t last = atomic_load_explicit(&run->shares[share].taken, memory_order_relaxed);
    return last < position && atomic_compare_exchange_strong(&run->shares[share].taken, &last, position);
}

static int nobody_takes(nnf_run *run, int share, int64_t position, int patience) {
    for (int i = 0;; i++) {
        if (atomic_load_explicit(&run->shares[share].taken, memory_order_relaxed) >= position)
            return 0;
        if (i == patience)
            return 1;
        nnf_relax();
    }
}

static void finish_share(nnf_run *run, int shares, int64_t position, int next_is_divided) {
    if (atomic_fetch_add_explicit(&run->finished, 1, memory_order_acq_rel) + 1 < shares)
        return;
    atomic_store_explicit(&run->finished, 0, memory_order_relaxed);
    atomic_store(&run->position, position + 1); /* before the look at the sleepers, in one order for all threads */
    if (next_is_divided)
        wake_sleepers(run);
}

static void run_with_team(nnf_run *run, int thread, int64_t *profile) {
    const int64_t end = run->batches * run->phase_count;
    int patience = PATIENCE;
    if (thread > 0 && run->processor >= 0 && processor() == run->processor)
        atomic_store_explicit(&run->crowded, 1, memory_order_relaxed);
    for (int64_t position = 0; position < end;) {
        const nnf_phase *phase = &run->phases[position % run->phase_count];
        const int threads = run->threads < phase->threads ? run->threads : phase->threads;
        const int shares = shares_of(run, phase->threads, phase->parts);
        const int divided = position + 1 == end || run->phases[(position + 1) % run->phase_count].threads > 1;
        for (int i = 0; i < shares; i++) {
            const int whose = (thread + i / phase->parts) % threads, own = whose == thread;
            const int turn =
                own ? i % phase->parts : phase->parts - 1 - i % phase->parts; /* others help from the end */
            const int share = whose + turn * threads;
            if (!own && !nobody_takes(run, share, position, patience)) {
                patience = PATIENCE;
                continue;
            }
            if (!take_share(run, share, position))
                continue;
            patience = own ? patience : 0; /* once is enough to see that its thread is away */
            run_share(run, phase, share, thread, profile);
            finish_share(run, shares, position, divided);
        }
        const int64_t begin = profile ? now_ns() : 0;
        wait_for_the_end_of(run, position);
        if (profile)
            profile[phase->end - 1] += now_ns() - begin;
        position = atomic_load_explicit(&run->position, memory_order_acquire);
    }
}

static void run_alone(const nnf_run *run, int64_t *profile) {
    for (int64_t batch = 0; batch < run->batches; batch++)
        for (int32_t i = 0; i < run->phase_count; i++)
            run_share(run, &run->phases[i], 0, 0, profile);
}

/* Before the threads of the team begin. */
void nnf_prepare_run(nnf_run *run) {
    atomic_init(&run->position, 0);
    atomic_init(&run->finished, 0);
    atomic_init(&run->sleepers, 0);
    atomic_init(&run->crowded, 0);
    run->processor = processor();
    for (int32_t i = 0; i < run->share_count; i++)
        atomic_init(&run->shares[i].taken, -1);
}

void nnf_run_thread(nnf_run *run, int thread) {
    int64_t *profile = thread == 0 ? run->profile_ns : 0;
    const uint64_t state = get_float_state();
    set_float_state(default_float_state);
    if (run->threads > 1)
        run_with_team(run, thread, profile);
    else
        run_alone(run, profile);
    set_float_state(state);
}
