"""Dialects: pure translations of events to one wire format each."""
