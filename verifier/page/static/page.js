// Draws the charts, keeps the page fresh without moving anything, and knows light from dark.
"use strict";

const EVERY_MS = 5000;
const root = document.documentElement;
let refreshed = Date.now();

function colour(name) {
  // Colours in figures are names of the style's variables.
  return typeof name === "string" && name.startsWith("--") ? resolved(name) : name;
}

function resolved(name) {
  // Through an element: the variable itself still reads light-dark(…).
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function draw(plot) {
  const figure = JSON.parse(plot.dataset.figure);
  const empty = !figure.data.some((trace) => trace.x.length);
  plot.classList.toggle("empty", empty);
  if (empty) {
    if (window.Plotly && plot.classList.contains("js-plotly-plot")) Plotly.purge(plot);
    plot.textContent = "Nothing is settled in this range.";
    return;
  }
  if (plot.firstChild && plot.firstChild.nodeType === Node.TEXT_NODE) plot.textContent = "";
  for (const trace of figure.data) {
    if (trace.marker && trace.marker.color) trace.marker.color = colour(trace.marker.color);
  }
  const rule = resolved("--rule");
  const layout = {
    margin: { l: 60, r: 16, t: 12, b: 36 },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { color: resolved("--ink"), family: "system-ui, sans-serif", size: 12 },
    legend: { orientation: "h", y: 1.12 },
    showlegend: true,
    hovermode: "x unified",
    hoverlabel: { bgcolor: resolved("--paper"), font: { color: resolved("--ink") } },
    uirevision: "kept",
    ...figure.layout,
  };
  layout.xaxis = { type: "date", gridcolor: rule, zeroline: false, ...figure.layout.xaxis };
  layout.yaxis = { gridcolor: rule, zeroline: false, rangemode: "tozero", ...figure.layout.yaxis };
  Plotly.react(plot, figure.data, layout, { displaylogo: false, responsive: true, displayModeBar: false });
}

// Phones that turn, and pages whose width settles after the first drawing.
const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.classList.contains("js-plotly-plot")) Plotly.Plots.resize(target);
  }
});
document.querySelectorAll(".plot").forEach((plot) => widths.observe(plot));

function drawAll() {
  document.querySelectorAll(".plot").forEach(draw);
}

async function refresh() {
  if (document.hidden || !document.querySelector("[data-live]")) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(`${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelectorAll("[data-live]").forEach((old) => {
      const fresh = page.getElementById(old.id);
      if (fresh && fresh.innerHTML !== old.innerHTML && !old.contains(document.activeElement)) old.innerHTML = fresh.innerHTML;
    });
    document.querySelectorAll(".plot").forEach((old) => {
      const fresh = page.getElementById(old.id);
      if (fresh && fresh.dataset.figure !== old.dataset.figure) {
        old.dataset.figure = fresh.dataset.figure;
        draw(old);
      }
    });
    refreshed = Date.now();
  } catch {
    // Said by the age below; the next try may succeed.
  }
}

function sayAge() {
  const seconds = Math.round((Date.now() - refreshed) / 1000);
  const line = document.getElementById("fresh");
  if (!document.querySelector("[data-live]")) return;
  const late = seconds > 3 * EVERY_MS / 1000;
  line.textContent = late ? `no answer for ${seconds} s` : "live";
  line.classList.toggle("bad", late);
}

function setTheme(name) {
  if (name) root.dataset.theme = name;
  drawAll();
}

document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = dark ? "light" : "dark";
  localStorage.setItem("theme", name);
  setTheme(name);
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "t") document.getElementById("theme").click();
  if (event.key === "o") location.href = "/";
  if (event.key === "/") {
    event.preventDefault();
    location.href = "/request";
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
setTheme(localStorage.getItem("theme"));
setInterval(refresh, EVERY_MS);
setInterval(sayAge, 1000);
sayAge();
