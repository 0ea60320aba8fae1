"""Settings of mask-making: the recipe's section `masks`, and the profiles that fill it.

"Report" and "published code" are the two descriptions of PCC that method.md tells apart; docs/method.md has
the table and names the setting of each row. Defaults of PCC's sections are the report's.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from segmint.errors import ConfigError
from segmint.masks.methods import method_named
from segmint.settings import Flag, Settings

Connectivity = Literal[4, 8]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class FeatureSettings(Settings):
    """How self-attention heads are condensed (method.md steps 2–3)."""

    components: Annotated[int, Field(ge=1, le=64)] = 3
    """Principal components kept of each head. Source: report 2.1, "from 64 to 3"."""
    most_place: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Layers whose components are place to more than this share are left out (the share of their variance
    that a linear map of x and y explains); the least of them stays. 1 keeps all."""


class ClusterSettings(Settings):
    """How the grid is cut into clusters (method.md step 4)."""

    counts: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)] = (4, 7, 10)
    """Cluster counts, one K-means trial each. Source: method.md step 4 (its list is lost in the report)."""
    position_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    """Span of x/(W−1) and y/(H−1) beside features of span 1; 0 leaves positions out. Source: report 2.2."""
    connectivity: Connectivity = 4
    """Neighbours that hold a segment together. Source: report 2.2 (4); published code: 8 (table row 1)."""
    seed: Seed = 0
    """Seed of every K-means trial. Source: published code; the report says "fixed"."""
    iterations: Annotated[int, Field(ge=1, le=100_000)] = 300
    """Most Lloyd iterations. Source: scikit-learn's default, which the published code uses."""
    tolerance: Annotated[float, Field(ge=0.0, le=1.0)] = 1e-4
    """Squared centre movement, relative to the mean column variance, that ends them. Source: as above."""


class EvidenceSettings(Settings):
    """How token maps become class evidence (method.md steps 5–6)."""

    text: str = "classes"
    """Which text's token maps are read: "classes" holds just the class phrases. Source: OVAM, report 2.2."""
    through_image: bool = False
    """True sends maps bilinearly to the image's size and sums blocks back to the grid. Source: row 6."""


class VoteSettings(Settings):
    """How clusters are classified and the labelings vote (method.md steps 6–8)."""

    thresholds: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.3, 0.5, 0.8)
    """Evidence above which a position counts as the class. Source: report 2.2."""
    background_factor: Annotated[float, Field(ge=0.0, le=100.0)] = 1.2
    """The background's thresholds are this times the others. Source: report 2.2, "increase … by 20 %"."""
    share: Fraction = 0.5
    """Share of the ballots that the winner must exceed, else 255. Source: report 2.2; row 2: 0.56."""


class RefineSettings(Settings):
    """How grid labels are carried to pixels (method.md step 9)."""

    clusters: Annotated[int, Field(ge=1, le=1024)] = 20
    """Cluster count of the pixel K-means. Source: report 2.3."""
    position_span: Annotated[float, Field(ge=0.0, le=25_500.0)] = 255.0
    """Span of x/W and y/H beside colours of 0–255. Source: method.md step 9; published code (row 8)."""
    connectivity: Connectivity = 4
    """Neighbours that hold a component together. Source: as stage 2; published code: 8 (row 1)."""
    rule: Literal["share", "ratio"] = "share"
    """How a component's winner is judged: by its `share` (report 2.3) or its `ratio` to the runner-up
    (row 3)."""
    share: Fraction = 0.66
    """Share of the component's pixels that the winner must exceed. Source: report 2.3."""
    ratio: Annotated[float, Field(ge=1.0, le=1000.0)] = 2.0
    """Times the runner-up's count that the winner's must exceed; a lone label always wins. Source: row 3."""
    merge_below_px: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Components smaller than this are judged together as one; 0 judges each alone. Source: row 4 (10)."""
    smooth: bool = False
    """True closes each class morphologically and rings it with 255, by the widths below. Source: row 5."""
    erode_px: Annotated[int, Field(ge=0, le=256)] = 1
    """First erosion with a 3×3 square, in repetitions: removes specks. Source: row 5."""
    dilate_px: Annotated[int, Field(ge=0, le=256)] = 5
    """Dilation after it: fills holes. Source: row 5."""
    shrink_px: Annotated[int, Field(ge=0, le=256)] = 4
    """Last erosion: back to the first size. Source: row 5."""
    ring_px: Annotated[int, Field(ge=0, le=256)] = 2
    """Width of the uncertain ring around a class. Source: row 5."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = None
    """Colours are read through a JPEG of this quality; None takes the image as it is. Source: row 8 (75)."""
    seed: Seed = 0
    """Seed of the pixel K-means. Source: published code."""
    iterations: Annotated[int, Field(ge=1, le=100_000)] = 300
    """Most Lloyd iterations. Source: as `ClusterSettings.iterations`."""
    tolerance: Annotated[float, Field(ge=0.0, le=1.0)] = 1e-4
    """Centre movement that ends the iterations. Source: as `ClusterSettings.tolerance`."""


