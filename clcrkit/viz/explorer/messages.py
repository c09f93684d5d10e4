"""Every message between Python and the browser, the same for the live widget and the saved page.

The classes below are the contract. `js/types.d.ts` says the same to JavaScript, and a test holds the two together.
An array travels as `Packed`: raw little-endian bytes, times `scale` where there is one. The axes of every array are
those of the trace; `sample` counts the samples of the message, whose ids it names. Ids travel as text: a number in
JavaScript holds no whole number above 2**53 exactly.
"""

# annotations are not strings here: as strings they would hide NotRequired from __optional_keys__
from typing import Any, Literal, NotRequired, TypedDict

from clcrkit.viz.explorer.packing import Packed, Points
from clcrkit.viz.explorer.spaces import ProbeRow
from clcrkit.viz.palette import Palette


class Column(TypedDict):
    """One fact about every sample; see `samples.Column`."""

    name: str
    kind: Literal["category", "number"]
    names: list[str]
    values: Packed  # (sample)


class Table(TypedDict):
    """What is known of the trace and of every sample; sent once."""

    ids: list[str]  # (sample)
    levels: list[str]
    modalities: list[str]
    task: str  # a name of `tasks.TASKS`
    outputs: list[str]
    gamma: float
    sparse: bool
    epochs: int
    heads: int  # 0 where there is no exchange
    audible: list[str]  # modalities whose samples can be played
    pictured: list[str]  # modalities whose tokens have pictures
    spaces: list[str]  # those of `spaces.SPACES` that the model names
    absent: list[str]  # fields of a trace that the model does not name
    palette: Palette
    columns: list[Column]
    prediction: Packed  # (sample, output)
    level_gate: Packed  # (sample, level)
    modality_gate: Packed  # (sample, modality)
    private_gate: Packed  # (sample, modality)
    participation: dict[str, Packed]  # by modality: (sample, level)
    present: dict[str, Packed]  # by modality: (sample)


class Lane(TypedDict):
    """The tokens of one modality."""

    mask: Packed  # (sample, token)
    evidence: Packed  # (sample, level, token)
    activation: Packed  # (sample, level, token)
    budget: Packed  # (sample, level), at gamma 1
    text: Packed  # (sample, token): positions in the block's texts
    truth: NotRequired[Packed]  # (sample, level, token)
    features: NotRequired[Packed]  # (sample, token, bin), 0 to 255
    other: NotRequired[Packed]  # (sample, level, token): the activation in the trace that this one is compared with
    other_budget: NotRequired[Packed]  # (sample, level), at gamma 1, likewise


class Block(TypedDict):
    """The tokens of some samples."""

    ids: list[str]  # (sample)
    lanes: dict[str, Lane]  # by modality
    texts: list[str]
    threshold: NotRequired[Packed]  # (sample, level); this and `scale` only for a model with a budget
    scale: NotRequired[Packed]  # (sample, level): of the activation, for each unit of evidence


class Listener(TypedDict):
    """Whom one modality's tokens attend to: each row's weights as 0 to 255 parts of the largest one, `top`."""

    others: list[list[Any]]  # [modality, number of its columns], in their order
    top: Packed  # (sample, level, head, token)
    weights: Packed  # (sample, level, head, token, other token)


class Attention(TypedDict):
    """Who attends to whom in some samples, at these levels, for these listening modalities.

    head: the only one here, or -1 for the mean of all; None where all are.
    pool: where it is above 1, `token` and `other token` are blocks of so many tokens, whose weights were averaged.
    """

    ids: list[str]  # (sample)
    pool: int
    levels: list[int]
    head: int | None
    asked: list[str]
    of: dict[str, Listener]  # by modality


class Sound(TypedDict):
    """How some samples sound: a WAV file each, None where the modality is missing."""

    ids: list[str]  # (sample)
    of: dict[str, list[Packed | None]]  # by modality


class Picture(TypedDict):
    """What the real tokens of some samples show, None where the modality is missing."""

    ids: list[str]  # (sample)
    of: dict[str, list[Packed | None]]  # by modality: (token, height, width, color), 0 to 255


class Answer(TypedDict):
    """What the model says of some samples at each gamma: arrays (sample, gamma, ...)."""

    ids: list[str]  # (sample)
    gammas: list[float]
    muted: NotRequired[list[list[Any]]]
    place: NotRequired[dict[str, list[float]]]  # by `spaces.space_key`, in its PCA; only of a model in the page
    prediction: Packed
    level_gate: Packed
    modality_gate: Packed
    private_gate: Packed


class Inputs(TypedDict):
    """What a model in the page reads of some samples."""

    ids: list[str]  # (sample)
    repeats: int  # how often the model's levels hold each token
    tokens: dict[str, Packed]  # by modality: (sample, token, feature), or (sample, token) ids
    masks: dict[str, Packed]  # by modality: (sample, token)
    maps: dict[str, Packed]  # by `spaces.space_key`: what `spaces.linear_map` says of its PCA


class Comparison(TypedDict):
    """The trace that this one is compared with, b. Gates are there where both have them; see `comparison`."""

    says: str
    lacks: list[str]
    sparse: bool
    gamma: float
    changed: Packed  # (sample)
    shift: Packed  # (sample)
    distance: dict[str, list[float]]  # by `spaces.space_key`: Procrustes distance, and with samples shuffled
    prediction: Packed  # (sample, output)
    level_gate: NotRequired[Packed]  # (sample, level)
    modality_gate: NotRequired[Packed]  # (sample, modality)
    private_gate: NotRequired[Packed]  # (sample, modality)
    participation: dict[str, Packed]  # by modality: (sample, level)


class Request(TypedDict):
    """What the browser asks for: a probe of [space, level, modality]; the attention of all levels from now on; a text
    among the tokens."""

    probe: NotRequired[list[Any]]
    levels: NotRequired[bool]
    find: NotRequired[str]


class State(TypedDict):
    """All that the browser reads, by trait of `Explorer`. A message is an empty dict until there is one."""

    views: list[str]
    selection: list[str]
    picked: str
    gamma: float
    level: int
    modality: str
    space: str
    projection: str
    color: str
    head: int
    epoch: int
    muted: list[Any]
    error: str
    live: bool
    _table: Table
    _points: dict[str, dict[str, Points]]  # by projection and space, then by `spaces.space_key`
    _block: Block | dict[str, Any]
    _attention: Attention | dict[str, Any]
    _sound: Sound | dict[str, Any]
    _picture: Picture | dict[str, Any]
    _answer: Answer | dict[str, Any]
    _compared: Comparison | dict[str, Any]
    _found: dict[str, Any]  # asked: a text; ids: of the samples whose tokens spell it
    _probes: dict[str, list[ProbeRow]]  # by `spaces.space_key`


SETTINGS = tuple(name for name in State.__annotations__ if name not in ("views", "error", "live") and name[0] != "_")
"""What a cell and the browser may both set."""
