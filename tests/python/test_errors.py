from __future__ import annotations

import copy
import pickle

import pytest

import isthmus as im
from isthmus._errors import EnvironmentProblem, InputError, ModelFileError, TrainingError

KINDS = [InputError, ModelFileError, EnvironmentProblem, TrainingError]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_has_three_parts(kind):
    error = kind("a column", "none", "add one")
    assert str(error) == "Expected a column.\nFound none.\nRemedy: add one."
    assert (error.expected, error.found, error.remedy) == ("a column", "none", "add one")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_a_process_boundary(kind):
    error = pickle.loads(pickle.dumps(kind("a", "b", "c")))  # noqa: S301
    assert type(error) is kind
    assert error.remedy == "c"
    assert str(copy.copy(error)) == str(error)


def test_users_catch_what_they_expect():
    assert issubclass(InputError, ValueError)
    assert issubclass(ModelFileError, InputError)
    assert issubclass(EnvironmentProblem, InputError)
    assert issubclass(TrainingError, RuntimeError)
    assert im.InputError is InputError
    assert im.TrainingError is TrainingError
