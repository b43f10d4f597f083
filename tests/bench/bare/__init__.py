"""A project as `startproject` makes it, with Django REST framework installed and one empty view: a baseline."""
