static DEFINE_PER_CPU(unsigned long, shown_here) = 3;
static DEFINE_PER_CPU_READ_MOSTLY(unsigned long, start_here) = 1000;
static DEFINE_PER_CPU_SHARED_ALIGNED(unsigned long, aligned_here) = 20;
static unsigned long from_init __ro_after_init = 77;
static int neu = 5;
module_param(neu, int, 0644);
