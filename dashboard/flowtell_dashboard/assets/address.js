// The address is the state of a page: links change it without loading the document again, filters follow it and change it.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});

  function go(href) {
    window.history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate")); // what dcc.Location listens for
    window.scrollTo(0, 0);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[data-page]");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });

  flowtell.place = function (pathname) {
    const place = pathname === "/runs" || pathname === "/runs/" ? "/" : (pathname || "/").replace(/(.)\/$/, "$1");
    document.querySelectorAll("[data-place]").forEach((link) => {
      if (link.dataset.place === place) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
  };

  const DEFAULT_WINDOW = "30d";

  function told(search) {
    const given = new URLSearchParams(search || "");
    const known = (document.getElementById("colours")?.dataset.states || "").split(",");
    const states = (given.get("state") || "").split(",").filter((state) => known.includes(state));
    const since = given.get("since") || DEFAULT_WINDOW;
    return [states, given.get("flow") || null, given.get("environment") || null, given.get("text") || "", since];
  }

  function asSearch(states, flow, environment, text, since) {
    const said = new URLSearchParams();
    if (states && states.length) said.set("state", states.join(","));
    if (flow) said.set("flow", flow);
    if (environment) said.set("environment", environment);
    if (text) said.set("text", text);
    if (since && since !== DEFAULT_WINDOW) said.set("since", since);
    const search = said.toString().replaceAll("%2C", ",");
    return search ? `?${search}` : "";
  }

  flowtell.go = go;
  flowtell.showFilters = told;
  flowtell.applyFilters = function (...controls) {
    if (!["/", "/runs", "/runs/"].includes(window.location.pathname)) return;
    const wanted = asSearch(...controls);
    if (wanted !== asSearch(...told(window.location.search))) go(window.location.pathname + wanted);
  };

  flowtell.title = function (title) {
    document.title = title ? `${title} · flowtell` : "flowtell";
  };
})();
