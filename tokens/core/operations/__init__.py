"""How the running registry says how it is, what it did, what is wrong; and how it is kept safe."""
