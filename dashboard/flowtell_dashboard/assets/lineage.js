// The picture of an asset's surroundings: boxes that are links, lines that say how they are known. The server has laid it
// out; here it is only drawn. Also the filters of the catalogue, which live in the address.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const WIDE = 208, HIGH = 60, ACROSS = 132, DOWN = 20, EDGE = 40;
  const SVG = "http://www.w3.org/2000/svg";
  const LABELLED = 24; // more edges than these tell how they are known only when pointed at, and in the table

  function make(tag, options, ...children) {
    const element = Object.assign(document.createElement(tag), options);
    element.append(...children);
    return element;
  }
  function drawn(tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }
  const left = (column) => EDGE + column * (WIDE + ACROSS);
  const middle = (data, row) => EDGE + ((data.rows - 1) / 2 + row) * (HIGH + DOWN) + HIGH / 2;

  function box(data, node) {
    const state = make("span", { className: "state", textContent: node.word });
    state.dataset.state = node.state;
    const when = make(node.made ? "time" : "span", { className: "moment" });
    if (node.made) Object.assign(when.dataset, { moment: node.made, show: "ago" });
    const took = typeof node.seconds === "number";
    if (took) when.dataset.seconds = node.seconds;
    const link = make(node.href ? "a" : "div", { className: "asset-box", title: node.href ? node.key : node.title },
      make("b", { textContent: node.title }), make("span", { className: "asset-line" }, state, node.made || took ? when : ""));
    if (node.href) Object.assign(link, { href: node.href }).dataset.page = "";
    link.dataset.key = node.key;
    if (node.here) link.setAttribute("aria-current", "true");
    Object.assign(link.style, { left: `${left(node.column)}px`, top: `${middle(data, node.row) - HIGH / 2}px` });
    return [link, ...node.more.map((more) => grower(data, node, more))];
  }
  function grower(data, node, more) {
    const up = more.way === "up";
    const link = make("a", { className: "asset-more", href: more.href, textContent: `+${more.count.toLocaleString("en")}` });
    const words = `Show ${more.count.toLocaleString("en")} more ${up ? "upstream" : "downstream"} of ${node.title}`;
    link.title = words;
    link.setAttribute("aria-label", words);
    Object.assign(link.dataset, { page: "", key: `${more.way} ${node.key}`, way: more.way });
    link.style.top = `${middle(data, node.row) - 11}px`;
    link.style.left = `${up ? left(node.column) - 6 : left(node.column) + WIDE + 6}px`;
    return link;
  }

  // A smooth line through the free cells of the columns between; within a circle around the boxes' right side.
  function way(data, edge) {
    const [from, to] = [data.nodes[edge.from], data.nodes[edge.to]];
    const end = [left(to.column) - 3, middle(data, to.row)];
    let at = [left(from.column) + WIDE, middle(data, from.row)];
    if (to.column <= from.column) {
      const out = at[0] + 34;
      return { path: `M${at} C${out},${at[1]} ${out},${end[1]} ${at[0] + 3},${end[1]}`, label: [out - 6, (at[1] + end[1]) / 2] };
    }
    let path = `M${at}`;
    const curve = (next) => {
      const half = (at[0] + next[0]) / 2;
      path += ` C${half},${at[1]} ${half},${next[1]} ${next}`;
      at = next;
    };
    const label = [at[0] + ACROSS / 2, (at[1] + (edge.bends.length ? middle(data, edge.bends[0]) : end[1])) / 2];
    edge.bends.forEach((row, i) => {
      const x = left(from.column + 1 + i);
      curve([x, middle(data, row)]);
      at = [x + WIDE, middle(data, row)];
      path += ` L${at}`;
    });
    curve(end);
    return { path, label };
  }
  function line(data, edge) {
    const { path, label } = way(data, edge);
    const group = drawn("g", { class: "asset-edge", "data-kind": edge.kind });
    const words = `${data.nodes[edge.to].title} ${data.verb || "is made of"} ${data.nodes[edge.from].title}: ${edge.words}`;
    group.append(drawn("path", { d: path, class: "wide" }), drawn("path", { d: path, "marker-end": "url(#asset-arrow)" }));
    group.append(Object.assign(drawn("title", {}), { textContent: words }));
    const text = Object.assign(drawn("text", { x: label[0], y: label[1] + 3.5 }), { textContent: edge.words });
    if (data.edges.length > LABELLED) text.setAttribute("class", "later");
    group.append(text);
    return group;
  }
  function lines(data, width, height) {
    const sheet = drawn("svg", { width, height, "aria-hidden": "true" });
    const arrow = drawn("marker", { id: "asset-arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
    arrow.append(drawn("path", { d: "M0,0.5L8,4L0,7.5z" }));
    sheet.append(arrow, ...data.edges.map((edge) => line(data, edge)));
    return sheet;
  }

  function draw(frame, data) {
    const width = left(data.columns - 1) + WIDE + EDGE;
    const height = EDGE * 2 + data.rows * (HIGH + DOWN) - DOWN;
    const picture = make("div", { className: "asset-picture" }, lines(data, width, height), ...data.nodes.flatMap((node) => box(data, node)));
    Object.assign(picture.style, { width: `${width}px`, height: `${height}px` });
    const key = frame.contains(document.activeElement) ? document.activeElement.dataset.key : "";
    const [here, before] = [data.nodes.find((node) => node.here), frame.dataset.here];
    const kept = [frame.scrollLeft, frame.scrollTop, frame.dataset.columns];
    frame.replaceChildren(picture);
    Object.assign(frame.dataset, { here: here ? here.key : "", columns: data.columns, drawn: "yes" });
    if (key) (frame.querySelector(`[data-key="${CSS.escape(key)}"]`) || frame).focus({ preventScroll: true });
    if (here && (before !== here.key || kept[2] !== String(data.columns))) {
      frame.scrollLeft = left(here.column) + WIDE / 2 - frame.clientWidth / 2;
      frame.scrollTop = middle(data, here.row) - frame.clientHeight / 2;
    } else [frame.scrollLeft, frame.scrollTop] = kept;
  }
  flowtell.assetPicture = function (data) {
    const frame = document.getElementById("lineage-frame");
    if (frame && data && data.nodes) draw(frame, data);
  };

  flowtell.taskPicture = function (data) {
    const frame = document.getElementById("task-graph-frame");
    if (!frame) return;
    document.getElementById("run-graph").hidden = !data;
    if (data) draw(frame, data);
    else frame.replaceChildren();
  };

  const onList = () => window.location.pathname.replace(/\/$/, "") === "/assets";
  const told = (search) => ["text", "owner", "only"].map((name) => new URLSearchParams(search || "").get(name) || "");
  flowtell.assetsShow = function (search) {
    const [text, owner, only] = told(search);
    return [text, owner, only || null];
  };
  flowtell.assetsApply = function (text, owner, only) {
    const wanted = [text || "", owner || "", only || ""];
    if (!onList() || JSON.stringify(wanted) === JSON.stringify(told(window.location.search))) return;
    const said = new URLSearchParams(["text", "owner", "only"].map((name, i) => [name, wanted[i]]).filter(([, value]) => value));
    flowtell.go(`/assets${said.size ? `?${said}` : ""}`);
  };
})();
