/* Runs recorded steps with one level's kernels: the way to a processor that the test machine does not have.
 *
 *     replay LEVEL RECORDINGS RESULTS
 *
 * replay.py writes the recordings and says their form; the results are the contents of all spaces after each recording.
 * The shares of a step run one after the other, so nothing here needs threads or an operating system. */
#include "nnfast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *input;

static void *checked(void *pointer) {
    if (!pointer) {
        fprintf(stderr, "replay: no memory\n");
        exit(1);
    }
    return pointer;
}

static void *block(int64_t bytes) {
    const size_t whole = ((size_t)bytes + 127) / 64 * 64;
    return memset(checked(aligned_alloc(64, whole)), 0, whole);
}

static void read_bytes(void *to, int64_t bytes) {
    if (bytes && fread(to, 1, (size_t)bytes, input) != (size_t)bytes) {
        fprintf(stderr, "replay: the recordings end too early\n");
        exit(1);
    }
}

static int64_t read_count(void) {
    int64_t value;
    read_bytes(&value, sizeof value);
    return value;
}

/* A count, then so many items of this size. */
static void *read_items(size_t size, int64_t *count) {
    *count = read_count();
    void *items = block(*count * (int64_t)size);
    read_bytes(items, *count * (int64_t)size);
    return items;
}

/* A kernel or a function; some have the same name. */
static const nnf_entry *read_entry(const char *level, const char *dtype, int function) {
    int64_t length;
    char *name = read_items(1, &length);
    for (int i = 0; i < nnf_table_count(); i++) {
        const nnf_table *table = nnf_get_table(i);
        for (int j = 0; !strcmp(table->level, level) && !strcmp(table->dtype, dtype) && j < table->count; j++)
            if (!strcmp(table->entries[j].name, name) && !function == !table->entries[j].function) {
                free(name);
                return &table->entries[j];
            }
    }
    fprintf(stderr, "replay: level %s has no %s for %s\n", level, name, dtype);
    exit(1);
}

typedef struct space {
    char *memory;
    int64_t bytes;
} space;

static void read_step(nnf_step *step, const char *level, space *spaces, char *scratch) {
    const char *dtype = read_count() == 32 ? "float32" : "float64";
    int64_t count;
    step->kernel = read_entry(level, dtype, 0)->kernel;
    int64_t (*places)[2] = read_items(sizeof *places, &count);
    step->buffer = block(count * (int64_t)sizeof(char *));
    for (int64_t i = 0; i < count; i++)
        step->buffer[i] = places[i][0] < 0 ? 0 : spaces[places[i][0]].memory + places[i][1];
    free(places);
    step->size = read_items(sizeof(int64_t), &count);
    step->scalar = read_items(sizeof(double), &count);
    step->threads = (int32_t)read_count();
    step->operations = (int32_t)read_count();
    nnf_operation *program = block(step->operations * (int64_t)sizeof *program);
    for (int32_t i = 0; i < step->operations; i++) {
        nnf_operation *operation = &program[i];
        operation->function = read_entry(level, dtype, 1)->function;
        operation->y = (int32_t)read_count();
        operation->a = (int32_t)read_count();
        operation->b = (int32_t)read_count();
        operation->c = (int32_t)read_count();
        read_bytes(operation->p, sizeof operation->p);
    }
    step->program = program;
    step->scratch = scratch;
}

static void free_step(nnf_step *step) {
    free(step->buffer);
    free((void *)step->size);
    free((void *)step->scalar);
    free((void *)step->program);
}

static void replay(const char *level, FILE *output, char *scratch, int most_threads) {
    const int threads = (int)read_count();
    const int64_t batches = read_count(), space_count = read_count();
    if (threads > most_threads) {
        fprintf(stderr, "replay: %d threads, at most %d\n", threads, most_threads);
        exit(1);
    }
    space *spaces = block(space_count * (int64_t)sizeof *spaces);
    for (int64_t i = 0; i < space_count; i++)
        spaces[i].memory = read_items(1, &spaces[i].bytes);
    const int64_t step_count = read_count();
    nnf_step *steps = block(step_count * (int64_t)sizeof *steps);
    for (int64_t i = 0; i < step_count; i++)
        read_step(&steps[i], level, spaces, scratch);
    for (int64_t batch = 0; batch < batches; batch++)
        for (int64_t i = 0; i < step_count; i++)
            for (int thread = 0; thread < threads; thread++)
                steps[i].kernel(&steps[i], thread, threads);
    for (int64_t i = 0; i < step_count; i++)
        free_step(&steps[i]);
    for (int64_t i = 0; i < space_count; i++) {
        fwrite(spaces[i].memory, 1, (size_t)spaces[i].bytes, output);
        free(spaces[i].memory);
    }
    free(spaces);
    free(steps);
}

int main(int count, char **arguments) {
    enum { MOST_THREADS = 8 };
    if (count != 4) {
        fprintf(stderr, "usage: replay LEVEL RECORDINGS RESULTS\n");
        return 2;
    }
    FILE *output = fopen(arguments[3], "wb");
    input = fopen(arguments[2], "rb");
    if (!input || !output) {
        perror("replay");
        return 1;
    }
    char *scratch = block(MOST_THREADS * NNF_SCRATCH_BYTES);
    for (int64_t left = read_count(); left > 0; left--)
        replay(arguments[1], output, scratch, MOST_THREADS);
    free(scratch);
    fclose(input);
    return fclose(output) ? 1 : 0;
}
