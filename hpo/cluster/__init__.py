"""A search on many machines: a chief that hands out trials, and workers that call in.

They speak KerasTuner's own gRPC service. The chief does what `aeroact-hpo run` does: it holds
the run's folder, asks the Oracle and writes the journal. A worker is a process for one GPU, or
for a node's cores, that does its trials in processes of its own, as a search on one machine
does. Nothing here needs Slurm but `aeroact.hpo.cluster.job`.
"""
