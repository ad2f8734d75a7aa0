struct suture_pair {
	const char *word;
	int (*show)(struct seq_file *m, void *v);
};
static int version_proc_show(struct seq_file *m, void *v);
static const struct suture_pair suture_pairs[] = {
	{ "first ", version_proc_show }, { "second ", NULL },
};
static char suture_buffer[24];
static unsigned long suture_times = 5;

static noinline const char *suture_word(size_t index)
{
	static DEFINE_MUTEX(suture_mutex);

	mutex_lock(&suture_mutex);
	scnprintf(suture_buffer, sizeof(suture_buffer), "%s %lu ", suture_pairs[index & 1].word, suture_times++);
	mutex_unlock(&suture_mutex);
	return suture_pairs[index & 1].show ? suture_buffer : linux_banner;
}
