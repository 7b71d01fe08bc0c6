// How the cells of the tables look. Text comes in as text: React escapes it, nothing here is parsed as markup.
(function () {
  "use strict";
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const make = (...parts) => window.React.createElement(...parts);

  const state = (row) => make("span", { className: "state", "data-state": row.state }, row.word);
  const moment = (time, show) => make("time", { className: "moment", "data-moment": time, "data-show": show, key: show });
  const link = (row, ...content) => make("a", { href: row.href, "data-page": "", className: "run-link" }, ...content);

  function duration(row) {
    if (row.duration !== null && row.duration !== undefined) {
      return make("span", { className: "duration", "data-seconds": row.duration, key: "took" });
    }
    if (row.started && !row.ended) return make("span", { className: "duration", "data-since": row.started, key: "takes" });
    return make("span", { className: "duration", key: "unknown" }, row.ended ? "unknown" : "");
  }

  function tasks(row) {
    if (!row.tasks) return "";
    return row.ended || row.tasksEnded === row.tasks ? String(row.tasks) : `${row.tasksEnded} / ${row.tasks}`;
  }

  const taskName = (row) => row.task + (row.index === null || row.index === undefined ? "" : ` [${row.index}]`);

  cells.State = ({ data }) => state(data);
  cells.RunLink = ({ data }) =>
    link(data, make("b", { key: "flow" }, data.flow || "no flow"), make("span", { key: "name" }, data.name));
  cells.Started = ({ data }) =>
    data.started ? make("span", { className: "started" }, moment(data.started, "ago"), moment(data.started, "short")) : "not yet";
  cells.StartedAt = ({ data }) => (data.started ? moment(data.started, "at") : "not yet");
  cells.Duration = ({ data }) => duration(data);
  cells.Tasks = ({ data }) => tasks(data);
  cells.TaskName = ({ data }) => make("span", { className: "task-name" }, taskName(data));

  // One row on a narrow screen, of a run or of a task run.
  cells.Card = ({ data }) => {
    const name = data.href
      ? link(data, make("b", { key: "flow" }, data.flow || "no flow"), make("span", { key: "name" }, data.name))
      : make("b", null, taskName(data));
    const when = data.started ? moment(data.started, data.href ? "ago" : "at") : "not started";
    return make(
      "div",
      { className: "card" },
      make("div", { className: "card-line" }, name, state(data)),
      make("div", { className: "card-line quiet" }, when, duration(data)),
      data.error ? make("div", { className: "card-error" }, data.error) : null
    );
  };
})();
