"""Scores, traces and comparisons as files, streamed from one snapshot of the database."""
