"""Reading what a CLCR computed: probes and projections. Arrays in, tables and arrays out; never a model."""
