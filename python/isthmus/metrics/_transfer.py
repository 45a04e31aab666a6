"""How good are transferred labels, and what does an ``unknown`` cost?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isthmus._errors import InputError
from isthmus.data.categories import text_of
from isthmus.metrics._inputs import Labels, as_codes, as_text


class TransferScores(NamedTuple):
    """Transferred labels against the truth.

    Attributes
    ----------
    accuracy
        Share of cells with the right label; ``unknown`` counts as wrong. 0..1, higher is better.
    macro_f1
        Mean F1 over the types, so that rare types weigh as much as common ones; ``unknown`` counts as missed.
        0..1, higher is better.
    unknown
        Share of cells called ``unknown``.
    accuracy_known
        Accuracy among the cells that got a label; NaN if none did.
    cells
        Cells with a true label, over which all of this is computed.
    unlabelled
        Cells left out because they have no true label.
    """

    accuracy: float
    macro_f1: float
    unknown: float
    accuracy_known: float
    cells: int
    unlabelled: int


def label_transfer_scores(predicted: Labels, truth: Labels, *, unknown: Any = "unknown") -> TransferScores:
    r"""Compare transferred labels with the truth.

    With true positives, false positives and false negatives of type :math:`t`,

    .. math:: F1_t = \frac{2\,TP_t}{2\,TP_t + FP_t + FN_t}

    averaged over all types found in the truth or in the prediction. ``unknown`` is not a type: it is a cell
    not answered, wrong in ``accuracy`` and left out in ``accuracy_known``, so that the two tell what caution
    costs.

    Parameters
    ----------
    predicted
        Transferred label of each cell, ``(cells,)``; ``unknown`` or missing means not answered. Labels are compared
        as text, so that ``1`` is ``"1"``.
    truth
        True label, ``(cells,)``; cells without one are left out and counted.
    unknown
        The value that stands for not answered.

    Returns
    -------
    TransferScores
        ``accuracy``, ``macro_f1``, ``unknown``, ``accuracy_known``, ``cells``, ``unlabelled``.

    Raises
    ------
    InputError
        If lengths differ, no cell has a true label, or ``unknown`` is a true label.

    References
    ----------
    Macro F1 as in scikit-learn; used for projection in Xiong et al. 2022, Nature Communications 13:6118.
    """
    wanted, names, given, given_names = as_pair(predicted, truth, unknown)
    keep = wanted >= 0
    types = names.append(given_names[~given_names.isin([*names, text_of(unknown)])])
    # Codes of the prediction in the types of the truth; what is not among them (the unknown) becomes -1.
    given = np.append(types.get_indexer(given_names), -1)[given]
    wanted, given = wanted[keep], given[keep]
    right = given == wanted
    answered = given >= 0
    return TransferScores(
        accuracy=float(right.mean()),
        macro_f1=_macro_f1(given, wanted, len(types)),
        unknown=float(1 - answered.mean()),
        accuracy_known=float(right[answered].mean()) if answered.any() else float("nan"),
        cells=int(keep.sum()),
        unlabelled=int((~keep).sum()),
    )


def as_pair(
    predicted: Labels, truth: Labels, unknown: Any
) -> tuple[NDArray[np.intp], pd.Index, NDArray[np.intp], pd.Index]:
    """Codes and names, as text, of the true labels and of the given ones; -1 stands for a missing label.

    Raises
    ------
    InputError
        If lengths differ, no cell has a true label, or ``unknown`` is a true label.
    """
    wanted, names = _text_codes(truth, len(truth), "truth")
    given, given_names = _text_codes(predicted, len(wanted), "predicted")
    if text_of(unknown) in names:
        raise InputError(
            f"true labels without {unknown!r}, which stands for a cell not answered",
            f"{unknown!r} among the true labels",
            "name another value as unknown=, or set these true labels to missing",
        )
    if not len(names):
        raise InputError(
            "true labels for some cells", "none", "check the column; without the truth nothing can be scored"
        )
    return wanted, names, given, given_names


def _text_codes(values: Labels, n_cells: int, name: str) -> tuple[NDArray[np.intp], pd.Index]:
    """Codes of labels by their text: transferred labels are always text, true ones may be numbers."""
    codes, names = as_codes(values, n_cells, name)
    text, texts = as_text(names)
    return np.append(text, -1)[codes], texts


def _macro_f1(given: np.ndarray, wanted: np.ndarray, n_types: int) -> float:
    true_positive = np.bincount(wanted[given == wanted], minlength=n_types)
    # 2 TP + FP + FN is the number of times the type was given plus the number of times it was wanted.
    named = np.bincount(given[given >= 0], minlength=n_types) + np.bincount(wanted, minlength=n_types)
    seen = named > 0  # a type predicted only for cells without truth is no part of the score
    return float((2 * true_positive[seen] / named[seen]).mean())
