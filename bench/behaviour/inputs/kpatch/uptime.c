#include "kpatch-macros.h"

extern int panic_on_oops;
static void on_load(void) { panic_on_oops = 5; }
KPATCH_LOAD_HOOK(on_load)
static void then(void) { panic_on_oops += 2; }
KPATCH_LOAD_HOOK(then)
static void on_unload(void) { panic_on_oops = 0; }
KPATCH_UNLOAD_HOOK(on_unload)
