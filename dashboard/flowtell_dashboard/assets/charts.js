// A bar for each of a flow's last runs, in its state's colour. Point at one to read it, click it to open the run.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const HIGH = 130, LEFT = 64, TOP = 8, LEAST = 3;
  const page = { data: null, frame: 0 };
  const UNITS = { duration: (value) => flowtell.clock.duration(value), delay: (value) => flowtell.clock.duration(value), memory: bytes };

  function bytes(value) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let at = 0;
    for (; value >= 1024 && at < 4; at += 1) value /= 1024;
    return `${value < 10 && at ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
  }
  // Round numbers people use: of time 1, 2, 5, 10, 15, 30 of a unit, of bytes a power of two times 1, 2 or 5.
  function step(name, most) {
    const steps = name === "memory" ? [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [0, 1, 2, 3, 4].map((p) => n * 1024 ** p))
      : [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 3 * 86400, 7 * 86400];
    return steps.sort((a, b) => a - b).find((each) => most / each <= 3.5) || most;
  }

  function draw(canvas) {
    const name = canvas.dataset.chart;
    const values = page.data[name];
    const sheet = canvas.closest("[data-of]");
    if (sheet.hidden) return;
    const width = sheet.clientWidth - 40;
    const colours = flowtell.timelinePaint.colours(flowtell.states);
    const context = flowtell.timelinePaint.sized(canvas, width, HIGH + TOP + 4);
    const most = Math.max(...values.filter((value) => value !== null), 1e-9) * 1.04;
    context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (let value = 0, each = step(name, most); value <= most; value += each) {
      const y = Math.round(TOP + HIGH - (value / most) * HIGH) + 0.5;
      context.fillStyle = colours["--line"];
      context.fillRect(LEFT, y, width - LEFT, 1);
      context.fillStyle = colours["--quiet"];
      context.fillText(value ? UNITS[name](value) : "0", LEFT - 8, y);
    }
    const wide = (width - LEFT) / Math.max(values.length, 30);
    values.forEach((value, i) => {
      if (value === null) return;
      const high = Math.max((value / most) * HIGH, 2);
      context.fillStyle = colours.of[page.data.state[i]] || colours.of.unknown;
      context.fillRect(LEFT + i * wide + 0.5, TOP + HIGH - high, Math.max(wide - 1, LEAST - 2), high);
    });
    Object.assign(canvas, { wide });
  }
  function paint() {
    page.frame = 0;
    if (!page.data || !document.getElementById("flow-charts")) return;
    const charts = [...document.querySelectorAll("canvas.chart")];
    // Before any is drawn: those that have nothing to show leave their room to the others.
    for (const chart of charts) chart.closest("[data-of]").hidden = page.data[chart.dataset.chart].every((value) => value === null);
    charts.forEach(draw);
    document.getElementById("flow-charts").dataset.painted = "yes";
  }
  const repaint = () => (page.frame = page.frame || requestAnimationFrame(paint));
  const at = (canvas, event) => {
    const i = Math.floor((event.offsetX - LEFT) / canvas.wide);
    return page.data && i >= 0 && i < page.data.id.length ? i : null;
  };

  function point(canvas, event) {
    const tip = document.getElementById("chart-tip");
    const i = at(canvas, event);
    const name = canvas.dataset.chart;
    tip.hidden = i === null || page.data[name][i] === null;
    canvas.style.cursor = tip.hidden ? "default" : "pointer";
    if (tip.hidden) return;
    const line = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    const state = Object.assign(line("span", page.data.state[i].replace("_", " ")), { className: "state" });
    state.dataset.state = page.data.state[i];
    const started = page.data.started[i] ? flowtell.clock.at(page.data.started[i] / 1000) : "not started";
    tip.replaceChildren(line("b", UNITS[name](page.data[name][i])), state, line("span", `${page.data.name[i] || "a run"}, ${started}`));
    const frame = tip.parentElement.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(event.clientX - frame.left + 12, frame.width - tip.offsetWidth - 8))}px`;
    tip.style.top = `${event.clientY - frame.top + 14}px`;
  }
  const chartOf = (event) => (event.target.matches && event.target.matches("canvas.chart") ? event.target : null);
  document.addEventListener("pointermove", (event) => chartOf(event) && point(chartOf(event), event));
  document.addEventListener("pointerout", (event) => chartOf(event) && (document.getElementById("chart-tip").hidden = true));
  document.addEventListener("click", (event) => {
    const i = chartOf(event) ? at(chartOf(event), event) : null;
    if (i !== null) flowtell.go(`/runs/${page.data.id[i]}`);
  });
  window.addEventListener("resize", () => page.data && repaint());
  new MutationObserver(() => page.data && repaint()).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });

  flowtell.states = "completed cached skipped scheduled pending unknown running waiting paused cancelling retrying late cancelled timed_out crashed failed".split(" ");
  flowtell.charts = function (data) {
    page.data = data && data.id ? data : null;
    if (page.data) repaint();
  };
})();
