/* 3x3 convolution with stride 1: 36 products for 16 outputs, not 144. */
#define TILE 4
#define TAPS 3
#include "f32_conv2d_winograd.h"

WINOGRAD_KERNEL(f32_conv2d_winograd4);
