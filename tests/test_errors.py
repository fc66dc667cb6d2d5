"""The errors: what they are caught as, and the two messages made in one place."""

import pytest

from nnfast import errors


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ShapeError", ValueError),
        ("DtypeError", TypeError),
        ("UnknownNameError", ValueError),
        ("NotCompiledError", RuntimeError),
        ("GraphError", RuntimeError),
        ("DataError", ValueError),
        ("LabelError", errors.DataError),
        ("ModelFileError", ValueError),
        ("SettingError", ValueError),
        ("MissingExtraError", ImportError),
    ],
)
def test_each_error_is_also_a_builtin(name, builtin):
    kind = getattr(errors, name)
    assert issubclass(kind, builtin)
    assert issubclass(kind, errors.NnfastError)


def test_unknown_name_says_the_nearest():
    error = errors.unknown_name("optimizer", "Adm", ["adam", "sgd"])
    assert isinstance(error, errors.UnknownNameError)
    assert str(error) == "unknown optimizer 'Adm': did you mean 'adam'? Known: adam, sgd"


def test_unknown_name_without_a_near_one():
    assert str(errors.unknown_name("loss", 7, [])) == "unknown loss 7: Known: none"


def test_missing_extra_keeps_the_package_name():
    error = errors.missing_extra("pooch", "data")
    assert error.name == "pooch"
    assert 'pip install "nnfast[data]"' in str(error)
