"""Results of runs, kept beyond them: what a file of one holds, where files are kept, and who may make one."""
