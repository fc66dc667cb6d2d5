/* Zeroed memory for arenas, weights and scratch: 64-byte aligned; large blocks come in huge pages, touched when first
 * used. */
#define _GNU_SOURCE
#include "nnfast.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64 };
static const int64_t mapped_from = 256 << 10; /* smaller blocks come from malloc */
static const int64_t huge_page = 2 << 20;

static int64_t round_up(int64_t bytes, int64_t to) { return (bytes + to - 1) / to * to; }

/* Map one huge page more than asked, and give back what lies before and behind the aligned block. */
static void *map_aligned(int64_t bytes) {
    char *start = mmap(0, (size_t)(bytes + huge_page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return 0;
    char *aligned = (char *)round_up((int64_t)(intptr_t)start, huge_page);
    if (aligned > start)
        munmap(start, (size_t)(aligned - start));
    if (aligned < start + huge_page)
        munmap(aligned + bytes, (size_t)(start + huge_page - aligned));
#ifdef MADV_HUGEPAGE
    madvise(aligned, (size_t)bytes, MADV_HUGEPAGE);
#endif
    return aligned;
}

void *nnf_allocate(int64_t bytes) {
    if (bytes < 0 || bytes > INT64_MAX / 2)
        return 0;
    if (bytes >= mapped_from)
        return map_aligned(round_up(bytes, huge_page));
    void *block = 0;
    const size_t size = (size_t)round_up(bytes > 0 ? bytes : 1, ALIGNMENT);
    if (posix_memalign(&block, ALIGNMENT, size))
        return 0;
    memset(block, 0, size);
    return block;
}

void nnf_release(void *block, int64_t bytes) {
    if (!block)
        return;
    if (bytes >= mapped_from)
        munmap(block, (size_t)round_up(bytes, huge_page));
    else
        free(block);
}
