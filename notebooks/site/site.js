// Draws the figures when they come into view, in the colours of the page, and folds code. `build.py` puts `wrapped`, and
// what fits frames, before it.

const dark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const theme = document.body.dataset.theme;
  return theme === "dark" || (theme !== "light" && dark.matches);
}

function colours() {
  const [ink, lines] = isDark() ? ["#d4d8de", "#3b4048"] : ["#2a3f5f", "#e3e7ee"];
  const clear = "rgba(0,0,0,0)";
  const axis = { gridcolor: lines, zerolinecolor: lines, linecolor: lines };
  return { paper_bgcolor: clear, plot_bgcolor: clear, font: { color: ink }, axis };
}

function themed(layout, width) {
  const { axis, ...base } = colours();
  const result = { ...layout, ...base, font: { ...layout.font, ...base.font }, autosize: true };
  delete result.width;
  if (layout.title?.text && width < 600)
    result.title = { ...layout.title, text: wrapped(layout.title.text, width / 9), automargin: true };
  for (const name of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(name)) result[name] = { ...layout[name], ...axis };
    if (name === "scene" || name === "ternary") result[name] = { ...layout[name], bgcolor: base.paper_bgcolor };
  }
  for (const name of ["xaxis", "yaxis"]) result[name] ??= axis;
  return result;
}

function draw(figure) {
  const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
  let place = figure.querySelector(":scope > div");
  if (!place) {
    place = document.createElement("div");
    figure.append(place);
  }
  Plotly.react(place, data, themed(layout, figure.clientWidth), { responsive: true, displaylogo: false });
}

const figures = [...document.querySelectorAll("figure.plot")];
const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "400px" },
);
for (const figure of figures) seen.observe(figure);

function redraw() {
  for (const figure of figures) if (figure.querySelector(":scope > div")) draw(figure);
}
new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
dark.addEventListener("change", redraw);
addEventListener("beforeprint", () => figures.forEach(draw));

// for readers who use the keyboard or listen
for (const code of document.querySelectorAll("pre")) if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "all pages");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "this page");
if (!document.querySelector("h1")) {
  const title = document.createElement("h1");
  title.textContent = document.title.split(" - ")[0];
  document.querySelector("article")?.prepend(title);
}

// code: each cell by its own button, all by the one above
const inputs = [...document.querySelectorAll(".cell_input")];
function fold(input, folded) {
  input.classList.toggle("folded", folded);
  input.querySelector(".fold").setAttribute("aria-expanded", String(!folded));
}
for (const input of inputs) {
  const button = document.createElement("button");
  button.className = "fold";
  button.type = "button";
  button.textContent = "code";
  button.addEventListener("click", () => fold(input, !input.classList.contains("folded")));
  input.prepend(button);
}
const heading = document.querySelector("article h1");
if (inputs.length && heading) {
  const all = document.createElement("button");
  all.className = "fold-all";
  all.type = "button";
  const apply = (folded) => {
    all.textContent = folded ? "show all code" : "hide all code";
    for (const input of inputs) fold(input, folded);
    localStorage.setItem("folded", folded ? "1" : "");
  };
  let folded = localStorage.getItem("folded") === "1";
  all.addEventListener("click", () => {
    folded = !folded;
    apply(folded);
  });
  heading.after(all);
  apply(folded);
}
