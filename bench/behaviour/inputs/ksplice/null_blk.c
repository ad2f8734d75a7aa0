#include "ksplice-patch.h"

static void null_blk_apply(void) { g_hw_queue_depth = 77; }
ksplice_apply(null_blk_apply);
static void null_blk_reverse(void) { g_hw_queue_depth = 64; }
ksplice_reverse(null_blk_reverse);
