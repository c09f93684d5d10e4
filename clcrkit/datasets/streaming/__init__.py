"""Streaming: data sets that are larger than memory, converted once and read batch by batch."""
