"""Upgrading from an earlier release."""
