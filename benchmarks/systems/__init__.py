"""The servers under test, and the registry that describes them."""
