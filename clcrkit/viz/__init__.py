"""Pictures of a trace: one explorer with four linked views, and each view on its own.

from clcrkit import viz
explorer = viz.Explorer(trace, model, split)   # all four views
viz.budget(trace)                              # one of them
viz.Explorer(trace, compare=other)             # two models, seeds or checkpoints on the same samples
explorer.selection                             # the sample ids picked in any view
explorer.table()                               # the selected samples as a DataFrame
explorer.export("page.html")                   # a page that needs no kernel and no network
explorer.export("page.html", live=True)        # the same, and the model runs in it
viz.playground(model, split, "page.html")      # make a digit, and watch the model answer
viz.clip("video.mp4", model=model)             # a raw clip, as the model sees it
"""

from clcrkit.errors import require

for _library in ("anywidget", "plotly", "scipy"):
    require(_library, "viz")

from clcrkit.viz.clip import clip  # noqa: E402
from clcrkit.viz.explorer.playground import playground  # noqa: E402
from clcrkit.viz.explorer.single import attention, budget, gates, subspaces  # noqa: E402
from clcrkit.viz.explorer.views import VIEWS  # noqa: E402
from clcrkit.viz.explorer.widget import Explorer  # noqa: E402

__all__ = ["VIEWS", "Explorer", "attention", "budget", "clip", "gates", "playground", "subspaces"]
