// Draws <canvas data-chart="id"> from the JSON in <script id type="application/json">:
// {kind: "bar"|"line", unit: "usd"|"count", stacked, labels: [ISO time], by: "hour"|"day"|"month",
//  series: [{name, values}]}. The figures stand in a table beside it, for those who cannot see it.

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colours = () => ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6", "--series-7"].map(token);

const units = {
  usd: (value) => (value === 0 ? "$0" : `$${value >= 1 ? value.toFixed(2) : value.toPrecision(3)}`),
  count: (value) => new Intl.NumberFormat().format(value),
};
const times = {
  hour: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", day: "numeric", month: "short" }),
  day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" }),
  month: new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric", timeZone: "UTC" }),
};

function draw(canvas) {
  const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  const show = units[data.unit];
  const palette = colours();
  Chart.getChart(canvas)?.destroy();
  new Chart(canvas, {
    type: data.kind,
    data: {
      labels: data.labels.map((label) => times[data.by].format(new Date(label))),
      datasets: data.series.map((series, index) => ({
        label: series.name,
        data: series.values,
        backgroundColor: palette[index % palette.length],
        borderColor: palette[index % palette.length],
        borderRadius: 3,
        maxBarThickness: 28,
        pointRadius: 0,
        tension: 0.3,
      })),
    },
    options: {
      responsive: true,
      maintainAspectRatio: false,
      animation: matchMedia("(prefers-reduced-motion: reduce)").matches ? false : { duration: 300 },
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: data.stacked, grid: { display: false }, ticks: { color: token("--muted"), maxRotation: 0, autoSkipPadding: 16 } },
        y: {
          stacked: data.stacked,
          beginAtZero: true,
          border: { display: false },
          grid: { color: token("--line") },
          ticks: { color: token("--muted"), callback: show, maxTicksLimit: 6 },
        },
      },
      plugins: {
        legend: { display: data.series.length > 1, position: "bottom", labels: { color: token("--ink"), boxWidth: 12, boxHeight: 12 } },
        tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${show(item.raw)}` } },
      },
    },
  });
}

function drawAll(root) {
  for (const canvas of root.querySelectorAll("canvas[data-chart]")) {
    draw(canvas);
  }
}

drawAll(document);
document.addEventListener("htmx:load", (event) => drawAll(event.detail.elt.parentElement ?? document));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(document));
