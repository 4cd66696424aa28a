/* 5x5 convolution with stride 1: 36 products for 4 outputs, not 100. */
#define TILE 2
#define TAPS 5
#include "f32_conv2d_winograd.h"

WINOGRAD_KERNEL(f32_conv2d_winograd2_5x5);
