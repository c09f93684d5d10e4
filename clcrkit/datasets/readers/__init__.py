"""Readers: untrusted files to arrays. Nothing in a file is run, and no file takes memory out of proportion."""
