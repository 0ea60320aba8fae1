"""What a finished mask says about itself, in a few numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segmint.artifacts import RefinedMask
from segmint.vocabulary import IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskStatistics:
    """The evidence that travels with a mask."""

    areas: Mapping[int, float]
    """Share of all pixels for each label id that appears, ascending, without the uncertain ones."""
    uncertain_fraction: float
    """Share of all pixels that are 255."""
    agreement: float
    """Mean over all pixels of the share of the winning vote, in [0, 1]."""

    def by_name(self, label_names: Mapping[int, str] | Sequence[str]) -> dict[str, float]:
        """Areas by label name."""
        return {label_names[label_id]: area for label_id, area in self.areas.items()}


def mask_statistics(mask: RefinedMask) -> MaskStatistics:
    """Areas, uncertain share and mean agreement of a mask."""
    labels = mask.labels
    shares = np.bincount(labels.ravel(), minlength=IGNORE + 1) / labels.size
    return MaskStatistics(
        areas={int(label): float(shares[label]) for label in np.flatnonzero(shares[:IGNORE])},
        uncertain_fraction=float(shares[IGNORE]),
        agreement=float(mask.agreement.mean(dtype=np.float64)),
    )
