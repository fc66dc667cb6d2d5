/* The loop that one thread of a team runs. The team itself (OpenMP, or one caller alone) belongs to the caller. */
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
    SPIN_NS = 20000,       /* longer waits give the processor away: the partner may need it to arrive */
    SPINS_PER_CLOCK = 128, /* looks at the generation between two looks at the clock */
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

static void relax(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" : : : "memory"); /* a real pause, where `yield` is a no-op */
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Sleep until the generation is no longer the old one. A sleeper gives its processor to the partner, who may need it to
 * arrive; sched_yield would not: with other work on the machine it returns at once, or milliseconds later. */
static void sleep_at(nnf_run *run, uint32_t generation) {
#ifdef __linux__
    atomic_fetch_add(&run->sleepers, 1);
    while (atomic_load(&run->generation) == generation)
        syscall(SYS_futex, &run->generation, FUTEX_WAIT_PRIVATE, generation, 0, 0, 0);
    atomic_fetch_sub(&run->sleepers, 1);
#else
    while (atomic_load(&run->generation) == generation)
        sched_yield();
#endif
}

static void wake_sleepers(nnf_run *run) {
#ifdef __linux__
    if (atomic_load(&run->sleepers) > 0)
        syscall(SYS_futex, &run->generation, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
#else
    (void)run;
#endif
}

static void wait_for_generation_after(nnf_run *run, uint32_t generation) {
    int64_t begin = 0;
    for (;;) {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&run->generation, memory_order_acquire) != generation)
                return;
            relax();
        }
        const int64_t now = now_ns();
        if (!begin)
            begin = now;
        else if (now - begin > SPIN_NS)
            break;
    }
    sleep_at(run, generation);
}

static void barrier(nnf_run *run, int threads) {
    if (threads < 2)
        return;
    const uint32_t generation = atomic_load_explicit(&run->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&run->arrived, 1, memory_order_acq_rel) + 1 < threads) {
        wait_for_generation_after(run, generation);
        return;
    }
    atomic_store_explicit(&run->arrived, 0, memory_order_relaxed);
    atomic_store(&run->generation, generation + 1); /* before the look at the sleepers, in one order for all threads */
    wake_sleepers(run);
}

static void run_batch(nnf_run *run, int thread, int threads) {
    int64_t *profile = thread == 0 ? run->profile_ns : 0;
    int64_t begin = profile ? now_ns() : 0;
    for (int32_t i = 0; i < run->count; i++) {
        const nnf_step *step = &run->steps[i];
        if (step->barrier && i > 0)
            barrier(run, threads);
        if (profile && i > 0) {
            const int64_t now = now_ns();
            profile[i - 1] += now - begin;
            begin = now;
        }
        const int wanted = step->threads < 1 ? 1 : step->threads;
        const int used = threads < wanted ? threads : wanted;
        if (thread < used)
            step->kernel(step, thread, used);
    }
    barrier(run, threads);
    if (profile && run->count > 0)
        profile[run->count - 1] += now_ns() - begin;
}

void nnf_run_thread(nnf_run *run, int thread, int threads) {
    const uint64_t state = get_float_state();
    set_float_state(default_float_state);
    for (int64_t batch = 0; batch < run->batches; batch++)
        run_batch(run, thread, threads);
    set_float_state(state);
}
