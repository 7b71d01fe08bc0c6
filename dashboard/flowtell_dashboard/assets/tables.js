// On a narrow screen a table shows one column of cards instead of many that nobody can read.
(function () {
  "use strict";
  const narrow = window.matchMedia("(max-width: 48rem)");
  const TABLES = ["runs", "task-runs", "flows", "flow-tasks", "incidents", "rules", "assets"];

  const fitted = new WeakMap(); // whether a table was last fitted to a narrow screen

  function fit(api) {
    const columns = api.getColumns();
    if (fitted.get(api) === narrow.matches) return;
    fitted.set(api, narrow.matches);
    const [cards, others] = [columns.filter((c) => c.getColId() === "card"), columns.filter((c) => c.getColId() !== "card")];
    api.setColumnsVisible(cards, narrow.matches);
    api.setColumnsVisible(others, !narrow.matches);
    api.setGridOption("headerHeight", narrow.matches ? 0 : 38);
    api.setGridOption("rowHeight", narrow.matches ? 68 : 46);
    api.resetRowHeights();
  }

  // Rows may come before the table's own script has been loaded, so a table that is not ready is tried again.
  function fitById(id, tries = 200) {
    const api = window.dash_ag_grid && document.getElementById(id) && window.dash_ag_grid.getApi(id);
    if (api && api.getColumns()) fit(api);
    else if (tries > 0) setTimeout(fitById, 50, id, tries - 1);
  }

  narrow.addEventListener("change", () => TABLES.forEach((id) => fitById(id, 0)));
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  flowtell.fit = function (_rows, id) {
    fitById(id);
  };
})();
