"""The explorer: four linked views of one trace, as a widget and as a page. All [ours].

The browser draws; Python keeps the state as traits and sends arrays (see `payload`). Everything but what needs the
model is drawn from arrays that are already in the browser, the allocation at another gamma included, which is the
projection clip(activation - lambda, 0, 1). Only prediction and gates wait for the model's exact answer.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets as t

from clcrkit.analysis import projections
from clcrkit.arguments import checked
from clcrkit.datasets.split import Split
from clcrkit.errors import ConfigError, DataError
from clcrkit.files import write_text
from clcrkit.trace import Trace
from clcrkit.viz.explorer import comparison, html, messages, payload, samples, spaces, svg
from clcrkit.viz.explorer.reallocation import Rerunnable, rerun
from clcrkit.viz.explorer.views import VIEWS, views_of

GAMMAS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_HERE = Path(__file__).parent


def _shown(method: Callable[..., Any]) -> Callable[..., Any]:
    """A callback whose error is written into the widget, where the reader looks, and not lost in a log.

    It stays there until the same callback succeeds: one click may run several.
    """

    @functools.wraps(method)
    def guarded(self: Explorer, *arguments: Any) -> Any:
        try:
            result = method(self, *arguments)
        except Exception as error:
            self._failed, self.error = method.__name__, f"{type(error).__name__}: {error}"
            return None
        if self._failed in (method.__name__, "set_state"):
            self._failed, self.error = "", ""
        return result

    return guarded


class _Id(t.Int):
    """An id, also as numpy and torch write it."""

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, value.item() if hasattr(value, "item") else value)


class _Ids(t.List):
    """A list of ids, also from an array or a tensor."""

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, value.tolist() if hasattr(value, "tolist") else value)


class Explorer(anywidget.AnyWidget):
    """Look inside a trace: subspaces, token budget, exchange attention and gates, linked by sample id.

    trace   what to look at (arrays only)
    model   for live what-if: gamma and muted tokens re-run it on the picked sample; it also names the labels where
            `split` and the trace's batch do not
    split   the data set, for the names of labels and attributes, what each token is, how samples sound and look
    views   which of VIEWS to show, in this order; by default all for which the trace has what they show
    epochs  earlier traces of the same samples, oldest first; the subspace view plays them, `trace` last
    compare another trace of the same samples, b: of another model, seed, ablation or checkpoint. Samples are matched
            by id. Shown are the predictions that changed, budgets and gates as differences (b - a), and b's clouds,
            turned to lie nearest to those of `trace` (Procrustes: two models have no axes in common), all as
            traced; only in the token lanes do both follow gamma. What one has not is left out, with a word

    State, all readable and settable: `selection` (sample ids), `picked` (the id whose tokens are shown; the first
    of the selection unless set), `gamma`, `level` (0 is shallow), `modality`, `space` (one of spaces.SPACES),
    `projection` ('pca', 'umap'), `color` (a name in `colors`), `head` (-1: mean of all), `epoch` (the last is the
    trace), `muted` (triples of modality, level, token; needs a model), `error` (what went wrong last).
    A wrong value raises ConfigError or DataError from Python, and is shown inside the widget from the browser.
    In the cloud a click or a loop selects; Ctrl and wheel, + and -, enlarge; Alt and drag, or Shift and arrows, move.
    """

    _esm = _HERE / "explorer.js"
    _css = _HERE / "explorer.css"

    views = t.List(t.Unicode()).tag(sync=True)
    # ids travel as text, see `payload`
    selection = _Ids(_Id()).tag(
        sync=True, to_json=lambda ids, _: list(map(str, ids)), from_json=lambda ids, _: list(map(int, ids))
    )
    picked = _Id().tag(sync=True, to_json=lambda i, _: str(i), from_json=lambda i, _: int(i))
    gamma = t.Float(1.0).tag(sync=True)
    level = t.Int(0).tag(sync=True)
    modality = t.Unicode().tag(sync=True)
    space = t.Unicode("shared").tag(sync=True)
    projection = t.Unicode("pca").tag(sync=True)
    color = t.Unicode().tag(sync=True)
    head = t.Int(-1).tag(sync=True)
    epoch = t.Int(0).tag(sync=True)
    muted = t.List(t.Tuple(t.Unicode(), t.Int(), t.Int())).tag(sync=True)
    error = t.Unicode().tag(sync=True)
    live = t.Bool(False).tag(sync=True)
    _table = t.Dict().tag(sync=True)
    _points = t.Dict().tag(sync=True)
    _block = t.Dict().tag(sync=True)
    _attention = t.Dict().tag(sync=True)
    _sound = t.Dict().tag(sync=True)
    _picture = t.Dict().tag(sync=True)
    _answer = t.Dict().tag(sync=True)
    _compared = t.Dict().tag(sync=True)
    _found = t.Dict().tag(sync=True)
    _probes = t.Dict().tag(sync=True)

    @checked
    def __init__(
        self,
        trace: Trace,
        model: Rerunnable | None = None,
        split: Split | None = None,
        *,
        views: Iterable[str] = VIEWS,
        epochs: Sequence[Trace] = (),
        compare: Trace | None = None,
        **state: Any,
    ) -> None:
        if not len(trace):
            raise DataError("trace: empty; at least 1 sample is needed")
        for i, step in enumerate(epochs):
            if not torch.equal(step.batch.ids.cpu(), trace.batch.ids.cpu()):
                raise DataError(f"epochs: trace {i} holds other samples than `trace`; all need the same ids in order")
        views = views_of(trace, list(views))
        self.trace, self.model, self.split = trace.to("cpu"), model, split
        if not self.trace.batch.label_names:
            names = getattr(getattr(model, "config", None), "label_names", ())
            self.trace = replace(self.trace, batch=replace(self.trace.batch, label_names=names))
        self.epochs = [step.to("cpu") for step in epochs]
        self.compare = None if compare is None else comparison.aligned(self.trace, compare.to("cpu"))
        self.payload = payload.Payload(self.trace, self.epochs, split, self.compare)
        self._failed = ""  # the callback whose error is shown
        self._every_level = False  # has the browser asked for the attention of all levels and heads?
        self._drawn: tuple[Any, ...] = ()
        self._answered: tuple[Any, ...] = ()
        table = self.payload.table()
        self.levels = tuple(table["levels"])
        self.colors = ("modality", *(column["name"] for column in table["columns"]))
        started: dict[str, Any] = {
            "views": views,
            "space": (*spaces.named_spaces(trace), "shared")[0],
            "gamma": trace.gamma,
            "level": len(self.levels) - 1,
            "modality": trace.modalities[0],
            "color": self.colors[1],
            "epoch": len(epochs),
            "picked": int(trace.batch.ids[0]),
        }
        if unknown := set(state) - set(messages.SETTINGS):
            there = ", ".join(messages.SETTINGS)
            raise ConfigError(f"{', '.join(sorted(unknown))}: no setting of Explorer; there are {there}")
        if len(state.get("selection", ())):
            started["picked"] = int(state["selection"][0])
        try:
            super().__init__(
                **(started | state), live=model is not None, _table=table, _compared=self.payload.comparison()
            )
        except t.TraitError as error:
            raise ConfigError(str(error)) from None
        self.observe(self._follow, "selection")
        self.observe(self._refresh, names=["picked", "level", "modality", "head", "gamma", "muted"])
        self.observe(self._project, names=["space", "projection", "level", "modality"])
        self.on_msg(self._asked)
        self._send_points()
        self._send_tokens()

    def __repr__(self) -> str:
        return (
            f"Explorer({len(self.trace)} samples; {', '.join(self.trace.modalities)}; {', '.join(self.levels)}; "
            f"views: {', '.join(self.views)})"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, with a still picture where no script runs; CLCRKIT_EMBED_PAGES=1 puts a whole page."""
        if os.environ.get("CLCRKIT_EMBED_PAGES"):
            page = html.embedded(self.page(), [*self.views, *(["comparison"] if self.compare else [])])
            return {"text/plain": repr(self), "text/html": page, "image/svg+xml": svg.picture(self)}, {}
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle or {}
        return data | {"text/plain": repr(self), "image/svg+xml": svg.picture(self)}, {}

    # --- what a cell can read -------------------------------------------------------------------------------

    def points(self) -> Any:
        """(sample, 2) float32: where the subspace view draws each sample now."""
        place = spaces.positions(self.trace, self.epochs, self.space, self.projection, self.level, self.modality)
        return place[spaces.space_key(self.space, self.level, self.modality)][self.epoch]

    def now(self) -> Trace:
        """The picked sample as the budget view shows it: at the explorer's gamma, with its tokens muted.

        Without a model only activation, allocation, cutoff, budget and participation follow; all else is as traced.
        """
        return rerun(self.trace, [self.trace.row(self.picked)], self.model, self.gamma, self.muted, attention=True)

    def probes(
        self, space: str | None = None, level: int | None = None, modality: str | None = None
    ) -> list[spaces.ProbeRow]:
        """What a linear probe reads from one space (default: the one shown): a row for each label and attribute.

        Each row: target, accuracy, shuffled (the same probe on shuffled labels), chance; 3-fold cross-validated on at
        most 400 samples. Values with fewer than 3 samples are left out, and targets with fewer than 2 values.
        """
        level = self.level if level is None else level
        asked = space or self.space, level, modality or self.modality
        self.payload.add_probes(*asked)
        return self.payload.probes[spaces.space_key(*asked)]

    def table(self) -> Any:
        """The selected samples, or all if none is selected, as a pandas DataFrame: what the explorer's CSV file holds.
        Indexed by id, with a column for label, prediction, error and each attribute; groups are their names."""
        rows = [self.trace.row(i) for i in self.selection] or range(len(self.trace))
        return samples.frame(samples.columns(self.trace, self.split, self.compare), self.trace.batch.ids.tolist(), rows)

    def page(self, gammas: Sequence[float] = GAMMAS, max_mb: float = html.MAX_MB, *, live: bool = False) -> str:
        """The explorer as one HTML page, with its present state, that needs no kernel and no network.

        With a model, predictions and gates are computed beforehand at each of `gammas`; without one only the
        allocation follows the slider. Tokens, attention and sound are kept for as many samples as fit into a page of
        `max_mb` megabytes (the page says how many): the picked one, the selection, then an even spread. Attention
        that is too long for the page is averaged over blocks of tokens, and the page says so. What is needed in any
        case may take more: points and gates of all samples, tokens and sound of the picked one. Raises ConfigError
        for a negative gamma, or a `max_mb` that is not above 0.

        live: the model, a CLCR, runs in the page, which is some 8 MB larger for it: any gamma and any muted tokens of
        the samples whose tokens are kept, no `gammas`. npm fetches onnxruntime-web for it, once; raises DataError
        where it cannot, ConfigError where the model is no CLCR.
        """
        return html.page(self, gammas, max_mb, live)

    def export(
        self,
        path: str | os.PathLike[str],
        gammas: Sequence[float] = GAMMAS,
        max_mb: float = html.MAX_MB,
        *,
        live: bool = False,
    ) -> Path:
        """Write `page(gammas, max_mb, live=live)` to a file; returns its path. Raises DataError where it cannot be
        written."""
        write_text(Path(path), self.page(gammas, max_mb, live=live))
        return Path(path)

    # --- keeping the browser up to date ---------------------------------------------------------------------

    @_shown
    def _follow(self, change: Any) -> None:
        if self.selection and self.picked not in self.selection:
            self.picked = self.selection[0]

    @_shown
    def _refresh(self, change: Any) -> None:
        if change["name"] == "picked" and self.muted:
            self.muted = []  # muted tokens belong to one sample
        self._send_tokens()

    @_shown
    def _project(self, change: Any) -> None:
        self._send_points()

    @_shown
    def _asked(self, widget: Any, content: messages.Request, buffers: Any) -> None:
        if "probe" in content:
            self.payload.add_probes(*content["probe"])
            self._probes = dict(self.payload.probes)
        if "find" in content:
            self._found = {"asked": content["find"], "ids": self.payload.saying(content["find"])}
        if content.get("levels"):
            self._every_level, self._drawn = True, ()
            self._send_tokens()

    def _send_points(self) -> None:
        self.payload.add_points(self.space, self.projection, self.level, self.modality)
        self._points = dict(self.payload.points)

    def _send_tokens(self) -> None:
        # several traits may change at once; each array is made once for the state they end in
        row, shown, shown_ids = self.trace.row(self.picked), set(self.views), [str(self.picked)]
        head = None if self._every_level else self.head
        drawn = (self.picked, self.level, self.modality, head)
        if shown & {"budget", "attention"} and self._drawn != drawn:
            with self.hold_sync():  # in one message: the browser draws once
                if self._block.get("ids") != shown_ids:
                    self._block = dict(self.payload.block([row]))
                if "attention" in shown:
                    levels = range(len(self.levels)) if self._every_level else [self.level]
                    self._attention = dict(self.payload.attention([row], levels, [self.modality], head=head))
            self._drawn = drawn
        asked = (self.picked, self.gamma, tuple(self.muted))
        if self.model is not None and self._answered != asked:
            answered = rerun(self.trace, [row], self.model, self.gamma, self.muted)
            self._answer = {**payload.answer([answered], [self.gamma]), "muted": [list(x) for x in self.muted]}
            self._answered = asked
        if "budget" not in shown:
            return
        try:  # last, so that a file that cannot be read keeps nothing else from the browser
            if self._table["pictured"] and self._picture.get("ids") != shown_ids:
                self._picture = dict(self.payload.picture([row]))
        finally:
            if self._table["audible"] and self._sound.get("ids") != shown_ids:
                self._sound = dict(self.payload.sound([row]))

    def set_state(self, sync_data: Any) -> None:
        """What the browser sends. A value it may not have is refused and shown, as an error in Python would be."""
        before = {name: getattr(self, name) for name in sync_data if name in messages.SETTINGS}
        try:
            super().set_state(sync_data)
        except (t.TraitError, ValueError, TypeError) as error:
            for name, value in before.items():  # traitlets checks several values only after it has set them
                setattr(self, name, value)
            self._failed, self.error = "set_state", f"{type(error).__name__}: {error}"

    # --- allowed values -------------------------------------------------------------------------------------

    @t.validate("views")
    def _check_views(self, proposal: Any) -> Any:
        wrong = [v for v in proposal["value"] if v not in VIEWS]
        if wrong or not proposal["value"]:
            raise ConfigError(f"views: {wrong or 'none'}, but some of {', '.join(VIEWS)} are needed")
        return proposal["value"]

    @t.validate("selection")
    def _check_selection(self, proposal: Any) -> Any:
        unknown = set(proposal["value"]).difference(self.trace.batch.ids.tolist())
        if unknown:
            raise DataError(f"selection: id {min(unknown)} is not in this trace of {len(self.trace)} samples")
        return list(dict.fromkeys(proposal["value"]))

    @t.validate("picked")
    def _check_picked(self, proposal: Any) -> Any:
        self.trace.row(proposal["value"])
        return proposal["value"]

    @t.validate("gamma")
    def _check_gamma(self, proposal: Any) -> Any:
        if not 0 <= proposal["value"] < float("inf"):
            raise ConfigError(f"gamma: {proposal['value']}, but a finite number of at least 0 is needed")
        return proposal["value"]

    @t.validate("level", "epoch", "head")
    def _check_counted(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        count = {"level": len(self.levels), "epoch": len(self.epochs) + 1, "head": self._table["heads"]}[name]
        if not (0 <= value < count or (name == "head" and value in (-1, 0))):
            raise ConfigError(f"{name}: {value}, but {'-1 (mean)' if name == 'head' else 0} to {count - 1} are there")
        return value

    @t.validate("modality", "space", "projection", "color")
    def _check_named(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        named = {"modality": self.trace.modalities, "space": spaces.named_spaces(self.trace)}
        allowed = (named | {"projection": projections.METHODS, "color": self.colors})[name]
        if value not in allowed:
            raise ConfigError(f"{name}: {value!r}, but one of {', '.join(allowed)} is needed")
        return value

    @t.validate("muted")
    def _check_muted(self, proposal: Any) -> Any:
        if proposal["value"] and self.model is None:
            raise ConfigError("muted: needs a model to re-run; give one as Explorer(trace, model)")
        for modality, level, token in proposal["value"]:
            if modality not in self.trace.modalities:
                raise ConfigError(f"muted: {modality!r} is no modality; there are {', '.join(self.trace.modalities)}")
            levels, tokens = self.trace.activation[modality].shape[1:]
            if not (0 <= level < levels and 0 <= token < tokens):
                there = f"levels 0 to {levels - 1} and tokens 0 to {tokens - 1} are there"
                raise ConfigError(f"muted: {modality} level {level} token {token}, but {there}")
        return proposal["value"]
