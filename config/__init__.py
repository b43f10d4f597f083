"""Composes the apps: settings, routes, server. Imports apps and is imported by none."""
