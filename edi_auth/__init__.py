"""`/auth/v1`: API keys exchanged for EDI and PASTA tokens, and both renewed."""
