// Parts of a page that go on by themselves: how old what is shown is, by a timer of its own, so that it is also told where nothing
// comes any more; a stream that falls silent is opened anew; and the chart of what is left.

/// Milliseconds: above, what is shown is too old to be called live.
const CUT_AFTER = 2500;
/// Of silence, after which the stream is opened anew.
const SILENT_AFTER = 6000;
const LOOK_EVERY = 250;
/// Points that the chart keeps.
const POINTS_MAX = 900;

const age = document.getElementById("age");
const live = document.getElementById("live");
const chart = document.getElementById("chart");
let seenAt = performance.now();
let heardAt = performance.now();
let connection = null;

function seen() {
  const mark = document.getElementById("seen");
  seenAt = performance.now() - Number(mark?.dataset.ageMs ?? 0);
  heardAt = performance.now();
  if (mark?.dataset.point) {
    draw(JSON.parse(mark.dataset.point));
  }
  tell();
}

function tell() {
  const old = performance.now() - seenAt;
  const isCut = old > CUT_AFTER;
  const seconds = Math.floor(old / 1000);
  const text = isCut ? age.dataset.cut.replace("{n}", seconds) : age.dataset.live;
  if (age.textContent !== text) {
    age.textContent = text;
  }
  age.classList.toggle("cut", isCut);
  document.body.classList.toggle("is-cut", isCut);
  age.hidden = false;
}

function look() {
  tell();
  if (performance.now() - heardAt > SILENT_AFTER && connection) {
    heardAt = performance.now();
    connection.reader?.cancel().catch(() => {});
  }
}

const data = { times: [], left: new Map() };
let plot = null;
let drawn = "";

function note(point) {
  const last = data.times.at(-1);
  if (last !== undefined && point.at / 1000 <= last) {
    return;
  }
  data.times.push(point.at / 1000);
  for (const [sku, left] of point.left) {
    if (!data.left.has(sku)) {
      data.left.set(sku, Array(data.times.length - 1).fill(null));
    }
    data.left.get(sku).push(left);
  }
  for (const values of data.left.values()) {
    while (values.length < data.times.length) {
      values.push(null);
    }
  }
  if (data.times.length > POINTS_MAX) {
    data.times.shift();
    data.left.forEach((values) => values.shift());
  }
}

function draw(point) {
  if (!chart || !window.uPlot) {
    return;
  }
  note(point);
  const skus = [...data.left.keys()];
  const values = [data.times, ...data.left.values()];
  if (drawn === skus.join("\n")) {
    plot.setData(values);
    return;
  }
  drawn = skus.join("\n");
  plot?.destroy();
  plot = new uPlot(options(skus), values, chart);
}

/// A colour of the page, as it is now: a canvas does not know its names.
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  chart.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function options(skus) {
  const faint = colour("--faint");
  const line = colour("--line");
  const axis = { stroke: faint, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
  const series = skus.map((sku, index) => ({
    label: sku,
    stroke: colour(`--s${(index % 6) + 1}`),
    width: 2,
    points: { show: false },
  }));
  return {
    width: chart.clientWidth,
    height: 160,
    legend: { live: false },
    cursor: { y: false },
    // A minute at least: one look is a point, and not a year.
    scales: { x: { range: (_, first, last) => [Math.min(first, last - 60), last] }, y: { range: (_, least, most) => [0, Math.max(most ?? 1, 1)] } },
    axes: [{ ...axis, space: 80, size: 28, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 56 }],
    series: [{}, ...series],
  };
}

if (age && live) {
  for (const point of JSON.parse(chart?.dataset.points ?? "[]")) {
    note(point);
  }
  seen();
  live.addEventListener("htmx:sse:after:connection", (event) => { connection = event.detail.connection; });
  live.addEventListener("htmx:sse:after:message", seen);
  setInterval(look, LOOK_EVERY);
  addEventListener("resize", () => plot?.setSize({ width: chart.clientWidth, height: 160 }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawn = ""; });
}
