/* 3x3 convolution with stride 1: 16 products for 4 outputs, not 36. It has more products than
 * f32_conv2d_winograd4 and less than half the filters to read, which is what counts where tiles are
 * few and channels many; and small images waste less of its tiles. */
#define TILE 2
#define TAPS 3
#include "f32_conv2d_winograd.h"

WINOGRAD_KERNEL(f32_conv2d_winograd2);
