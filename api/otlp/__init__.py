"""Converts OpenTelemetry spans to trace bodies. Pure: independent of the database."""
