// The log lines of a run: a hundred thousand of them, of which those on the screen are in the document.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const ROW = 21, HIGHEST = 540, MOST = 300000, OFTEN = 500;
  const LEVELS = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 };
  const page = { element: null };
  const $ = (id) => document.getElementById(id);
  const here = () => page.element && page.element.isConnected;
  const count = (number) => number.toLocaleString("en");

  // --- lines ------------------------------------------------------------------------------------------------------

  // A line of the log is one row for each line of its text, so that every row is equally high.
  function take(got, older) {
    const found = got.seq.map((seq, i) => ({
      seq, time: got.time[i], level: got.level[i], task: got.task[i], taskRun: got.taskRun[i], texts: got.message[i].split("\n"),
    }));
    const known = page.lines;
    if (older) page.lines = found.filter((line) => !known.length || line.seq < known[0].seq).concat(known);
    else page.lines = known.concat(found.filter((line) => !known.length || line.seq > known[known.length - 1].seq));
  }
  function filter() {
    const [text, least] = [page.text.toLowerCase(), LEVELS[page.level] || 0];
    page.rows = [];
    let matching = 0;
    page.lines.forEach((line) => {
      if ((LEVELS[line.level] ?? 20) < least) return;
      if (text && !line.texts.some((each) => each.toLowerCase().includes(text)) && !line.task.toLowerCase().includes(text)) return;
      matching += 1;
      line.texts.forEach((each, part) => page.rows.push([line, part]));
    });
    page.matching = matching;
  }

  // --- asking -----------------------------------------------------------------------------------------------------

  async function ask(after) {
    const asked = new URLSearchParams(after === null ? { run: page.run } : { run: page.run, after: String(after) });
    const run = page.run;
    const answer = await fetch(`/_timeline/logs?${asked}`).catch(() => null);
    if (!answer || !answer.ok || !here() || page.run !== run) return null;
    return answer.json();
  }
  async function load() {
    page.busy = true;
    try {
      if (!page.lines.length) {
        const newest = await ask(null);
        if (!newest) return;
        take(newest, false);
        show(true);
        if (newest.more) await loadOlder(newest.seq[0]);
      }
      await loadNewer();
    } finally {
      page.busy = false;
    }
  }
  // From the beginning up to what is there, put before it at the end of it: nothing moves while one reads.
  async function loadOlder(until) {
    const found = { seq: [], time: [], level: [], task: [], taskRun: [], message: [] };
    for (let after = 0; found.seq.length < MOST; ) {
      const got = await ask(after);
      if (!got || !got.seq.length) break;
      for (const name of Object.keys(found)) for (const value of got[name]) found[name].push(value);
      after = got.seq[got.seq.length - 1];
      page.loading = found.seq.length;
      tell();
      if (after >= until - 1 || !got.more) break;
    }
    page.gap = found.seq.length >= MOST;
    page.loading = 0;
    const [before, follow, place] = [page.rows.length, page.follow, page.element.scrollTop];
    take(found, true);
    show(follow);
    if (follow) return;
    page.element.scrollTop = place + (page.rows.length - before) * ROW;
    paint();
  }
  async function loadNewer() {
    const last = page.lines.length ? page.lines[page.lines.length - 1].seq : 0;
    const got = await ask(last);
    if (!got || !got.seq.length) return;
    take(got, false);
    show(page.follow);
    if (got.more) await loadNewer();
  }

  // --- showing ----------------------------------------------------------------------------------------------------

  function show(toEnd) {
    filter();
    tell();
    const box = page.element;
    box.hidden = !page.lines.length;
    box.style.height = `${Math.min(page.rows.length * ROW + 14, HIGHEST)}px`;
    paint();
    if (!toEnd) return;
    box.scrollTop = page.rows.length * ROW; // only now is there something that can be scrolled
    paint();
  }
  function tell() {
    const total = page.lines.length;
    const source = document.querySelector("[data-run-source]")?.dataset.runSource;
    let words = !total ? source ? `No log lines came over from ${source}.` : "Nothing was logged. Prints are kept with @flow(log_prints=True)."
      : page.matching === total ? `${count(total)} line${total === 1 ? "" : "s"}` : `${count(page.matching)} of ${count(total)} lines match`;
    if (page.gap) words += "; some in between are not shown, flowtell logs has them";
    $("logs-summary").textContent = page.loading ? `${words}; ${count(page.loading)} older ones read` : words;
  }
  function paint() {
    page.frame = 0;
    if (!here()) return;
    const box = page.element;
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 10);
    const last = Math.min(page.rows.length, first + Math.ceil(box.clientHeight / ROW) + 20);
    const made = [];
    for (let row = first; row < last; row += 1) made.push(item(row));
    const height = document.createElement("li");
    Object.assign(height, { className: "height" }).setAttribute("aria-hidden", "true");
    height.style.height = `${page.rows.length * ROW + 12}px`;
    box.replaceChildren(height, ...made);
    box.dataset.lines = String(page.lines.length);
  }
  function item(row) {
    const [line, part] = page.rows[row];
    const element = document.createElement("li");
    element.style.top = `${row * ROW + 6}px`;
    element.dataset.level = line.level.toLowerCase();
    element.dataset.taskRun = line.taskRun;
    if (page.lit && line.taskRun === page.lit) element.dataset.lit = "yes";
    const span = (name, text) => Object.assign(document.createElement("span"), { className: name, textContent: text });
    const time = document.createElement("time");
    time.className = "moment";
    if (part === 0) Object.assign(time.dataset, { moment: String(line.time), show: "at" });
    element.append(time, span("level", part === 0 ? line.level : ""));
    if (line.task) element.append(span("from", part === 0 ? line.task : ""));
    element.append(span("message", line.texts[part]));
    return element;
  }

  // --- where Dash and the picture call in ---------------------------------------------------------------------------

  function enter(element, run) {
    Object.assign(page, { element, run, lines: [], rows: [], text: "", level: "", matching: 0, follow: true, busy: false, lit: "", loading: 0, gap: false });
    element.addEventListener("scroll", () => {
      page.follow = element.scrollTop + element.clientHeight >= page.rows.length * ROW - ROW;
      if (!page.frame) page.frame = requestAnimationFrame(paint);
    });
  }
  flowtell.logs = function (_page, _seq, pathname) {
    const run = /^\/runs\/([^/]+)/.exec(pathname || "");
    if (!run) return;
    const element = $("logs");
    if (!element) return void setTimeout(() => window.location.pathname === pathname && flowtell.logs(_page, _seq, pathname), 30);
    if (page.element !== element) enter(element, "");
    clearTimeout(page.waiting);
    page.waiting = setTimeout(() => here() && whole(run[1]), page.lines.length ? OFTEN : 0);
  };
  // The address may name the beginning of an id; the page's facts name the whole.
  async function whole(digits) {
    if (page.busy) return;
    const label = await flowtell.timelineData.label(digits);
    if (!label || !here() || page.busy) return;
    if (page.run !== label.id) Object.assign(page, { run: label.id, lines: [], rows: [] });
    load();
  }
  flowtell.logsFilter = function (text, level) {
    if (!here()) return;
    Object.assign(page, { text: text || "", level: level || "" });
    show(page.follow);
  };
  flowtell.logsLight = function (taskRun) {
    page.lit = taskRun;
    if (here() && !page.frame) page.frame = requestAnimationFrame(paint);
  };
  document.addEventListener("flowtell:zone", () => here() && paint());
})();
