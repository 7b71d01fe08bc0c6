// Fills in moments and durations by the browser's zone and the server's clock, and lets what still runs grow.
// An element says what it shows: data-moment (µs) with data-show (at, short, ago), data-seconds, or data-since (µs).
(function () {
  "use strict";
  const STALE_MS = 8500; // with a look each second it is told within ten
  const POLL_MS = 5000;
  const ZONE = "flowtell-zone"; // kept for the next page, which is painted before its control is there
  document.documentElement.dataset.zone = window.localStorage.getItem(ZONE) || "local";
  const SHOWN = "[data-moment],[data-seconds],[data-since]";
  let offset = 0; // of the server's clock to this one, in ms
  let polled = -1;
  let signedOut = false; // what was asked led to the page where one signs in
  let heard = 0; // when the server last said something, by this clock

  const now = () => Date.now() + offset;
  const two = (number) => String(number).padStart(2, "0");

  function inZone(ms) {
    const date = new Date(ms);
    if (document.documentElement.dataset.zone !== "utc") return date;
    return new Date(ms + date.getTimezoneOffset() * 60000);
  }

  function at(ms, short) {
    const date = inZone(ms);
    const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two);
    if (date.toDateString() === inZone(now()).toDateString()) return clock.join(":");
    const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
    return `${day} ${(short ? clock.slice(0, 2) : clock).join(":")}`;
  }

  function ago(ms) {
    const seconds = (now() - ms) / 1000;
    if (seconds < 0) return `in ${duration(-seconds)}`;
    if (seconds < 5) return "just now";
    const [amount, unit] = largest(seconds);
    return `${amount} ${unit}${amount === 1 ? "" : "s"} ago`;
  }

  function largest(seconds) {
    if (seconds < 60) return [Math.floor(seconds), "second"];
    if (seconds < 3600) return [Math.floor(seconds / 60), "minute"];
    if (seconds < 86400) return [Math.floor(seconds / 3600), "hour"];
    return [Math.floor(seconds / 86400), "day"];
  }

  function duration(seconds) {
    if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
    return `${Math.floor(whole / 86400)}d ${two(Math.floor((whole % 86400) / 3600))}h`;
  }

  function text(element) {
    const { moment, show, seconds, since } = element.dataset;
    if (seconds !== undefined) return duration(Number(seconds));
    if (since !== undefined) return duration(Math.max(0, Math.floor((now() - Number(since) / 1000) / 1000)));
    const ms = Number(moment) / 1000;
    return show === "ago" ? ago(ms) : at(ms, show === "short");
  }

  function fill(element) {
    const shown = text(element);
    if (element.textContent !== shown) element.textContent = shown;
    if (element.dataset.moment !== undefined && !element.dateTime) {
      element.dateTime = new Date(Number(element.dataset.moment) / 1000).toISOString();
      element.title = element.dateTime;
    }
  }

  function fillAll(root) {
    if (root.matches && root.matches(SHOWN)) fill(root);
    if (root.querySelectorAll) root.querySelectorAll(SHOWN).forEach(fill);
  }

  function sayWhetherLive() {
    const place = document.getElementById("live");
    if (!place) return;
    const silent = Date.now() - heard;
    const state = heard === 0 ? "connecting" : silent > STALE_MS ? "stale" : "live";
    if (place.dataset.live === state && state !== "stale") return;
    place.dataset.live = state;
    const words = { connecting: "Connecting", live: "Live", stale: signedOut ? "Signed out" : "Not live" };
    place.textContent = words[state];
    place.title = signedOut ? "Load the page again to sign in." : state === "stale" ? `No word from the server for ${duration(silent / 1000)}. Is flowtell up running?` : "";
  }

  function changed(mutations) {
    for (const mutation of mutations) {
      if (mutation.type === "attributes") fill(mutation.target);
      else mutation.addedNodes.forEach(fillAll);
    }
  }

  new MutationObserver(changed).observe(document.documentElement, {
    subtree: true,
    childList: true,
    attributeFilter: ["data-moment", "data-seconds", "data-since"],
  });
  setInterval(() => {
    document.querySelectorAll("[data-since],[data-show=ago]").forEach(fill);
    sayWhetherLive();
    poll();
  }, 1000);

  // Where websockets are barred, or the line is not back yet, the page asks how far the log is.
  let polling = false;
  async function poll() {
    if (polling || document.hidden || !window.dash_clientside.set_props || (heard && Date.now() - heard < POLL_MS)) return;
    polling = true;
    try {
      const answer = await fetch("/_timeline/seq");
      if (answer.redirected || answer.status === 401) return void (signedOut = true);
      if (!answer.ok) return;
      const { seq, now } = await answer.json();
      callbacks.pulse(now);
      if (seq !== polled) window.dash_clientside.set_props("seq", { data: (polled = seq) });
    } catch {
      // nobody answers: the page says that it is not live
    } finally {
      polling = false;
    }
  }

  const callbacks = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  callbacks.pulse = function (micros) {
    if (!micros) return;
    heard = Date.now();
    signedOut = false;
    offset = micros / 1000 - heard;
    sayWhetherLive();
  };
  callbacks.zone = function (zone) {
    document.documentElement.dataset.zone = zone || "local";
    window.localStorage.setItem(ZONE, zone || "local");
    document.querySelectorAll("[data-moment]").forEach(fill);
    document.dispatchEvent(new CustomEvent("flowtell:zone"));
  };
  callbacks.clock = { now, at, duration, inZone };
})();