class ThresholdSettings(Settings):
    """How OVAM and DAAM maps become a mask by themselves (method.md, "Other methods")."""

    text: str = "classes"
    """Which text's token maps are read: "classes" is OVAM, "prompt" is DAAM."""
    tokens: Literal["largest", "mean"] = "largest"
    """What stands for a phrase of several tokens. Source: OVAM: the largest; DAAM: the mean."""
    enlarge: Literal["bilinear", "bicubic"] = "bilinear"
    """How maps reach the image's size. Source: OVAM: bilinear; DAAM: bicubic."""
    background_below: Fraction = 0.5
    """A pixel whose best class stays below this is background. Source: 0.4 and 0.5 are usual."""


class DatasetDiffusionSettings(Settings):
    """How Dataset Diffusion's maps become a mask. Source: Nguyen et al. 2023; method.md, "Other methods"."""

    text: str = "classes@16"
    """Name of the class maps of the conditional half at 16×16, or the grid that is nearest."""
    power: Annotated[int, Field(ge=0, le=64)] = 4
    """Times that the maps are passed along the self-attention affinity."""
    class_from: Fraction = 0.6
    """A pixel whose best class reaches this takes it."""
    uncertain_from: Fraction = 0.5
    """A pixel whose best class reaches this, and not `class_from`, is 255; below, it is background."""


class GocaSettings(Settings):
    """How GoCA's weighed maps become a mask (`masks/goca.py`). Source: GoCA (2026) and its code."""

    reference: Literal["paper", "published"] = "paper"
    """Features that layers are weighed by: all channels (`paper`), or the first (`published`, by a slip)."""
    heads: Literal["usual", "projected", "mean"] = "usual"
    """Heads weighed by what they contribute (`projected`), or alike (`mean`); `usual` is the first for
    cross-attention, the second for joint attention.
    """
    rescale: bool = True
    """Part each position among the words with content, blur, and scale to [0, 1]; else take maps as is."""
    blur_cells: Annotated[float, Field(ge=0.0, le=8.0)] = 1.1
    """Deviation of the Gaussian, cut at 5×5, in positions of the grid."""
    order: Annotated[int, Field(ge=0, le=16)] = 2
    """Times that maps are passed along the refining layers' self-attention. Source: FLUX; PixArt: 5."""


class CompetitionSettings(Settings):
    """How segmint's own method makes a mask (`masks/competition.py`). Source of all values: docs/log.md."""

    texts: Annotated[tuple[str, ...], Field(min_length=1)] = ("classes@fine", "classes@half")
    """Names of the class maps that are summed: those of the decoder's finest grid, and of the next."""
    foreground_levels: Annotated[int, Field(ge=1, le=8)] = 1
    """Finest grids whose features say what is foreground."""
    class_levels: Annotated[int, Field(ge=1, le=8)] = 3
    """Finest grids whose features say which class it is."""
    foreground_ridge: Annotated[float, Field(ge=0.0, le=1e6)] = 10.0
    """Penalty of the foreground's regression, in mean variances of a feature."""
    stands_out: Literal["both", "background", "change"] = "both"
    """What tells of the foreground: the start token or the concept "background", the change that texts of
    classes make (guidance's difference), or both."""
    change: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    """Weight of the change that texts of classes make beside the start token's map, for the foreground."""
    balance: Annotated[float, Field(ge=0.0, le=16.0)] = 0.8
    """Positions of the larger of Otsu's two groups that are held against the smaller one, in sizes of the
    smaller; 0 takes all, which is Otsu's own threshold."""
    doubted: Fraction = 0.86
    """Separability of the foreground below which it is looked for again, with features of one grid more."""
    doubted_from: Fraction = 0.05
    """Share of the picture that it has to hold for that: coarser features blur small things."""
    ridge: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    """Penalty of the classes' regression, in mean variances of a feature."""
    gain: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    """Weight of denoising evidence beside attention, both in deviations within the foreground."""
    edge: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1
    """Softness of the foreground's edge, in standard deviations of its map."""
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    """Of the softmax among classes, in standard deviations of a class's map within the foreground."""
    helped: Annotated[float, Field(ge=-1000.0, le=1000.0)] = -0.35
    """Mean denoising evidence of a region's own class, as a share of the picture's mean error, below which
    the name is taken to be wrong and the region for background; very low believes every name."""
    helped_from: Fraction = 0.05
    """Share of the picture from which a region is judged so: small things are hardly seen better by name."""
    led: Fraction = 0.1
    """A class that nowhere on the grid holds this part of the leader's share reaches no pixel."""
    to_pixels: Literal["meanfield", "guided"] = "meanfield"
    """What carries shares to pixels: the mean field (section `meanfield`) or a guided filter."""
    radius_cells: Annotated[float, Field(ge=0.0, le=64.0)] = 4.0
    """Radius of the guided filter's windows, in positions of the largest grid."""
    smoothness: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-4
    """Colour variance (colours in [0, 1]) that the guided filter takes for noise."""
    uncertain_below: Fraction = 0.0
    """A pixel whose winner holds less than this share is 255; 0 labels every pixel."""


