"""What a program may import from `tokentape`: a name is public because it stands here, and for no other reason."""

import tokentape

PUBLIC = [
    "Cursor",
    "Event",
    "Part",
    "Run",
    "Tape",
    "TokentapeError",
    "__version__",
]


def test_all_names_the_public_surface_and_nothing_else():
    assert sorted(tokentape.__all__) == PUBLIC


def test_every_public_name_can_be_imported():
    for name in PUBLIC:
        assert getattr(tokentape, name) is not None
