// The timeline's page: what is looked at (the address), what moves it (pointer and keys), and when it is drawn again.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const { clock } = flowtell;
  const UNITS = { h: 3600000, d: 86400000 };
  const DEFAULTS = { last: "24h", by: "flow", order: "trouble" };
  const NAMES = ["text", "state", "by", "order", "last", "fold", "flow", "deployment", "tag", "owner", "source", "environment"];
  const SHORTEST = 20, LONGEST = 20 * 365 * UNITS.d, MARGIN = 100, LANES = 60, STRIP_SECONDS = 20, LOWEST = 30, HIGHEST = 140;

  const page = { element: null, data: null, strip: null, view: null, filters: {}, live: true, frame: 0, stripAt: 0 };
  const $ = (id) => page.element.querySelector(`#${id}`); // the page may be there twice while Dash's takes over
  const here = () => page.element && page.element.isConnected;
  const feed = new (class {
    get of() {
      return (this.made ||= new flowtell.timelineData.Feed(answered, failed));
    }
  })();
  const line = new (class {
    get of() {
      return (this.made ||= new flowtell.timelineData.Line(pushed));
    }
  })();
  const stripFeed = new (class {
    get of() {
      return (this.made ||= new flowtell.timelineData.Feed((data) => ((page.strip = data), repaint()), () => {}));
    }
  })();

  // --- the address ------------------------------------------------------------------------------------------------

  const lengthOf = (last) => parseInt(last, 10) * (UNITS[last.slice(-1)] || UNITS.h);
  const iso = (ms) => new Date(Math.round(ms)).toISOString().replace(".000Z", "Z");

  function told(search) {
    const given = new URLSearchParams(search || "");
    const values = Object.fromEntries(NAMES.map((name) => [name, given.get(name) || DEFAULTS[name] || ""]));
    const [from, to] = ["from", "to"].map((name) => Date.parse(given.get(name) || ""));
    const own = to > from;
    if (!/^\d{1,4}[hd]$/.test(values.last) || !lengthOf(values.last)) values.last = DEFAULTS.last;
    return { ...values, last: own ? "" : values.last, from, to, own };
  }

  function asSearch(values) {
    const said = new URLSearchParams();
    for (const name of NAMES) if (values[name] && values[name] !== DEFAULTS[name]) said.set(name, values[name]);
    if (values.own) {
      said.delete("last");
      said.set("from", iso(values.from));
      said.set("to", iso(values.to));
    }
    const search = said.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
    return search ? `?${search}` : "";
  }

  const write = (values, replace) => {
    const address = window.location.pathname + asSearch(values);
    if (address === window.location.pathname + window.location.search) return;
    if (replace) window.history.replaceState({}, "", address);
    else flowtell.go(address);
  };

  // --- the window of time -----------------------------------------------------------------------------------------

  function follow() {
    if (!page.live) return;
    const length = lengthOf(page.values.last);
    const step = Math.max(length / 1000, 250);
    const end = Math.ceil((clock.now() + length * 0.02) / step) * step; // by steps: all who look at it ask the same
    Object.assign(page.view, { from: end - length, to: end });
  }

  function look(from, to, replace = true) {
    const length = Math.min(Math.max(to - from, SHORTEST), LONGEST);
    const middle = (from + to) / 2;
    from = Math.max(0, middle - length / 2);
    Object.assign(page.view, { from, to: from + length });
    page.live = false;
    page.values = { ...page.values, own: true, last: "", from, to: from + length };
    clearTimeout(page.writing);
    page.writing = setTimeout(() => written(replace), 300);
    refresh();
  }

  function written(replace) {
    clearTimeout(page.writing);
    page.writing = 0;
    if (here()) write(page.values, replace);
  }

  // Through the data's knots, so that folded time is passed over in a step.
  const momentAt = (x) => {
    if (!page.data) return page.view.from + (x / page.view.width) * (page.view.to - page.view.from);
    const [left, right] = [page.view.from, page.view.to].map((at) => flowtell.axis.place(page.data.knots, at));
    return flowtell.axis.moment(page.data.knots, left + (x / page.view.width) * (right - left));
  };
  const zoom = (factor, x = page.view.width / 2) => {
    const at = momentAt(x);
    look(at - (at - page.view.from) * factor, at + (page.view.to - at) * factor);
  };
  const move = (part) => look(momentAt(part * page.view.width), momentAt((1 + part) * page.view.width));
  const back = () => write({ ...page.values, own: false, last: page.values.last || DEFAULTS.last });

  // --- asking -----------------------------------------------------------------------------------------------------

  const micros = (ms) => String(Math.max(0, Math.round(ms * 1000)));
  function question() {
    follow();
    const { values, view } = page;
    const asked = { from: micros(view.from), to: micros(view.to), width: String(Math.round(view.width)) };
    for (const name of NAMES) if (values[name] && name !== "last") asked[name] = name === "fold" ? "1" : values[name];
    const first = Math.max(0, Math.floor(view.scroll / page.view.lane) - 10);
    return { ...asked, margin: values.fold ? "0" : String(MARGIN), first: String(first), lanes: String(LANES) };
  }
  function stripQuestion() {
    const length = Math.max(30 * UNITS.d, (page.view.to - page.view.from) * 1.5);
    const end = Math.ceil(Math.max(clock.now(), page.view.to) / 60000) * 60000;
    const asked = { from: micros(end - length), to: micros(end), width: "1200", by: "all" };
    for (const name of NAMES) if (page.values[name] && !DEFAULTS[name] && name !== "fold") asked[name] = page.values[name];
    return asked;
  }
  function refresh() {
    feed.of.want(question);
    if (Date.now() - page.stripAt > STRIP_SECONDS * 1000) {
      page.stripAt = Date.now();
      stripFeed.of.want(stripQuestion);
    }
    repaint();
  }
  function answered(data, parameters) {
    taken(data);
    if (here() && !document.hidden) line.of.follow(parameters, data.seq);
  }
  function pushed(data, parameters) {
    if (!here()) return line.of.close();
    taken(data);
    line.of.after = data.seq;
    const now = question(); // a window that follows the clock has gone on
    if (JSON.stringify(now) !== JSON.stringify(parameters)) line.of.follow(now, data.seq);
  }
  function taken(data) {
    if (!here()) return;
    page.data = data;
    flowtell.pulse(data.now * 1000);
    page.view.lane = Math.max(LOWEST, Math.min(HIGHEST, Math.floor(page.view.height / Math.max(data.lanesInAll, 1)) - 1));
    $("timeline-lanes").style.setProperty("--lane", `${page.view.lane}px`);
    page.element.dataset.seq = data.seq;
    page.element.dataset.answers = String(Number(page.element.dataset.answers || 0) + 1);
    page.element.dataset.state = "drawn";
    say("");
    tell(data);
    repaint();
  }
  function failed(error) {
    if (!here()) return;
    page.element.dataset.state = "failed";
    const waits = error instanceof TypeError; // what fetch raises when nobody answers
    say(waits ? "The server does not answer. What you see may be old; it is asked again." : error.message);
    clearTimeout(page.again);
    page.again = setTimeout(() => here() && refresh(), 2000);
  }
  function say(words) {
    const place = $("timeline-instead");
    const line = document.createElement("p");
    line.className = "trouble";
    line.textContent = words;
    place.replaceChildren(...(words ? [line] : []));
  }

  // --- words beside the picture -----------------------------------------------------------------------------------

  const count = ((format) => (number) => format.format(number))(new Intl.NumberFormat("en"));
  const inWindow = ([, , , at]) => at / 1000 >= page.view.from && at / 1000 < page.view.to;
  function tell(data) {
    const filtered = data.shown !== data.of ? `${count(data.shown)} of ${count(data.of)} runs match` : `${count(data.of)} run${data.of === 1 ? "" : "s"}`;
    const failed = data.failed ? `, ${count(data.failed)} ended badly` : "";
    const coming = data.marks.length ? `, ${count(data.marks.length)} due and not started` : "";
    const inside = data.promises.filter(inWindow); // what is drawn is wider
    const deadlines = inside.filter((each) => each[2] === "deadline").length;
    const expected = inside.length - deadlines;
    const promised = `${deadlines ? `, ${count(deadlines)} deadline${deadlines === 1 ? "" : "s"}` : ""}${expected ? `, ${count(expected)} predicted end${expected === 1 ? "" : "s"}` : ""}`;
    const since = data.since ? `; runs before ${clock.at(data.since / 1000, true)} are not drawn` : "";
    $("timeline-summary").textContent = `${filtered}${failed}${coming}${promised}, in ${count(data.lanesInAll)} lane${data.lanesInAll === 1 ? "" : "s"}${since}`;
    if (!data.lanesInAll) nothing(data);
    labels(data);
    if ($("timeline-table").parentElement.open) table(data);
  }
  function nothing(data) {
    const filtered = NAMES.some((name) => page.values[name] && !(name in DEFAULTS) && name !== "fold");
    say(filtered && data.of ? "No run in this time passes the filters." : "No run in this time. Zoom out, or choose a longer time above.");
  }
  function labels(data) {
    const place = $("timeline-labels");
    data.lanes.forEach((lane, i) => label(place.children[i] || place.appendChild(emptyLabel()), lane, (i + data.firstLane) * page.view.lane));
    while (place.children.length > data.lanes.length) place.lastChild.remove();
    $("timeline-height").style.height = `${data.lanesInAll * page.view.lane}px`;
  }
  function emptyLabel() {
    const row = Object.assign(document.createElement("a"), { className: "lane-label" });
    row.dataset.page = "";
    row.append(...["b", "span", "em"].map((tag) => document.createElement(tag)));
    return row;
  }
  // Only what is different is written: most of a picture that moves four times a second says what it said.
  function label(row, [name, beside, runs, bad, running], top) {
    const put = (on, key, value) => on[key] !== value && (on[key] = value);
    const [b, span, em] = row.children;
    const href = laneAddress(name, beside);
    if (row.getAttribute("href") !== href) row.href = href;
    put(row.style, "top", `${top}px`);
    put(row, "title", `${name} ${beside}: ${count(runs)} runs, ${count(bad)} ended badly, ${count(running)} running`);
    put(b, "textContent", name);
    put(span, "textContent", beside);
    put(em, "textContent", bad ? count(bad) : "");
  }
  function part(tag, text) {
    const element = document.createElement(tag);
    element.textContent = text;
    return element;
  }
  // A lane's label narrows the view to it; where it is narrow already it leads to its runs as a list.
  function laneAddress(name, beside) {
    const { by, environment } = page.values;
    const [flow, deployment] = name.split("/");
    const narrowed = { flow: { flow: name, by: "deployment" }, deployment: { flow, deployment: deployment || "" }, tag: { tag: name, by: "flow" }, source: { source: name, by: "flow" } }[by];
    if (!narrowed) return window.location.pathname + window.location.search;
    if (by === "deployment" && page.values.flow) return `/?${new URLSearchParams({ flow })}`;
    return "/timeline" + asSearch({ ...page.values, ...narrowed, environment: environment || (by === "flow" ? beside : "") });
  }
  function table(data) {
    const body = document.createElement("tbody");
    const promised = data.lanes.map(() => []);
    for (const [lane, , what, at] of data.promises.filter(inWindow)) promised[lane]?.push(`${what === "deadline" ? "deadline" : "expected end"} ${clock.at(at / 1000, true)}`);
    data.lanes.forEach(([name, beside, runs, bad, running], lane) => {
      const row = document.createElement("tr");
      const cells = [beside, count(runs), count(bad), count(running), ...(data.promises.length ? [promised[lane].join(", ")] : [])];
      row.append(part("th", name), ...cells.map((cell) => part("td", cell)));
      row.firstChild.scope = "row";
      body.append(row);
    });
    const head = document.createElement("thead");
    const names = document.createElement("tr");
    for (const name of ["Lane", "", "Runs", "Ended badly", "Running", ...(data.promises.length ? ["By when"] : [])]) names.append(part(name ? "th" : "td", name));
    head.append(names);
    const whole = document.createElement("table");
    whole.append(head, body);
    const more = data.lanesInAll > data.lanes.length ? part("p", `${data.lanes.length} of ${count(data.lanesInAll)} lanes; scroll the picture for the others.`) : "";
    $("timeline-table").replaceChildren(whole, more);
  }

  // --- drawing ----------------------------------------------------------------------------------------------------

  function repaint() {
    if (!page.frame) page.frame = requestAnimationFrame(paint);
  }
  function paint() {
    page.frame = 0;
    if (!here()) return;
    measure();
    const { data, view } = page;
    if (!data) return;
    view.now = clock.now();
    flowtell.timelinePaint.lanes($("timeline-canvas"), data, view);
    frame(data, view);
    page.element.dataset.paintedAnswer = page.element.dataset.answers;
    page.element.dataset.newest = String(data.newest / 1000);
    page.element.dataset.painted = String(Number(page.element.dataset.painted || 0) + 1);
    document.dispatchEvent(new CustomEvent("flowtell:painted"));
  }
  // Axis and strip, where they are others than a moment ago.
  function frame(data, view) {
    const wide = $("timeline-picture").clientWidth;
    const shown = JSON.stringify([data.knots, view.from, view.to, view.width, wide, document.documentElement.dataset.zone, flowtell.timelinePaint.look()]);
    if (shown === page.framed && page.strip === page.stripped) return;
    Object.assign(page, { framed: shown, stripped: page.strip });
    flowtell.timelinePaint.axis($("timeline-axis"), data, view);
    if (page.strip) flowtell.timelinePaint.strip($("timeline-strip"), page.strip, view, wide);
  }
  function measure() {
    const lanes = $("timeline-lanes");
    const wide = lanes.clientWidth - $("timeline-labels").offsetWidth;
    Object.assign(page.view, { width: Math.max(wide, 60), height: lanes.clientHeight, scroll: lanes.scrollTop });
  }

  // --- pointer ----------------------------------------------------------------------------------------------------

  function listen() {
    const canvas = $("timeline-canvas");
    const lanes = $("timeline-lanes");
    lanes.addEventListener("wheel", onWheel, { passive: false });
    lanes.addEventListener("scroll", onScroll);
    lanes.addEventListener("keydown", onKey);
    canvas.addEventListener("pointerdown", onDown);
    canvas.addEventListener("pointermove", onHover);
    canvas.addEventListener("pointerleave", () => tip(null));
    canvas.addEventListener("dblclick", (event) => zoom(event.shiftKey ? 2 : 0.5, event.offsetX));
    $("timeline-strip").addEventListener("pointerdown", onStrip);
    page.element.addEventListener("click", onButton);
    $("timeline-table").parentElement.addEventListener("toggle", () => page.data && table(page.data));
    let size = null; // an observer tells the first size too, for which the picture is asked already
    new ResizeObserver(() => {
      const now = `${lanes.clientWidth} ${lanes.clientHeight}`;
      if (size !== null && size !== now && here()) refresh();
      size = now;
    }).observe(lanes);
  }
  const laneRange = () => {
    const first = Math.floor(page.view.scroll / page.view.lane);
    return [first, first + Math.ceil(page.view.height / page.view.lane)];
  };
  function onScroll() {
    measure();
    const [first, last] = laneRange();
    const { data } = page;
    if (data && (first < data.firstLane || last > data.firstLane + data.lanes.length) && data.lanesInAll > data.lanes.length) refresh();
    else repaint();
  }
  function onWheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!event.ctrlKey && !event.metaKey && !sideways) return;
    event.preventDefault();
    const x = event.clientX - $("timeline-canvas").getBoundingClientRect().left;
    if (sideways && !event.ctrlKey) move((event.deltaX || event.deltaY) / page.view.width);
    else zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 150), x);
  }
  function onDown(event) {
    if (event.button !== 0) return;
    $("timeline-lanes").focus({ preventScroll: true });
    const canvas = event.currentTarget;
    const start = { x: event.offsetX, y: event.offsetY, from: page.view.from, to: page.view.to, left: canvas.getBoundingClientRect().left };
    const brush = event.shiftKey;
    const moments = brush ? null : [0, page.view.width].map(momentAt);
    let moved = 0;
    canvas.setPointerCapture(event.pointerId);
    const drag = (each) => {
      const x = each.clientX - start.left;
      moved = Math.max(moved, Math.abs(x - start.x));
      if (moved < 4) return;
      tip(null);
      if (brush) mark(start.x, x);
      else look(moments[0] - ((x - start.x) / page.view.width) * (moments[1] - moments[0]), moments[1] - ((x - start.x) / page.view.width) * (moments[1] - moments[0]));
    };
    const end = (each) => {
      canvas.removeEventListener("pointermove", drag);
      const x = each.clientX - start.left;
      if (moved >= 4 && brush) look(momentAt(Math.min(start.x, x)), momentAt(Math.max(start.x, x)), false);
      else if (moved < 4) open(start.x, start.y, each);
      mark(null);
    };
    canvas.addEventListener("pointermove", drag);
    canvas.addEventListener("pointerup", end, { once: true });
  }
  function mark(from, to) {
    const place = $("timeline-brush") || Object.assign(document.createElement("div"), { id: "timeline-brush" });
    place.hidden = from === null;
    $("timeline-lanes").append(place);
    if (from === null) return;
    const labels = $("timeline-labels").offsetWidth;
    Object.assign(place.style, { left: `${labels + Math.min(from, to)}px`, width: `${Math.abs(to - from)}px`, top: `${page.view.scroll}px`, height: `${page.view.height}px` });
  }
  function open(x, y, event) {
    const found = page.data && flowtell.timelinePaint.hit(page.data, page.view, x, y);
    if (found && found.promise) return;
    if (!found) return;
    if (found.run) {
      if (event.ctrlKey || event.metaKey) window.open(`/runs/${found.run}`, "_blank", "noopener");
      else flowtell.go(`/runs/${found.run}`);
    } else zoom(0.25, x);
  }
  function onStrip(event) {
    const strip = event.currentTarget;
    if (!page.strip) return;
    strip.setPointerCapture(event.pointerId);
    const at = (each) => flowtell.axis.moment(page.strip.knots, (each.offsetX / strip.clientWidth) * page.strip.width);
    const start = at(event);
    const drag = (each) => Math.abs(each.offsetX - event.offsetX) > 4 && look(Math.min(start, at(each)), Math.max(start, at(each)));
    strip.addEventListener("pointermove", drag);
    strip.addEventListener("pointerup", (each) => {
      strip.removeEventListener("pointermove", drag);
      const half = (page.view.to - page.view.from) / 2;
      if (Math.abs(each.offsetX - event.offsetX) <= 4) look(start - half, start + half, false);
    }, { once: true });
  }
  function onHover(event) {
    if (event.buttons || !page.data) return;
    page.pointer = { clientX: event.clientX, clientY: event.clientY };
    const found = flowtell.timelinePaint.hit(page.data, page.view, event.offsetX, event.offsetY);
    event.currentTarget.style.cursor = found ? "pointer" : "grab";
    tip(found, event);
  }

  async function tip(found, event) {
    const place = $("timeline-tip");
    page.pointed = found;
    if (!found) return void (place.hidden = true);
    const words = found.run ? [] : found.promise ? promiseWords(found) : columnWords(found);
    if (found.run) {
      const run = await flowtell.timelineData.label(found.run);
      if (page.pointed !== found || !run) return;
      words.push(...runWords(run));
    }
    place.replaceChildren(...words);
    place.hidden = false;
    const frame = $("timeline-picture").getBoundingClientRect();
    const left = Math.min(event.clientX - frame.left + 14, frame.width - place.offsetWidth - 8);
    place.style.left = `${Math.max(8, left)}px`;
    place.style.top = `${event.clientY - frame.top + 16}px`;
  }
  function runWords(run) {
    const head = part("b", `${run.flow || "no flow"} ${run.name}`);
    const state = Object.assign(part("span", run.word), { className: "state" });
    state.dataset.state = run.state;
    const lines = [run.started ? `started ${clock.at(run.started / 1000)}` : "not started"];
    if (run.due) lines.push(`due ${clock.at(run.due / 1000)}`);
    const took = run.duration !== null && run.duration !== undefined ? run.duration : run.started && !run.ended ? (clock.now() - run.started / 1000) / 1000 : null;
    if (took !== null) lines.push(`${run.ended ? "took" : "for"} ${clock.duration(took)}`);
    if (run.error) lines.push(run.error);
    return [head, state, ...lines.map((line) => part("span", line))];
  }
  function promiseWords({ promise: [, , what, at], lane }) {
    const name = page.data.lanes[lane] ? page.data.lanes[lane][0] : "";
    return [part("b", what === "deadline" ? `Deadline of ${name}` : `A run of ${name} is expected to end`), part("span", clock.at(at / 1000))];
  }
  function columnWords({ column, lane }) {
    const { data } = page;
    const [from, to] = [0, 1].map((add) => flowtell.axis.moment(data.knots, (data.columnPlace[column] + add) * 2));
    const lines = [`${count(data.columnBusy[column])} on, ${count(data.columnBegun[column])} begun here`];
    if (data.columnFailed[column]) lines.push(`${count(data.columnFailed[column])} ended badly here`);
    return [part("b", data.lanes[lane][0]), part("span", `${clock.at(from)} to ${clock.at(to)}`), ...lines.map((line) => part("span", line))];
  }

  // --- keys and buttons -------------------------------------------------------------------------------------------

  const MOVES = { earlier: () => move(-0.25), later: () => move(0.25), in: () => zoom(0.5), out: () => zoom(2), help };
  const KEYS = {
    ArrowLeft: MOVES.earlier, a: MOVES.earlier, ArrowRight: MOVES.later, d: MOVES.later, "+": MOVES.in, "=": MOVES.in, w: MOVES.in,
    "-": MOVES.out, s: MOVES.out, 0: back, Home: back, "?": help, n: () => failure(1), p: () => failure(-1),
    Escape: () => ($("timeline-help").hidden = true), f: () => write({ ...page.values, fold: page.values.fold ? "" : "1" }), Enter: () => page.view.chosen && flowtell.go(`/runs/${page.view.chosen}`),
  };
  function help() {
    $("timeline-help").hidden = !$("timeline-help").hidden;
  }
  function onKey(event) {
    const act = !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
  function onButton(event) {
    const button = event.target.closest("[data-move]");
    if (button) MOVES[button.dataset.move]();
  }
  // The next bar or column that ended badly, in order of time; the view follows it.
  function failure(step) {
    const { data, view } = page;
    if (!data) return;
    const bad = data.states.indexOf("timed_out");
    const found = [];
    data.barState.forEach((state, i) => state >= bad && found.push({ at: data.barRight[i], lane: data.barLane[i], run: data.runs[i] }));
    data.columnFailed.forEach((n, i) => n && found.push({ at: data.columnPlace[i] * 2, lane: data.columnLane[i], run: "" }));
    found.sort((one, other) => one.at - other.at || one.lane - other.lane);
    if (!found.length) return;
    const last = page.failure === undefined ? (step > 0 ? -1 : 0) : page.failure;
    page.failure = (last + step + found.length) % found.length;
    const { at, lane, run } = found[page.failure];
    view.chosen = run;
    $("timeline-lanes").scrollTop = (lane + data.firstLane) * page.view.lane - view.height / 2;
    const moment = flowtell.axis.moment(data.knots, at), half = (view.to - view.from) / 2;
    if (moment < view.from || moment > view.to) look(moment - half, moment + half);
    repaint();
  }

  // --- where Dash calls in ----------------------------------------------------------------------------------------

  // Dash's page, or before it is there the one on the stage (start.js), whose picture Dash's takes over.
  function enter() {
    const stage = document.getElementById("stage");
    const element = document.querySelector("#react-entry-point #timeline") || (stage && stage.querySelector("#timeline"));
    if (!element || page.element === element) return Boolean(element);
    const staged = here() && stage && stage.contains(page.element) ? page.element : null;
    const focused = staged && staged.contains(document.activeElement);
    page.element = element;
    if (!staged) Object.assign(page, { data: null, strip: null, stripAt: 0, failure: undefined, view: { width: 800, height: 400, scroll: 0, lane: LOWEST } });
    page.framed = "";
    listen();
    if (staged) takeOver(stage, focused);
    else measure();
    return true;
  }
  function takeOver(stage, focused) {
    const { scroll } = page.view;
    if (page.writing) written(true); // what was moved a moment ago is in the address before Dash's page reads it
    measure();
    if (page.data) taken(page.data);
    $("timeline-lanes").scrollTop = scroll;
    paint();
    stage.remove();
    if (focused) $("timeline-lanes").focus({ preventScroll: true });
    if (page.pointed) tip(page.pointed, page.pointer);
  }
  function show() {
    if (!enter()) return setTimeout(() => onTimeline() && show(), 30);
    page.values = told(window.location.search);
    page.live = !page.values.own;
    if (page.values.own) Object.assign(page.view, { from: page.values.from, to: page.values.to });
    const narrowed = JSON.stringify(NAMES.filter((name) => !(name in DEFAULTS)).map((name) => page.values[name]));
    if (narrowed !== page.narrowed) page.stripAt = 0;
    page.narrowed = narrowed;
    refresh();
  }
  const onTimeline = () => window.location.pathname.replace(/\/$/, "") === "/timeline";

  flowtell.timelineShow = function (search, _page) {
    if (onTimeline()) show();
    const values = told(onTimeline() ? window.location.search : search);
    return NAMES.map((name) => (name === "state" ? values.state.split(",").filter(Boolean) : name === "fold" ? Boolean(values.fold) : values[name] || (["text", "last"].includes(name) ? "" : null)));
  };
  flowtell.timelineApply = function (...controls) {
    if (!onTimeline() || !page.values) return;
    const given = Object.fromEntries(NAMES.map((name, i) => [name, controls[i]]));
    const values = { ...page.values };
    for (const name of NAMES) {
      const value = name === "state" ? (given.state || []).join(",") : name === "fold" ? (given.fold ? "1" : "") : given[name] || DEFAULTS[name] || "";
      if (name !== "last") values[name] = value;
    }
    const last = given.last || "";
    if (last && last !== page.values.last) Object.assign(values, { last, own: false });
    write(values);
  };
  flowtell.timelineSeq = function (_seq) {
    if (onTimeline() && here() && page.data && !document.hidden && !line.of.open) refresh();
  };
  document.addEventListener("visibilitychange", () => {
    if (!here() || !page.data) return;
    if (document.hidden) line.of.close();
    else refresh();
  });

  setInterval(() => {
    if (!here() || !page.data || document.hidden) return;
    if (page.live && clock.now() + 1000 > page.view.to) refresh();
    else if (((clock.now() - page.view.now) * page.view.width) / (page.view.to - page.view.from) > 0.5) repaint(); // what runs has grown
  }, 1000);
  document.addEventListener("flowtell:zone", () => here() && page.data && (tell(page.data), repaint()));
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
    if (here() && !typing && event.target.closest("#timeline-lanes") === null) onKey(event);
  });
})();