class MeanFieldSettings(Settings):
    """How shares on the grid reach pixels (`masks/meanfield.py`). Source of all values: docs/log.md."""

    spread_cells: Annotated[float, Field(ge=0.0, le=16.0)] = 1.6
    """Deviation of the Gaussian that overconfident shares are spread by, in positions of the grid."""
    crisp_least: Fraction = 0.5
    """Crispness (median share that changes hands across a border) from which shares are spread at all …"""
    crisp_most: Fraction = 0.65
    """… and from which in full. Means over positions of a mask with random borders have 0.75."""
    strength: Annotated[float, Field(ge=0.0, le=100.0)] = 0.32
    """Weight of the colours' odds where the evidence's crispness is `crisp`."""
    crisp: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    """See `strength`."""
    steepness: Annotated[float, Field(ge=0.0, le=8.0)] = 2.0
    """Power by which the weight grows as the evidence's borders get gentler."""
    strength_least: Annotated[float, Field(gt=0.0, le=100.0)] = 0.2
    """Least weight of the colours' odds."""
    strength_most: Annotated[float, Field(ge=0.0, le=100.0)] = 2.0
    """Most weight of the colours' odds."""
    doubt: Annotated[float, Field(gt=0.0, le=10.0)] = 0.02
    """Added to the grid's shares before their logarithm: the least that any label is given."""
    faint: Annotated[float, Field(gt=0.0, le=1.0)] = 0.02
    """The same for the shares of like colours and of the surroundings."""
    prior: Fraction = 0.55
    """Weight of how common a label is in the surroundings, which its share of a colour is held against."""
    surroundings_cells: Annotated[int, Field(ge=0, le=256)] = 10
    """Reach of the surroundings: radius of a box mean, taken twice."""
    bin_cells: Annotated[tuple[Annotated[float, Field(gt=0.0, le=256.0)], ...], Field(min_length=1)] = (
        5.0,
        8.0,
    )
    """Sides of the spatial bins of each bilateral grid, in positions of the grid."""
    bin_lab: tuple[
        Annotated[float, Field(ge=1.0)], Annotated[float, Field(ge=1.0)], Annotated[float, Field(ge=1.0)]
    ] = (5.0, 5.0, 5.0)
    """Sides of the colour bins: lightness (0–100), green–red, blue–yellow of CIELAB."""
    rounds: Annotated[int, Field(ge=1, le=64)] = 4
    """Updates of the field; the last is at every pixel."""
    samples: Annotated[float, Field(ge=1.0, le=64.0)] = 4.0
    """Rows and columns within a grid position that all updates but the last look at; all, if it has fewer."""
    neighbours: Annotated[float, Field(ge=0.0, le=100.0)] = 0.75
    """Weight of the neighbouring pixels' shares beside the colours' odds."""
    neighbour_cells: Annotated[float, Field(ge=0.0, le=16.0)] = 0.15
    """Deviation of the Gaussian that weighs them."""
    smooth_cells: Annotated[float, Field(ge=0.0, le=16.0)] = 0.15
    """Deviation of the Gaussian over the last update's odds."""
    calibrated: Annotated[float, Field(gt=0.0, le=100.0)] = 1.5
    """Weight of the colours' odds at which the shares found are as sure as they are right."""
    calibration: Annotated[float, Field(ge=0.0, le=8.0)] = 0.6
    """Power by which they are sharpened below that weight, and softened above; no winner changes."""
    speck_cells: Annotated[float, Field(ge=0.0, le=64.0)] = 1.25
    """Regions smaller than so many grid positions are given to their surroundings."""


