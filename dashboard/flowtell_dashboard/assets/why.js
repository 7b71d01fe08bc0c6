// Why a run, an asset or an incident stands as it does: asked of the server's own API wherever a page leaves a place for it,
// and again while the run goes on. Of what it says only text is made.
(function () {
  "use strict";
  const PLACE = "[data-why]", AGAIN = 15000, MOST = 10;
  const WELL = new Set(["completed", "asset_made"]);
  const ENDED = new Set(["completed", "cached", "failed", "timed_out", "cancelled", "crashed", "skipped", "removed"]);

  function make(tag, props, ...children) {
    const { data, ...own } = props || {};
    const element = Object.assign(document.createElement(tag), own);
    Object.assign(element.dataset, data || {});
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }
  const moment = (us, show) => make("time", { className: "moment", data: { moment: String(us), show } });
  const link = (text, href) => make("a", { textContent: text, href });

  function fact(one) {
    const parts = [make("span", { textContent: one.text })];
    if (one.detail) parts.push(make("span", { className: "detail", textContent: one.detail.slice(0, 500) }));
    if (one.since) parts.push(moment(one.since, "ago"));
    const others = (one.runs || []).filter((run) => run !== one.run).slice(0, 3);
    others.forEach((run) => parts.push(link(run.slice(16, 24), `/runs/${run}`)));
    return make("li", {}, ...parts);
  }
  function expected(found) {
    if (!found.expected) return null;
    const { end, earliest, latest, runs } = found.expected;
    return make("p", { className: "expected" }, "It will end about ", moment(end, "at"), ", between ", moment(earliest, "at"),
      " and ", moment(latest, "at"), `, by ${runs} earlier runs.`);
  }
  function value(one, given) {
    if (given === null || given === undefined) return "nothing";
    if (one.what === "task") return `${Number(given).toPrecision(3)} s`;
    return (typeof given === "string" ? given : JSON.stringify(given)).slice(0, 100);
  }
  const WHAT = { task: "task", measure: "measure", parameter: "parameter", version: "version" };
  function changes(found) {
    if (!found.changed) return null;
    const lines = found.changed.slice(0, MOST).map((one) =>
      make("li", { textContent: `${WHAT[one.what] || one.what} ${one.name || ""}: ${value(one, one.was)} → ${value(one, one.now)}` }));
    const title = make("summary", { textContent: `Otherwise than in the last run that ended well (${found.changed.length})` });
    return make("details", {}, title, link("that run", `/runs/${found.compared}`), make("ul", {}, ...lines));
  }
  function impact(found) {
    if (!found.impact) return null;
    const lines = found.impact.slice(0, MOST).map((hit) =>
      make("li", {}, link(hit.asset, `/asset?key=${encodeURIComponent(hit.asset)}`), (hit.owners || []).length ? ` ${hit.owners.join(", ")}` : ""));
    if (found.impact.length > MOST) lines.push(make("li", { textContent: `and ${found.impact.length - MOST} more` }));
    return make("details", {}, make("summary", { textContent: `What waits for it (${found.impact.length})` }), make("ul", {}, ...lines));
  }
  function shown(found) {
    if (WELL.has(((found.chain || [])[0] || {}).cause)) return []; // nothing is asked where nothing is wrong
    const chain = (found.chain || []).map(fact);
    const missing = (found.missing || []).map((one) => make("li", { className: "missing", textContent: `not known: ${one}` }));
    const first = chain.length ? make("ol", {}, ...chain) : make("p", { textContent: "The log does not tell." });
    return [make("h2", { textContent: "Why" }), first, missing.length ? make("ul", {}, ...missing) : null, expected(found),
      changes(found), impact(found)].filter(Boolean);
  }

  async function fill(place) {
    const subject = place.dataset.why;
    place.dataset.asked = subject;
    const answer = await fetch(`/api/why/${encodeURIComponent(subject)}`).catch(() => null);
    if (!place.isConnected || place.dataset.why !== subject) return;
    let open = true;
    if (answer && answer.ok) {
      const found = await answer.json();
      const open_details = [...place.querySelectorAll("details")].map((each) => each.open);
      place.replaceChildren(...shown(found));
      place.querySelectorAll("details").forEach((each, at) => (each.open = open_details[at] || false));
      open = !ENDED.has(found.state || "");
    } else if (answer && answer.status === 404) {
      place.replaceChildren();
      open = false;
    }
    if (open) setTimeout(() => place.isConnected && place.dataset.why === subject && !document.hidden ? fill(place) : (place.dataset.asked = ""), AGAIN);
  }
  function look() {
    document.querySelectorAll(PLACE).forEach((place) => place.dataset.asked !== place.dataset.why && fill(place));
  }
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-why"] });
  document.addEventListener("visibilitychange", () => document.hidden || look());
})();
