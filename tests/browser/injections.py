"""A hundred texts of a stranger, each of which runs a script on a page that lets it, and how to see that one ran.

Each calls `ran(number)`. What a page must do so that it runs is named by the naive page that it is written for."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from playwright.sync_api import BrowserContext, Page

IMG = "<img src=x onerror=RUN>"
INJECTIONS = [
    # a script element, and what has to be left first
    *(f"{text}<script>RUN</script>" for text in (
        "", "</script>", "</SCRIPT >", "</script\t/x>", "</title>", "</style>", "</textarea>", "</noscript>", "-->",
        "--!>", "]]>", '">', "'>", "</option></select>", "</math>", "</svg>", "</main></body></html>", "\u2028", "}$",
        "$$", "\\end{align}", "\\text{", "`", "```\n", "&lt;", "{{", "|", "\n\n", "    \n", "\x00")),
    "<SCRIPT>RUN</SCRIPT>", "<script type=module>RUN</script>", "<script/x>RUN</script>", "<script\n>RUN</script\n>",
    '<script src="data:text/javascript,RUN"></script>', "<script src=x onerror=RUN></script>",
    "<svg><script>RUN</script></svg>", "<svg><script>RUN_IN_SVG</script></svg>",
    '<svg><script href="data:text/javascript,RUN"/></svg>',
    # events of elements
    IMG, '<img src=x onerror="RUN">', "<img src=x onerror='RUN'>", "<IMG SRC=x ONERROR=RUN>",
    "<img src=x onerror=RUN_AS_ENTITIES>", "<image src=x onerror=RUN>", "<img srcset=x onerror=RUN>",
    "<input type=image src=x onerror=RUN>",
    "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' onload=RUN onerror=RUN>",
    "<video src=x onerror=RUN></video>", "<video><source src=x onerror=RUN></video>",
    "<audio src=x onerror=RUN></audio>",
    "<link rel=stylesheet href=x onerror=RUN>", '<link rel=stylesheet href="data:text/css," onload=RUN>',
    "<style onload=RUN></style>", "<svg onload=RUN></svg>",
    "<svg><animate onbegin=RUN attributeName=x dur=1s></svg>", "<svg><set onbegin=RUN attributeName=x dur=1s></svg>",
    "<svg><image href=x onerror=RUN></svg>", "<iframe onload=RUN></iframe>", "<details open ontoggle=RUN>x</details>",
    "<input autofocus onfocus=RUN>", "<select onfocus=RUN><option>x</select>", "<p onmouseover=RUN>x</p>",
    "<p tabindex=0 autofocus onfocus=RUN>x</p>", "<b onclick=RUN>x</b>",
    "<button popovertarget=x onclick=RUN>x</button>",
    # other documents and addresses
    '<iframe srcdoc="<script>RUN</script>"></iframe>', "<iframe srcdoc='&lt;script&gt;RUN&lt;/script&gt;'></iframe>",
    '<iframe src="javascript:RUN"></iframe>', '<iframe src="data:text/html,<script>RUN</script>"></iframe>',
    "<a href=javascript:RUN>x</a>", '<a href=" javascript:RUN">x</a>', '<a href="java&#10;script:RUN">x</a>',
    '<a href="JaVaScRiPt:RUN">x</a>', '<a href="javascript&colon;RUN">x</a>', '<a href="javascript://x%0aRUN">x</a>',
    "<form><button formaction=javascript:RUN>x</button></form>", "<map><area href=javascript:RUN></map>",
    '<svg><a xlink:href="javascript:RUN"><text y=9>x</text></a></svg>',
    # text that changes its meaning when it is parsed twice
    f"<math><mtext></mtext><mglyph><style></math>{IMG}</style>", f"<svg><desc>{IMG}</desc></svg>",
    f"<svg><foreignObject>{IMG}</foreignObject></svg>", f'<math><annotation-xml encoding="text/html">{IMG}</math>',
    f'<svg></p><style><a id="</style>{IMG}">', f"<div><template shadowrootmode=open>{IMG}</template></div>",
    # within an attribute or a script
    '" onerror=RUN x="', "' onerror=RUN x='", "x onerror=RUN ", '" onerror="RUN', "javascript:RUN",
    '";RUN;//', "';RUN;//", "`;RUN;//", "${RUN}", '"-RUN-"', "'+RUN+'", "\nRUN;//", "*/RUN/*", '"}];RUN;//',
    '\\";RUN;//',
]  # fmt: skip

# Pages without any escaping: TEXT stands for the text, VAIN for the text with its quotes escaped and nothing else.
NAIVE = (
    "<p>TEXT</p>", "<title>TEXT</title>", "<style>TEXT</style>", "<textarea>TEXT</textarea>", "<!-- TEXT -->",
    "<select><option>TEXT</select>",
    '<img src="TEXT">', "<img src='TEXT'>", "<img src=TEXT>", '<a href="TEXT">x</a>', "<math>TEXT</math>",
    "<svg>TEXT</svg>",
    '<script>x = "TEXT"</script>', "<script>x = 'TEXT'</script>", "<script>x = `TEXT`</script>",
    "<script>// TEXT\n</script>",
    "<script>/* TEXT */</script>", '<script>x = [{"a": "TEXT"}]</script>', '<script>x = "VAIN"</script>',
    "<noscript>TEXT</noscript>", '<script type="application/json">TEXT</script>',
)  # fmt: skip

# Scripts of a page can see no more than this; a frame whose origin is another's cannot even write into the page.
_WATCH = "window.ran = (number) => console.log('ran ' + number)"
_PROVOKE = """() => {
  const provoke = (inner) => {
    for (const element of inner.document.querySelectorAll("*")) {
      for (const { name } of [...element.attributes])
        if (name.startsWith("on")) element.dispatchEvent(new inner.Event(name.slice(2)));
      if (/^(a|area)$/i.test(element.localName) && /^[^?#]*script/i.test(element.href?.baseVal ?? element.href))
        element.dispatchEvent(new inner.MouseEvent("click", { cancelable: true }));
      if (element.matches("[formaction]")) element.click?.();
    }
    for (let i = 0; i < inner.length; i++) {
      try { inner[i].document; } catch { continue; }  // of another origin
      provoke(inner[i]);
    }
  };
  provoke(window);
}"""


def numbered(text: str, number: int) -> str:
    """The injection with a number of its own."""
    run = f"ran({number})"
    entities = "".join(f"&#{ord(c)};" for c in run)
    text = text.replace("RUN_AS_ENTITIES", entities).replace("RUN_IN_SVG", entities)
    return text.replace("RUN", run)


def corpus(start: int = 0) -> list[str]:
    """All injections, with numbers from `start`."""
    return [numbered(text, start + i) for i, text in enumerate(INJECTIONS)]


def naive(page: str, texts: Iterable[str]) -> str:
    """A page with a frame for each text, which stands unescaped in this page of NAIVE."""
    filled = [page.replace("TEXT", text).replace("VAIN", text.replace('"', '\\"')) for text in texts]
    return "".join(f'<iframe srcdoc="{html.escape(text)}"></iframe>' for text in filled)


class Witness:
    """A tab that knows which numbers ran in it, in any of its frames."""

    def __init__(self, context: BrowserContext) -> None:
        context.add_init_script(_WATCH)
        self._context = context
        self._ran: set[int] = set()
        self.page = self._tab()

    def _tab(self) -> Page:
        page = self._context.new_page()
        page.on("console", lambda message: self._note(message.text, r"ran (\d+)"))
        page.on("dialog", lambda dialog: dialog.dismiss())
        return page

    def _note(self, text: str, pattern: str) -> None:
        if found := re.fullmatch(pattern, text):
            self._ran.add(int(found[1]))

    def provoke(self) -> set[int]:
        """Do in every frame what a reader may do: point, focus, click. Returns all that ran since the last call."""
        self.page.evaluate(_PROVOKE)
        self.page.wait_for_timeout(150)
        ran, self._ran = self._ran, set()
        return ran

    def shows(self, uri: str) -> set[int]:
        """Open a page and return the numbers that ran. In a tab of its own: what was clicked in the last one may still
        be on its way somewhere else."""
        self.page.close()
        self.page = self._tab()
        self.page.goto(uri, wait_until="load")
        return self.provoke()
