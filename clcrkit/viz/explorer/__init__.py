"""The explorer: four linked views of one trace. All [ours].

widget    `Explorer`: the state, and what a cell reads and sets
messages  every message that Python and the browser exchange
payload   how they are made; from `samples` (what is known of each), `spaces` (where samples lie), `tokens`, `sound` and
          `reallocation` (the budget at another gamma)
html      the explorer as one page;  svg: as a still picture
live      a page whose model runs in it, by the library that `runtime` fetches
playground  such a page in which the reader makes the sample; `cards` finds the moments that it leads to
js        the browser's side, one module a concern; esbuild joins it to explorer.js, which is what ships
"""
