/* The loop that one thread of a team runs. The team itself (OpenMP, or one caller alone) belongs to the caller. */
#define _POSIX_C_SOURCE 200112L
#include "nnfast.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

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
    while (atomic_load_explicit(&run->generation, memory_order_acquire) == generation)
        sched_yield();
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
    atomic_store_explicit(&run->generation, generation + 1, memory_order_release);
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
