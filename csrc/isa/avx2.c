/* Flags: -mavx2 -mfma -mf16c -mbmi -mbmi2. Compiled with -DNNF_REAL=32 and =64. */
#define NNF_LEVEL avx2
#include "../vec/avx2.h"

#include "table.h"
