/* Any processor; the flags of the baseline. Compiled with -DNNF_REAL=32 and =64. */
#define NNF_LEVEL scalar
#include "../vec/scalar.h"

#include "table.h"
