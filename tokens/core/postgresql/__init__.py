"""PostgreSQL, as requests need it: connections that keep nobody waiting, statements that are planned once."""


class Repeated(str):
    """The text of a statement that is run again and again, and is the same each time but for its parameters."""

    __slots__ = ()
