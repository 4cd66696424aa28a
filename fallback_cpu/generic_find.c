#include "generic.h"

mb_generic_fn *mb_generic_find(enum mb_isa isa, enum mb_op op, enum mb_dtype dtype) {
    switch (isa) {
    case MB_ISA_AVX512: return mb_generic_find_avx512(op, dtype);
    case MB_ISA_AVX2: return mb_generic_find_avx2(op, dtype);
    case MB_ISA_SCALAR: break;
    }
    return mb_generic_find_scalar(op, dtype);
}
