"""Reading a model and what it computed: probes, projections, similarity, attribution, robustness. Tables come out."""
