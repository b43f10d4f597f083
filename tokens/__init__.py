"""`/_/token`: named bearer tokens. `tokens.core` is what all credentials share."""
