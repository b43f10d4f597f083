"""What every credential shares. The other apps may import this package of `tokens` and no other."""
