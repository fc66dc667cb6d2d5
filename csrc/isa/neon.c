/* aarch64; the flags of the baseline. Compiled with -DNNF_REAL=32 and =64. */
#define NNF_LEVEL neon
#include "../vec/neon.h"

#include "table.h"
