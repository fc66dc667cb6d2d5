/* csrc/team.c and csrc/run.c without Python and OpenMP, for ThreadSanitizer: callers that run at once, teams that grow,
 * forks, workers that fall asleep. The region is made of plain threads. Kernels add up what they see; a wrong sum is an
 * exit code. Argument: rounds. */
#include "nnfast.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 6, PARTS = 3, N = 240, CALLERS = 4 };

typedef struct work {
    int64_t x[N], y[N];
} work;

static void kernel_first(const nnf_step *step, int thread, int threads) {
    work *w = (work *)step->buffer[0];
    for (int i = thread * N / threads; i < (thread + 1) * N / threads; i++)
        w->y[i] = w->x[i] + 1;
}

/* Reads what other threads have written: wrong, and a race, without the barrier before it. */
static void kernel_second(const nnf_step *step, int thread, int threads) {
    work *w = (work *)step->buffer[0];
    for (int i = thread * N / threads; i < (thread + 1) * N / threads; i++)
        w->x[i] = w->y[N - 1 - i];
}

typedef struct member {
    int thread, threads;
} member;

static void *join(void *p) {
    const member m = *(member *)p;
    nnf_team_work(m.thread, m.threads);
    return 0;
}

static void open_region(int threads) {
    pthread_t made[MOST];
    member members[MOST];
    for (int i = 0; i < threads; i++) {
        members[i] = (member){i + 1, threads};
        pthread_create(&made[i], 0, join, &members[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(made[i], 0);
}

static int run_once(int threads, int batches, double work_ns) {
    work w;
    char *buffer = (char *)&w;
    nnf_step steps[2];
    nnf_phase phases[2] = {{0, 1, MOST, 1}, {1, 2, MOST, PARTS}};
    nnf_share *shares = calloc(MOST * PARTS, sizeof(nnf_share));
    nnf_run *run = calloc(1, sizeof(nnf_run));
    int wrong = 0;
    memset(steps, 0, sizeof steps);
    for (int i = 0; i < 2; i++)
        steps[i] = (nnf_step){
            .kernel = i ? kernel_second : kernel_first, .buffer = &buffer, .threads = MOST, .parts = i ? PARTS : 1};
    for (int i = 0; i < N; i++)
        w.x[i] = i;
    run->steps = steps, run->phases = phases, run->shares = shares;
    run->phase_count = 2, run->share_count = MOST * PARTS, run->threads = threads, run->batches = batches;
    nnf_team_run(run, work_ns);
    for (int i = 0; i < N; i++)
        wrong += w.x[i] != (batches % 2 ? N - 1 - i : i) + batches;
    free(run);
    free(shares);
    return wrong;
}

static int rounds;

static void *caller(void *p) {
    const int number = (int)(intptr_t)p;
    intptr_t wrong = 0;
    for (int i = 0; i < rounds; i++) {
        wrong += run_once(2 + (i + number) % (MOST - 1), 1 + i % 7, i % 3 ? 1e9 : 10);
        if (i % 16 == 0)
            usleep(200); /* the workers fall asleep */
    }
    return (void *)wrong;
}

static int all_callers(void) {
    pthread_t threads[CALLERS];
    int wrong = 0;
    for (int i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], 0, caller, (void *)(intptr_t)i);
    for (int i = 0; i < CALLERS; i++) {
        void *found;
        pthread_join(threads[i], &found);
        wrong += (int)(intptr_t)found;
    }
    return wrong;
}

int main(int count, char **arguments) {
    rounds = count > 1 ? atoi(arguments[1]) : 100;
    nnf_team_prepare(open_region);
    int wrong = run_once(3, 5, 1e9) + all_callers();
    if (count > 2) { /* a child; ThreadSanitizer does not follow threads after a fork */
        int status = 1;
        const pid_t child = fork();
        if (child == 0)
            _exit(run_once(3, 5, 1e9) + run_once(4, 3, 1e9) != 0);
        waitpid(child, &status, 0);
        wrong += status != 0;
    }
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