class DenoisingSettings(Settings):
    """Denoising evidence: for which texts the model is asked again (`backbone/denoising.py`)."""

    use: Annotated[bool, Flag("--denoising/--no-denoising")] = True
    """Ask the model again, after drawing or looking, how much each class helps it to see the image. Better
    masks for (classes + 1) × levels more calls."""
    levels: Annotated[tuple[Annotated[int, Field(ge=0, le=999)], ...], Field(min_length=1)] = (500, 700)
    """Noise levels, in training timesteps, where classes are named with each image."""
    levels_doubted: Annotated[tuple[Annotated[int, Field(ge=0, le=999)], ...], Field(min_length=1)] = (
        300,
        500,
        600,
        700,
    )
    """Noise levels where an image is searched for all classes of a run."""
    draws: Annotated[int, Field(ge=1, le=64)] = 1
    """Noises at each level; large models may want more."""
    phrasing: str = "a photo of {}"
    """Text of a class; {} stands for its first phrase with its article."""
    most: Annotated[int, Field(ge=2, le=254)] = 12
    """Of more classes than these, only those with the loudest attention are asked for."""
    at_once: Annotated[int, Field(ge=1, le=254)] = 8
    """Texts that go through the model together."""


class PresenceSettings(Settings):
    """Which of the classes asked for an image shows at all (`masks/presence.py`). Source: docs/log.md."""

    apply: Literal["own", "always", "never"] = "own"
    """Whether classes that an image does not seem to show get no pixel: with segmint's own method, with any
    method, or never."""
    named: Fraction = 0.5
    """Share of the competition that a class must hold at its peak, if the prompt names it."""
    share: Fraction = 0.9
    """The same, if an image is searched for all classes of a run."""
    peak: Annotated[float, Field(gt=0.0, le=1.0)] = 0.04
    """A class's peak: the part of the foreground's area where it holds most."""
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    """Of the softmax among classes, in standard deviations of all class maps within the foreground."""
    gain: Annotated[float, Field(ge=0.0, le=100.0)] = 2.0
    """Weight of denoising evidence beside attention, each in such deviations."""
    temperature_alone: Annotated[float, Field(gt=0.0, le=100.0)] = 0.3
    """The temperature without denoising evidence."""
    alone: Fraction = 0.7
    """Part of the shares above that is asked for without denoising evidence."""


class MaskSettings(Settings):
    """How masks are made of attention. A field that is not given takes the value of the method's profile."""

    panel = "Masks"

    method: Annotated[str, Flag("--method")] = "segmint"
    """How masks are made: `segmint`, `pcc`, `pcc-published`, `ovam`, `daam`, `dataset-diffusion`,
    `goca`, `goca-published`; of transformers `concept-attention`, `seg4diff`."""
    features: FeatureSettings = Field(default_factory=FeatureSettings)
    clusters: ClusterSettings = Field(default_factory=ClusterSettings)
    evidence: EvidenceSettings = Field(default_factory=EvidenceSettings)
    vote: VoteSettings = Field(default_factory=VoteSettings)
    refine: RefineSettings = Field(default_factory=RefineSettings)
    thresholding: ThresholdSettings = Field(default_factory=ThresholdSettings)
    dataset_diffusion: DatasetDiffusionSettings = Field(default_factory=DatasetDiffusionSettings)
    goca: GocaSettings = Field(default_factory=GocaSettings)
    competition: CompetitionSettings = Field(default_factory=CompetitionSettings)
    meanfield: MeanFieldSettings = Field(default_factory=MeanFieldSettings)
    denoising: DenoisingSettings = Field(default_factory=DenoisingSettings)
    presence: PresenceSettings = Field(default_factory=PresenceSettings)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_profile(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        name = data.get("method", cls.model_fields["method"].default)
        try:
            row = method_named(str(name))
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return _laid_over(row.profile, data)


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, given in top.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(given, Mapping):
            merged[key] = _laid_over(below, given)
        else:
            merged[key] = given
    return merged


def profile(name: str) -> MaskSettings:
    """The complete settings of a method by its name.

    Raises:
        ConfigError: no method has this name; the message lists those that exist.
    """
    method_named(name)
    return MaskSettings(method=name)
