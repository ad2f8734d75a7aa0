	get_cpu();
	this_cpu_inc(shown_here);
	this_cpu_add(aligned_here, 2);
	from_init++;
	pr_info("suture: cpu %d %lu %lu %lu init %lu param %d\n", smp_processor_id(), this_cpu_read(shown_here),
		this_cpu_read(start_here), this_cpu_read(aligned_here), from_init, neu);
	put_cpu();
