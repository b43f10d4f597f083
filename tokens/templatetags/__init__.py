"""What the templates of the admin say in words."""
