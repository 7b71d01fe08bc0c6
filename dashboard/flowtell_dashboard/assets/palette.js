// Ctrl-K or Cmd-K: go anywhere by its name, by the keyboard alone; and `?` for the keys there are.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const WAIT_MS = 120; // between the last letter and the question
  const KEYS = [
    ["Ctrl K  or  ⌘ K", "go to a page, a flow, an asset, or a run by its id"],
    ["?", "show this"],
    ["Tab  and  Shift Tab", "from one control or link to the next"],
    ["Esc", "close what is open"],
    ["In the timeline", "arrows move, + and − zoom, N and P go from failure to failure, F folds; ? there shows all"],
  ];

  const make = (tag, props, ...children) => {
    const element = Object.assign(document.createElement(tag), props);
    element.append(...children);
    return element;
  };
  const set = (element, attributes) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  // --- the keys --------------------------------------------------------------------------------------------------

  let keys = null;
  function showKeys() {
    if (!keys) {
      const rows = KEYS.map(([key, what]) => make("div", {}, make("dt", { textContent: key }), make("dd", { textContent: what })));
      const close = make("button", { className: "plain", textContent: "Close", onclick: () => keys.close() });
      keys = make("dialog", { id: "keys", className: "palette" }, make("h2", { id: "keys-title", textContent: "Keys" }), make("dl", {}, ...rows), close);
      set(keys, { "aria-labelledby": "keys-title" });
      outsideCloses(keys);
      document.body.append(keys);
    }
    if (!keys.open) keys.showModal();
  }
  function outsideCloses(dialog) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  // --- the palette -----------------------------------------------------------------------------------------------

  let palette = null;
  let entries = [];
  let chosen = 0;
  let asked = 0;
  let waiting = 0;

  function pages() {
    const links = [...document.querySelectorAll(".places a[data-place]")];
    const acts = [
      ["Switch between light and dark", () => document.querySelector(".settings button")?.click()],
      [document.documentElement.dataset.zone === "utc" ? "Times in local time" : "Times in UTC", otherZone],
      ["Keys", () => setTimeout(showKeys)],
    ];
    return [
      ...links.map((link) => ({ kind: "page", label: link.textContent, href: link.dataset.place })),
      ...acts.map(([label, run]) => ({ kind: "command", label, run })),
    ];
  }
  function otherZone() {
    const other = document.documentElement.dataset.zone === "utc" ? "local" : "utc";
    document.querySelector(`#zone input[value="${other}"]`)?.click();
  }

  function build() {
    const input = set(make("input", { id: "palette-text", type: "text", autocomplete: "off", spellcheck: false, placeholder: "A page, flow, asset, or a run's id" }), {
      role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list", "aria-label": "Go to",
    });
    const list = set(make("ul", { id: "palette-list" }), { role: "listbox", "aria-label": "Places" });
    const count = set(make("p", { id: "palette-count", className: "hint" }), { role: "status" });
    palette = set(make("dialog", { id: "palette", className: "palette" }, input, list, count), { "aria-label": "Go to" });
    outsideCloses(palette);
    input.addEventListener("input", onInput);
    input.addEventListener("keydown", onKey);
    list.addEventListener("pointermove", (event) => choose(placeOf(event.target), false));
    list.addEventListener("click", (event) => placeOf(event.target) >= 0 && follow(placeOf(event.target)));
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the text keeps the focus
    document.body.append(palette);
  }
  const placeOf = (target) => {
    const item = target.closest && target.closest("[role=option]");
    return item ? Number(item.dataset.place) : -1;
  };

  function open() {
    if (!palette) build();
    if (palette.open) return palette.close();
    palette.querySelector("input").value = "";
    show(pages(), "");
    palette.showModal();
  }
  function onInput(event) {
    const text = event.target.value.trim();
    const mine = ++asked;
    const near = pages().filter((each) => each.label.toLowerCase().includes(text.toLowerCase()));
    show(near, text);
    clearTimeout(waiting);
    if (text) waiting = setTimeout(ask, WAIT_MS, text, near, mine);
  }
  async function ask(text, near, mine) {
    const answer = await fetch(`/_find?text=${encodeURIComponent(text)}`).catch(() => null);
    if (mine !== asked) return; // more was typed since
    if (!answer || !answer.ok) return say(answer && answer.status === 401 ? "You are signed out: load the page again." : "The server does not answer.");
    const found = await answer.json();
    if (mine === asked) show([...near, ...found], text, true);
  }
  const say = (words) => (document.getElementById("palette-count").textContent = words);

  function show(found, text, all) {
    entries = found;
    const items = found.map((each, place) => {
      const words = make("span", { className: "palette-words" }, make("b", { textContent: each.label }), make("span", { textContent: each.more || "" }));
      const item = make("li", { id: `palette-${place}` }, set(make("span", { className: "palette-kind", textContent: each.kind }), {}), words);
      if (each.state) words.firstChild.className = "state";
      if (each.state) words.firstChild.dataset.state = each.state;
      item.dataset.place = place;
      return set(item, { role: "option" });
    });
    document.getElementById("palette-list").replaceChildren(...items);
    say(found.length ? "" : all || !text ? "Nothing is called like that." : "Looking …");
    choose(0, true);
  }
  function choose(place, scroll) {
    if (place < 0) return;
    chosen = Math.max(0, Math.min(place, entries.length - 1));
    document.querySelectorAll("#palette-list [role=option]").forEach((item, each) => item.setAttribute("aria-selected", String(each === chosen)));
    const item = document.getElementById(`palette-${chosen}`);
    const input = palette.querySelector("input");
    if (!item) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", item.id);
    if (scroll) item.scrollIntoView({ block: "nearest" });
  }
  const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
  function onKey(event) {
    if (event.key in STEPS) {
      const step = STEPS[event.key];
      const around = Math.abs(step) === 1 ? (chosen + step + entries.length) % Math.max(entries.length, 1) : chosen + step;
      choose(Math.max(around, 0), true);
    } else if (event.key === "Enter") follow(chosen);
    else if (event.key === "Escape") palette.close(); // at once: a browser may want to be asked twice
    else return;
    event.preventDefault();
  }
  function follow(place) {
    const entry = entries[place];
    if (!entry) return;
    palette.close();
    if (entry.run) return entry.run();
    flowtell.go(entry.href);
    document.getElementById("page")?.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest && event.target.closest("[data-palette]")) open();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      return open();
    }
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "?" && plain && !typing && !document.getElementById("timeline-help")) showKeys();
  });
})();
