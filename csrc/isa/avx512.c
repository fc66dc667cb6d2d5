/* Flags: those of avx2.c and -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl -mprefer-vector-width=512. Compiled
 * with -DNNF_REAL=32 and =64. */
#define NNF_LEVEL avx512
#include "../vec/avx512.h"

#include "table.h"
