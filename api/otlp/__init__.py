"""OpenTelemetry spans as trace bodies. Pure: nothing here knows the store."""
