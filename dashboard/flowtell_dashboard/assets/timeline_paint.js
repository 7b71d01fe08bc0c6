// Draws the lanes that are on the screen. Reads the data and the view, keeps nothing but the colours.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const PAD = 4, COLUMN = 2, FAILURE = 3;
  const OPEN = new Set(["running", "waiting", "paused", "cancelling", "retrying", "pending"]);
  let colours = null;

  const inks = ["--line", "--ink", "--quiet", "--accent", "--sheet"];
  function readColours(states) {
    const place = document.getElementById("colours");
    const read = (style, state) => {
      const span = document.createElement("span");
      if (state) span.dataset.state = state;
      span.style.color = style;
      place.append(span);
      return getComputedStyle(span).color;
    };
    place.hidden = false;
    colours = { states: states.map((state) => read("var(--state)", state)), of: {} };
    states.forEach((state, i) => (colours.of[state] = colours.states[i]));
    for (const ink of inks) colours[ink] = read(`var(${ink})`);
    place.replaceChildren();
    place.hidden = true;
  }

  function sized(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  // `toScreen` turns a place of the data into one on the screen: x = place * scale + shift.
  function transform(data, view) {
    const [left, right] = [view.from, view.to].map((at) => flowtell.axis.place(data.knots, at));
    const scale = view.width / Math.max(right - left, 1e-6);
    return { scale, shift: -left * scale, x: (place) => (place - left) * scale, left, right };
  }

  function lanes(canvas, data, view) {
    if (!colours) readColours(data.states);
    const context = sized(canvas, view.width, view.height);
    const to = transform(data, view);
    const top = (lane) => (lane + data.firstLane) * view.lane - view.scroll;
    stripes(context, data, view, top);
    nowLine(context, view, to, data);
    columns(context, data, view, to, top);
    bars(context, data, view, to, top);
    marks(context, data, view, to, top);
    promises(context, data, view, to, top);
    folds(context, data, view, to);
  }

  function stripes(context, data, view, top) {
    context.strokeStyle = colours["--line"];
    context.globalAlpha = 0.7;
    context.beginPath();
    for (const { at } of flowtell.axis.ticks(view.from, view.to, view.width)) {
      const x = Math.round(transform(data, view).x(flowtell.axis.place(data.knots, at))) + 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, view.height);
    }
    for (let lane = 0; lane <= data.lanes.length; lane += 1) {
      const y = Math.round(top(lane)) + 0.5;
      if (y < -1 || y > view.height) continue;
      context.moveTo(0, y);
      context.lineTo(view.width, y);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  // How high a column is says how many runs are on, by magnitude; the part that ended badly is on top, never under a pixel.
  function columns(context, data, view, to, top) {
    const wide = Math.max(COLUMN * to.scale, 1);
    const room = view.lane - 2 * PAD;
    let most = 1;
    for (const busy of data.columnBusy) most = Math.max(most, busy);
    const full = Math.log2(1 + most);
    const groups = new Map();
    const add = (colour, x, y, w, h) => {
      if (!groups.has(colour)) groups.set(colour, []);
      groups.get(colour).push(x, y, w, h);
    };
    for (let i = 0; i < data.columnLane.length; i += 1) {
      const x = data.columnPlace[i] * COLUMN * to.scale + to.shift;
      const y = top(data.columnLane[i]) + PAD;
      if (x + wide < 0 || x > view.width || y + room < 0 || y > view.height) continue;
      const busy = data.columnBusy[i];
      const high = Math.max(3, (room * (0.35 + 0.65 * Math.log2(1 + busy))) / (0.35 + 0.65 * full));
      const bad = Math.max((high * data.columnBad[i]) / busy, data.columnFailed[i] ? FAILURE : 0);
      if (busy > data.columnBad[i]) add(data.columnState[i], x, y + room - high, wide + 0.3, high);
      if (bad > 0) add(data.columnBadState[i], x, y + room - high, Math.max(wide, data.columnFailed[i] ? 2 : 0) + 0.3, bad);
    }
    for (const state of [...groups.keys()].sort((a, b) => a - b)) {
      context.fillStyle = colours.states[state];
      const boxes = groups.get(state);
      for (let i = 0; i < boxes.length; i += 4) context.fillRect(boxes[i], boxes[i + 1], boxes[i + 2], boxes[i + 3]);
    }
  }

  function box(data, i, view, to, top) {
    const high = (view.lane - 2 * PAD) / data.barSlots[i];
    const y = top(data.barLane[i]) + PAD + data.barSlot[i] * high;
    const left = data.barLeft[i] * to.scale + to.shift;
    let right = data.barRight[i] * to.scale + to.shift;
    if (OPEN.has(data.states[data.barState[i]])) right = Math.max(right, to.x(flowtell.axis.place(data.knots, view.now)));
    return { left, right: Math.max(right, left + 2), y, high: Math.max(high - 1, 2) };
  }

  function bars(context, data, view, to, top) {
    const order = [...data.barLane.keys()].sort((a, b) => data.barState[a] - data.barState[b]); // the worst on top
    for (const i of order) {
      const { left, right, y, high } = box(data, i, view, to, top);
      if (right < 0 || left > view.width || y + high < 0 || y > view.height) continue;
      const [x, end] = [Math.max(left, -4), Math.min(right, view.width + 4)];
      context.fillStyle = colours.states[data.barState[i]];
      context.beginPath();
      context.roundRect(x, y, end - x, high, Math.min(3, (end - x) / 3, high / 3));
      context.fill();
      if (OPEN.has(data.states[data.barState[i]]) && end - x > 6) openEnd(context, end, y, high);
      if (data.runs[i] === view.chosen) outline(context, x, y, end - x, high);
    }
  }

  // A run that goes on has no edge at its right, so that "still running" is not told by colour alone.
  function openEnd(context, x, y, high) {
    context.fillStyle = colours["--sheet"];
    for (const back of [2, 5]) context.fillRect(x - back - 1, y, 1.2, high);
  }

  function outline(context, x, y, width, high) {
    context.strokeStyle = colours["--ink"];
    context.lineWidth = 2;
    context.strokeRect(x - 1, y - 1, width + 2, high + 2);
    context.lineWidth = 1;
  }

  function marks(context, data, view, to, top) {
    for (const [lane, place, , late] of data.marks) {
      const [x, y] = [to.x(place), top(lane) + view.lane / 2];
      if (x < -6 || x > view.width + 6 || y < -view.lane || y > view.height + view.lane) continue;
      context.beginPath();
      context.moveTo(x, y - 6);
      context.lineTo(x + 5, y);
      context.lineTo(x, y + 6);
      context.lineTo(x - 5, y);
      context.closePath();
      context.strokeStyle = context.fillStyle = colours.states[data.states.indexOf(late ? "late" : "scheduled")];
      context.lineWidth = 1.5;
      context.stroke();
      if (late) context.fill();
      context.lineWidth = 1;
    }
  }

  // A deadline is a line with a flag through its lane; a predicted end an open circle on the height of the bars.
  function promises(context, data, view, to, top) {
    for (const [lane, place, what] of data.promises) {
      const [x, y] = [Math.round(to.x(place)) + 0.5, top(lane)];
      if (x < -8 || x > view.width + 8 || y < -view.lane || y > view.height) continue;
      context.strokeStyle = context.fillStyle = what === "deadline" ? colours["--ink"] : colours.states[data.states.indexOf("running")];
      context.lineWidth = 1.5;
      context.beginPath();
      if (what === "deadline") {
        context.moveTo(x, y + 2);
        context.lineTo(x, y + view.lane - 2);
        context.stroke();
        context.beginPath();
        context.moveTo(x, y + 2);
        context.lineTo(x + 7, y + 5);
        context.lineTo(x, y + 8);
        context.fill();
      } else {
        context.arc(x, y + view.lane / 2, 4.5, 0, 2 * Math.PI);
        context.stroke();
      }
      context.lineWidth = 1;
    }
  }

  function folds(context, data, view, to) {
    context.strokeStyle = colours["--quiet"];
    context.setLineDash([3, 3]);
    for (let at = 1; at + 1 < data.knots.length; at += 2) {
      const x = Math.round(to.x((data.knots[at][1] + data.knots[at + 1][1]) / 2)) + 0.5;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, view.height);
      context.stroke();
    }
    context.setLineDash([]);
  }

  function nowLine(context, view, to, data) {
    if (view.now < view.from || view.now > view.to) return;
    const x = to.x(flowtell.axis.place(data.knots, view.now));
    context.fillStyle = colours["--accent"];
    context.fillRect(x, 0, 1.5, view.height);
  }

  function axis(canvas, data, view) {
    if (!colours) readColours(data.states);
    const context = sized(canvas, view.width, 26);
    const to = transform(data, view);
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    let free = 0;
    for (const tick of flowtell.axis.ticks(view.from, view.to, view.width)) {
      const x = to.x(flowtell.axis.place(data.knots, tick.at));
      context.fillStyle = colours["--line"];
      context.fillRect(Math.round(x), 19, 1, 7);
      const wide = context.measureText(tick.label).width;
      if (x < free || x + wide + 4 > view.width) continue;
      context.fillStyle = tick.strong ? colours["--ink"] : colours["--quiet"];
      context.fillText(tick.label, x + 4, 12);
      free = x + wide + 14;
    }
  }

  // The strip shows a longer time in one lane, with the window marked in it.
  function strip(canvas, data, view, width) {
    if (!colours) readColours(data.states);
    const height = 38;
    const context = sized(canvas, width, height);
    let most = 1;
    for (const busy of data.columnBusy) most = Math.max(most, busy);
    const scale = width / data.width;
    for (let i = 0; i < data.columnLane.length; i += 1) {
      const high = Math.max(2, ((height - 6) * Math.log2(1 + data.columnBusy[i])) / Math.log2(1 + most));
      const x = data.columnPlace[i] * COLUMN * scale;
      context.fillStyle = colours["--quiet"];
      context.globalAlpha = 0.45;
      context.fillRect(x, height - high, Math.max(COLUMN * scale, 1), high);
      context.globalAlpha = 1;
      if (!data.columnFailed[i]) continue;
      context.fillStyle = colours.states[data.columnBadState[i]];
      context.fillRect(x, height - 3, Math.max(COLUMN * scale, 2), 3);
    }
    for (let i = 0; i < data.barLane.length; i += 1) {
      context.fillStyle = colours.states[data.barState[i]];
      context.fillRect(data.barLeft[i] * scale, height - 8, Math.max((data.barRight[i] - data.barLeft[i]) * scale, 2), 8);
    }
    const [left, right] = [view.from, view.to].map((at) => (flowtell.axis.place(data.knots, at) * width) / data.width);
    context.fillStyle = colours["--accent"];
    context.globalAlpha = 0.16;
    context.fillRect(left, 0, Math.max(right - left, 3), height);
    context.globalAlpha = 1;
    context.fillRect(left, 0, 1.5, height);
    context.fillRect(Math.max(right, left + 3) - 1.5, 0, 1.5, height);
  }

  // What is at a point of the canvas: a bar, a column, or nothing.
  function hit(data, view, x, y) {
    const to = transform(data, view);
    const top = (lane) => (lane + data.firstLane) * view.lane - view.scroll;
    const lane = Math.floor((y + view.scroll) / view.lane) - data.firstLane;
    let best = null;
    for (let i = 0; i < data.barLane.length; i += 1) {
      if (data.barLane[i] !== lane) continue;
      const { left, right, y: up, high } = box(data, i, view, to, top);
      if (x >= left - 2 && x <= right + 2 && y >= up - 1 && y <= up + high + 1) best = { bar: i, run: data.runs[i], lane };
    }
    const mark = data.marks.find((each) => each[0] === lane && Math.abs(to.x(each[1]) - x) < 6);
    const promise = data.promises.find((each) => each[0] === lane && Math.abs(to.x(each[1]) - x) < 4); // on top of bars
    if (promise) return { promise, lane };
    if (best || mark) return best || { run: mark[2], lane };
    const place = (x - to.shift) / to.scale / COLUMN;
    for (let i = 0; i < data.columnLane.length; i += 1) {
      if (data.columnLane[i] === lane && place >= data.columnPlace[i] - 0.5 && place < data.columnPlace[i] + 1.5) {
        return { column: i, lane };
      }
    }
    return null;
  }

  let looks = 0;
  const otherLook = () => {
    colours = null;
    looks += 1;
  };
  new MutationObserver(otherLook).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", otherLook);
  flowtell.timelinePaint = { lanes, axis, strip, hit, look: () => looks, sized, openEnd, OPEN, colours: (states) => (colours || readColours(states), colours) };
})();
