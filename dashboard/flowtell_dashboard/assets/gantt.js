// One run in time: a row for each task run or subflow, mapped ones folded into one; the critical path, slack and history.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const ROW = 26, PAD = 5, MANY = 4, HIGHEST = 520, OFTEN = 1000, HIGH = 95;
  const RANK = new Map(flowtell.states.map((state, rank) => [state, rank]));
  const page = { element: null, data: null, rows: [], open: new Set(), path: false, frame: 0, asked: 0, lit: null };
  const $ = (id) => document.getElementById(id);
  const here = () => page.element && page.element.isConnected;
  const count = (number) => number.toLocaleString("en");

  // --- rows: what is folded ---------------------------------------------------------------------------------------

  function groups(data) {
    const mapped = new Map();
    data.id.forEach((_, i) => {
      if (data.index[i] === null) return;
      if (!mapped.has(data.name[i])) mapped.set(data.name[i], []);
      mapped.get(data.name[i]).push(i);
    });
    return mapped;
  }

  function rows(data) {
    const mapped = groups(data);
    const found = [], done = new Set();
    data.id.forEach((_, i) => {
      const together = data.index[i] !== null ? mapped.get(data.name[i]) : [];
      if (together.length < MANY) return void found.push({ of: [i] });
      if (done.has(data.name[i])) return;
      done.add(data.name[i]);
      found.push({ of: together, group: data.name[i] });
      if (page.open.has(data.name[i])) together.forEach((each) => found.push({ of: [each], inside: true }));
    });
    return page.path ? found.filter((row) => row.of.some((i) => data.onPath[i])) : found;
  }

  // --- asking -----------------------------------------------------------------------------------------------------

  async function ask(run) {
    page.asked = Date.now();
    const answer = await fetch(`/_timeline/tasks?id=${encodeURIComponent(run)}`).catch(() => null);
    if (!here() || !answer || !answer.ok) return;
    const data = await answer.json();
    if (data.missing) return;
    const path = new Set(data.path);
    data.onPath = data.id.map((id) => path.has(id));
    page.data = data;
    page.rows = rows(data);
    tell(data);
    repaint();
  }
  function tell(data) {
    page.element.hidden = !data.id.length;
    const subflows = data.kind.filter((kind) => kind === "flow").length;
    const some = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
    const parts = [some(data.id.length - subflows, "task run") + (subflows ? ` and ${some(subflows, "subflow")}` : "")];
    if (data.path.length > 1) parts.push(`${count(data.path.length)} decided its length`);
    if (data.notStarted) parts.push(`${count(data.notStarted)} not begun`);
    if (data.more) parts.push("later ones are not drawn");
    $("gantt-summary").textContent = parts.join(", ");
    $("gantt-height").style.height = `${page.rows.length * ROW}px`;
    $("gantt-rows").style.height = `${Math.min(page.rows.length * ROW + 2, HIGHEST)}px`;
    page.element.dataset.rows = String(page.rows.length);
  }

  // --- drawing ----------------------------------------------------------------------------------------------------

  function repaint() {
    if (!page.frame) page.frame = requestAnimationFrame(paint);
  }
  function view() {
    const box = $("gantt-rows");
    const { data } = page;
    const now = flowtell.clock.now();
    const [from, to] = [data.from / 1000, Math.max(data.to / 1000, data.open ? now : 0)];
    const margin = Math.max((to - from) * 0.02, 5);
    const height = box.clientHeight;
    const width = Math.max(box.clientWidth - $("gantt-labels").offsetWidth, 60);
    return { from: from - margin, to: to + margin, now, width, height, scroll: box.scrollTop };
  }
  const at = (shown, ms) => ((ms - shown.from) / (shown.to - shown.from)) * shown.width;
  const edges = (shown, i) => {
    const { data } = page;
    const left = at(shown, data.started[i] / 1000);
    const right = at(shown, data.ended[i] === null ? shown.now : data.ended[i] / 1000);
    return [left, Math.max(right, left + 2)];
  };
  function paint() {
    page.frame = 0;
    if (!here() || !page.data) return;
    const shown = view();
    const knots = [[shown.from, 0], [shown.to, shown.width]];
    const data = { knots, states: flowtell.states };
    const colours = flowtell.timelinePaint.colours(flowtell.states);
    flowtell.timelinePaint.axis($("gantt-axis"), data, shown);
    const context = flowtell.timelinePaint.sized($("gantt-canvas"), shown.width, shown.height);
    lines(context, shown, colours);
    const first = Math.floor(shown.scroll / ROW);
    const last = Math.min(page.rows.length, first + Math.ceil(shown.height / ROW) + 1);
    for (let row = first; row < last; row += 1) draw(context, shown, colours, row);
    labels(first, last);
    page.element.dataset.painted = String(Number(page.element.dataset.painted || 0) + 1);
  }
  function lines(context, shown, colours) {
    context.strokeStyle = colours["--line"];
    context.beginPath();
    for (const tick of flowtell.axis.ticks(shown.from, shown.to, shown.width)) {
      const x = Math.round(at(shown, tick.at)) + 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, shown.height);
    }
    context.stroke();
  }
  function draw(context, shown, colours, row) {
    const { data } = page;
    const { of, group } = page.rows[row];
    const [y, high] = [row * ROW - shown.scroll + PAD, ROW - 2 * PAD];
    if (group) context.globalAlpha = Math.max(0.25, Math.min(1, 6 / of.length));
    const order = of.length > 1 ? [...of].sort((a, b) => RANK.get(data.state[a]) - RANK.get(data.state[b])) : of;
    for (const i of order) {
      const [left, right] = edges(shown, i);
      const bad = RANK.get(data.state[i]) >= RANK.get("timed_out");
      if (bad) context.globalAlpha = 1; // never fainter for being one of many
      context.fillStyle = colours.of[data.state[i]] || colours.of.unknown;
      context.beginPath();
      context.roundRect(left, y, right - left, high, Math.min(3, (right - left) / 3));
      context.fill();
      if (!group) attempts(context, shown, colours, i, y, high);
      if (!group && data.ended[i] === null && right - left > 6) flowtell.timelinePaint.openEnd(context, right, y, high);
    }
    context.globalAlpha = 1;
    if (!group) beside(context, shown, colours, of[0], y, high);
    if (of.some((i) => data.onPath[i])) underline(context, shown, colours, of.filter((i) => data.onPath[i]), y + high);
  }
  // Attempts within the bar: one that failed is drawn as such, the wait after it is a thin line.
  function attempts(context, shown, colours, i, y, high) {
    let from = page.data.started[i];
    for (const [failed, again] of page.data.waits[page.data.id[i]] || []) {
      const [begun, ended] = [at(shown, from / 1000), at(shown, failed / 1000)];
      const next = at(shown, Math.min(again, page.data.ended[i] ?? shown.now * 1000) / 1000);
      context.fillStyle = colours.of.failed;
      context.fillRect(begun, y, Math.max(ended - begun, 1.5), high);
      context.clearRect(ended, y, next - ended, high);
      context.fillStyle = colours.of.retrying;
      context.fillRect(ended, y + high / 2 - 1, next - ended, 2);
      from = again;
    }
  }
  // The line after a bar is its slack; where it took longer than nearly always, the percentile stands there.
  function beside(context, shown, colours, i, y, high) {
    const { data } = page;
    const [, right] = edges(shown, i);
    const slack = at(shown, data.slack[i] / 1000 + shown.from);
    if (slack > 2 && data.ended[i] !== null) {
      context.fillStyle = colours["--quiet"];
      context.globalAlpha = 0.5;
      context.fillRect(right, y + high / 2, Math.min(slack, shown.width - right), 1);
      context.globalAlpha = 1;
    }
    const words = [];
    if (data.attempts[i] > 1) words.push(`×${data.attempts[i]}`);
    if (data.percentile[i] !== null && data.percentile[i] >= HIGH) words.push(data.percentile[i] === 100 ? "slowest" : `p${data.percentile[i]}`);
    if (!words.length) return;
    context.font = `600 11px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    context.fillStyle = colours["--ink"];
    const text = words.join(" "), wide = context.measureText(text).width;
    const [left] = edges(shown, i);
    context.fillText(text, right + wide + 8 < shown.width ? right + 5 : Math.max(left - wide - 5, 2), y + high / 2 + 0.5);
  }
  function underline(context, shown, colours, of, y) {
    context.fillStyle = colours["--accent"];
    for (const i of of) {
      const [left, right] = edges(shown, i);
      context.fillRect(left, y + 1, right - left, 2);
    }
  }
  function labels(first, last) {
    const { data } = page;
    const made = [];
    for (let row = first; row < last; row += 1) made.push(label(data, page.rows[row], row));
    $("gantt-labels").replaceChildren(...made);
  }
  function label(data, row, place) {
    const i = row.of[0];
    const element = document.createElement(row.group ? "button" : data.kind[i] === "flow" ? "a" : "div");
    element.className = `gantt-label${row.inside ? " inside" : ""}${row.of.some((each) => data.onPath[each]) ? " on-path" : ""}`;
    element.style.top = `${place * ROW}px`;
    element.dataset.row = String(place);
    if (row.of.includes(page.lit)) element.dataset.lit = "yes";
    if (row.group) {
      element.dataset.group = row.group;
      element.setAttribute("aria-expanded", String(page.open.has(row.group)));
    }
    if (element.tagName === "A") Object.assign(element, { href: `/runs/${data.id[i]}` }).dataset.page = "";
    const sign = row.group ? (page.open.has(row.group) ? "▾ " : "▸ ") : data.kind[i] === "flow" ? "↳ " : "";
    const name = document.createElement("b");
    name.textContent = sign + (data.name[i] || "no name");
    const more = document.createElement("span");
    more.textContent = row.group ? `×${count(row.of.length)}` : data.index[i] === null ? "" : `[${data.index[i]}]`;
    element.title = data.name[i];
    element.append(name, more);
    return element;
  }

  // --- pointing ---------------------------------------------------------------------------------------------------

  function listen() {
    const box = $("gantt-rows");
    box.addEventListener("scroll", repaint);
    box.addEventListener("click", onClick);
    $("gantt-canvas").addEventListener("pointermove", onMove);
    $("gantt-canvas").addEventListener("pointerleave", () => point(null));
    $("gantt-canvas").addEventListener("click", (event) => {
      const row = page.rows[Math.floor((event.offsetY + box.scrollTop) / ROW)];
      if (row && row.group) toggle(row.group);
      else if (row && page.data.kind[row.of[0]] === "flow") flowtell.go(`/runs/${page.data.id[row.of[0]]}`);
    });
    new ResizeObserver(() => here() && repaint()).observe(box);
  }
  function onClick(event) {
    const group = event.target.closest("[data-group]");
    if (group) toggle(group.dataset.group);
  }
  function toggle(group) {
    if (!page.open.delete(group)) page.open.add(group);
    page.rows = rows(page.data);
    tell(page.data);
    repaint();
  }
  function onMove(event) {
    const row = page.rows[Math.floor((event.offsetY + $("gantt-rows").scrollTop) / ROW)];
    if (!row || !page.data) return point(null);
    const shown = view();
    const near = row.of.find((i) => {
      const [left, right] = edges(shown, i);
      return event.offsetX >= left - 3 && event.offsetX <= right + 3;
    });
    point(near === undefined ? null : near, event, row);
  }
  function point(i, event, row) {
    const tip = $("gantt-tip");
    light(i);
    tip.hidden = i === null;
    if (i === null) return;
    tip.replaceChildren(...words(i, row));
    const frame = $("gantt-picture").getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(event.clientX - frame.left + 14, frame.width - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.min(event.clientY - frame.top + 16, Math.max(frame.height - tip.offsetHeight - 4, 0))}px`;
  }
  function words(i, row) {
    const { data } = page;
    const { duration, at: clock } = flowtell.clock;
    const line = (text, tag = "span") => Object.assign(document.createElement(tag), { textContent: text });
    const state = Object.assign(line(data.state[i].replace("_", " ")), { className: "state" });
    state.dataset.state = data.state[i];
    const took = ((data.ended[i] === null ? flowtell.clock.now() * 1000 : data.ended[i]) - data.started[i]) / 1e6;
    const lines = [`started ${clock(data.started[i] / 1000)}, ${data.ended[i] === null ? "for" : "took"} ${duration(took)}`];
    if (data.attempts[i] > 1) lines.push(`${data.attempts[i]} attempts${waited(data, i)}`);
    if (data.median[i] !== null) lines.push(`usually ${duration(data.median[i])}` + (data.percentile[i] === null ? "" : `; longer than ${data.percentile[i]} of 100`));
    lines.push(data.onPath[i] ? "on the critical path" : `could have taken ${duration(data.slack[i] / 1e6)} longer`);
    if (data.error[i]) lines.push(data.error[i]);
    if (row.group) lines.push(`one of ${count(row.of.length)}`);
    return [line(data.name[i] + (data.index[i] === null ? "" : ` [${data.index[i]}]`), "b"), state, ...lines.map((text) => line(text))];
  }
  function waited(data, i) {
    const waits = data.waits[data.id[i]] || [];
    const seconds = waits.reduce((sum, [failed, again]) => sum + Math.max(again - failed, 0), 0) / 1e6;
    return waits.length ? `, ${flowtell.clock.duration(seconds)} between them` : "";
  }
  // The log lines of what is pointed at, and the row of a log line that is pointed at.
  function light(i) {
    if (page.lit === i) return;
    page.lit = i;
    const id = i === null ? "" : page.data.id[i];
    flowtell.logsLight(id);
    document.querySelectorAll(".gantt-label").forEach((each) => mark(each, i !== null && page.rows[Number(each.dataset.row)]?.of.includes(i)));
  }
  function mark(element, lit) {
    if (lit) element.dataset.lit = "yes";
    else delete element.dataset.lit;
  }
  document.addEventListener("pointerover", (event) => {
    const line = event.target.closest && event.target.closest(".logs li");
    if (!line || !here() || !page.data) return;
    const i = line.dataset.taskRun ? page.data.id.indexOf(line.dataset.taskRun) : -1;
    light(i < 0 ? null : i);
  });

  // --- where Dash calls in ----------------------------------------------------------------------------------------

  flowtell.gantt = function (_page, _seq, pathname) {
    const run = /^\/runs\/([^/]+)/.exec(pathname || "");
    const element = $("gantt");
    if (!run) return;
    if (!element) return void setTimeout(() => window.location.pathname === pathname && flowtell.gantt(_page, _seq, pathname), 30);
    if (page.element !== element || page.run !== run[1]) {
      if (page.element !== element) setTimeout(listen);
      Object.assign(page, { run: run[1], element, data: null, rows: [], open: new Set(), asked: 0, lit: null });
    }
    if (page.data && !page.data.open) return;
    clearTimeout(page.waiting);
    page.waiting = setTimeout(() => here() && ask(run[1]), Math.max(0, page.asked + OFTEN - Date.now()));
  };
  flowtell.runPage = function (...place) {
    flowtell.gantt(...place);
    flowtell.logs(...place);
  };
  flowtell.ganttPath = function (checked) {
    page.path = Boolean(checked);
    if (!here() || !page.data) return;
    page.rows = rows(page.data);
    tell(page.data);
    repaint();
  };
  setInterval(() => here() && page.data && page.data.open && !document.hidden && repaint(), 250);
  document.addEventListener("flowtell:zone", () => here() && repaint());
})();
