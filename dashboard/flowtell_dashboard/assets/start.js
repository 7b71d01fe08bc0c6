// Starts a page. The timeline is painted first, on a stage of plain HTML; then Dash's scripts are loaded, in their order,
// and its page takes the picture over (see `enter` in timeline.js). Any other page loads Dash at once.
(function () {
  "use strict";
  const flowtell = window.dash_clientside.flowtell;
  const LONGEST_MS = 1500; // what is not painted by then waits for Dash like every page
  const onTimeline = () => window.location.pathname.replace(/\/$/, "") === "/timeline";

  function script(address) {
    const element = document.createElement("script");
    element.async = false; // run in the order in which they are here
    element.src = address;
    return element;
  }
  function preload(addresses) {
    for (const href of addresses) document.head.append(Object.assign(document.createElement("link"), { rel: "preload", as: "script", href }));
  }
  function load(addresses) {
    const scripts = addresses.map(script);
    scripts[scripts.length - 1].onload = () => (window.renderer = new window.DashRenderer());
    document.body.append(...scripts);
  }

  function scheme() {
    const chosen = window.localStorage.getItem("mantine-color-scheme-value"); // where Mantine keeps it
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.mantineColorScheme = chosen;
  }
  function raise() {
    const stage = Object.assign(document.createElement("div"), { id: "stage" });
    stage.append(document.getElementById("staged").content);
    document.body.prepend(stage);
    flowtell.place("/timeline");
    flowtell.timelineShow(window.location.search);
    const follow = () => {
      if (!stage.isConnected) return;
      if (onTimeline()) flowtell.timelineShow(window.location.search);
      else stage.remove(); // a link was followed before Dash was there to follow it
    };
    for (const way of ["_dashprivate_pushstate", "popstate"]) window.addEventListener(way, follow);
  }

  const later = [...document.getElementById("later").content.querySelectorAll("script[src]")].map((each) => each.getAttribute("src"));
  if (!onTimeline()) return load(later);
  scheme();
  raise();
  preload(later);
  let waiting = setTimeout(go, LONGEST_MS);
  document.addEventListener("flowtell:painted", () => requestAnimationFrame(() => setTimeout(go, 0)), { once: true });
  function go() {
    if (waiting) load(later);
    waiting = clearTimeout(waiting);
  }
})();
