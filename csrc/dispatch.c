/* The tables compiled into this build, weakest level first. Which of them the processor may run is cpu.c's business. */
#include "nnfast.h"

#if defined(__x86_64__)
#define NNF_LEVELS(X) X(scalar) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define NNF_LEVELS(X) X(scalar) X(neon)
#else
#define NNF_LEVELS(X) X(scalar)
#endif

#define NNF_DECLARE(level) extern const nnf_table nnf_table_##level##_f32, nnf_table_##level##_f64;
NNF_LEVELS(NNF_DECLARE)

#define NNF_BOTH(level) &nnf_table_##level##_f32, &nnf_table_##level##_f64,
static const nnf_table *const tables[] = {NNF_LEVELS(NNF_BOTH)};

int nnf_table_count(void) { return (int)(sizeof tables / sizeof tables[0]); }

const nnf_table *nnf_get_table(int i) { return i >= 0 && i < nnf_table_count() ? tables[i] : 0; }
