// From a moment to a place on the picture and back, and where the axis has its lines. Moments in ms, places in pixels.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500].concat([1, 2, 5, 15, 30].map((n) => n * SECOND))
    .concat([1, 2, 5, 15, 30].map((n) => n * MINUTE), [1, 2, 3, 6, 12].map((n) => n * HOUR), [1, 2, 7, 14, 31, 92].map((n) => n * DAY));
  const two = (number) => String(number).padStart(2, "0");

  // Knots are [moment, place] in order; between two of them it is even, and beyond them as between the outermost.
  function between(knots, value, from, to) {
    let at = 1;
    while (at < knots.length - 1 && knots[at][from] < value) at += 1;
    const [before, after] = [knots[at - 1], knots[at]];
    const part = (value - before[from]) / Math.max(after[from] - before[from], 1e-9);
    return before[to] + part * (after[to] - before[to]);
  }
  const place = (knots, moment) => between(knots, moment, 0, 1);
  const moment = (knots, at) => between(knots, at, 1, 0);

  // Lines of the hour, the day and so on, in the zone that is shown: a day of 23 hours has one line fewer.
  function ticks(from, to, width) {
    const step = STEPS.find((each) => ((to - from) / each) * (each < DAY ? 80 : 60) <= width) || STEPS[STEPS.length - 1];
    return (step < HOUR ? shortTicks : step < DAY ? hourTicks : dayTicks)(from, to, step);
  }
  function shortTicks(from, to, step) {
    const found = [];
    for (let at = Math.ceil(from / step) * step; at < to; at += step) found.push({ at, label: label(at, step) });
    return found;
  }
  const utc = () => document.documentElement.dataset.zone === "utc";
  const day = (at, add) => {
    const date = new Date(at);
    return utc() ? Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + add)
      : new Date(date.getFullYear(), date.getMonth(), date.getDate() + add).getTime();
  };
  const hourOf = (start, hour) => {
    const date = new Date(start);
    return utc() ? start + hour * HOUR : new Date(date.getFullYear(), date.getMonth(), date.getDate(), hour).getTime();
  };
  function hourTicks(from, to, step) {
    const found = new Map();
    for (let start = day(from, 0); start < to; start = day(start, 1)) {
      for (let hour = 0; hour < 24; hour += step / HOUR) {
        const at = hourOf(start, hour);
        if (at >= from && at < to) found.set(at, { at, label: label(at, step), strong: hour === 0 });
      }
    }
    return [...found.values()];
  }
  function dayTicks(from, to, step) {
    const found = [], days = Math.round(step / DAY);
    for (let start = day(from, 0), n = 0; start < to; start = day(start, 1), n += 1) {
      const monthly = days >= 31;
      const date = flowtell.clock.inZone(start).getDate();
      const months = flowtell.clock.inZone(start).getMonth();
      const wanted = monthly ? date === 1 && (days < 92 || months % 3 === 0) : (Math.round(start / DAY) + 3) % days === 0;
      if (wanted && start >= from) found.push({ at: start, label: label(start, step), strong: date === 1 });
    }
    return found;
  }
  function label(at, step) {
    const date = flowtell.clock.inZone(at);
    const clock = [date.getHours(), date.getMinutes()].map(two).join(":");
    if (step < SECOND) return `${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
    if (step < MINUTE) return `${clock}:${two(date.getSeconds())}`;
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    if (step < DAY && !midnight) return clock;
    const ofYear = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return step >= DAY && ofYear !== "01-01" ? ofYear : `${date.getFullYear()}-${ofYear}`;
  }

  flowtell.axis = { place, moment, ticks };
})();
