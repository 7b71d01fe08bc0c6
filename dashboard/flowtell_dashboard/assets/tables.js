// On a narrow screen a table shows one column of cards instead of many that nobody can read.
(function () {
  "use strict";
  const narrow = window.matchMedia("(max-width: 48rem)");
  const TABLES = ["runs", "task-runs"];

  const fitted = new WeakMap(); // whether a table was last fitted to a narrow screen

  function fit(api) {
    const columns = api.getColumns();
    if (!columns || fitted.get(api) === narrow.matches) return;
    fitted.set(api, narrow.matches);
    const [cards, others] = [columns.filter((c) => c.getColId() === "card"), columns.filter((c) => c.getColId() !== "card")];
    api.setColumnsVisible(cards, narrow.matches);
    api.setColumnsVisible(others, !narrow.matches);
    api.setGridOption("headerHeight", narrow.matches ? 0 : 38);
    api.setGridOption("rowHeight", narrow.matches ? 68 : 46);
    api.resetRowHeights();
  }

  function fitById(id) {
    if (!window.dash_ag_grid || !document.getElementById(id)) return;
    window.dash_ag_grid.getApiAsync(id).then(fit, () => {});
  }

  narrow.addEventListener("change", () => TABLES.forEach(fitById));
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  flowtell.fit = function (_rows, id) {
    fitById(id);
  };
})();
