"""Jobs: the one unit of work, and the engines that carry it out on one machine or many."""
