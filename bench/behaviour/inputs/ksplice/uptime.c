#include "ksplice-patch.h"

extern int panic_on_oops;
static int before;
static void uptime_apply(void) { before = panic_on_oops; panic_on_oops = 9; }
ksplice_apply(uptime_apply);
static void uptime_reverse(void) { panic_on_oops = before; }
ksplice_reverse(uptime_reverse);
