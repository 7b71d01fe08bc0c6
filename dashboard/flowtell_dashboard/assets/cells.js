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

  const seconds = (value) => (value === null || value === undefined ? "" : make("span", { className: "duration", "data-seconds": value }));
  cells.FlowLink = ({ data }) => link(data, make("b", { key: "flow" }, data.flow), make("span", { key: "environment" }, data.environment));
  cells.Recent = ({ data }) =>
    make("span", { className: "recent" }, ...data.recent.map(([run, state]) =>
      make("a", { key: run, href: `/runs/${run}`, "data-page": "", "data-state": state, title: state.replace("_", " "), "aria-label": state })));
  cells.Share = ({ data }) => (data.success === null ? "" : `${(Math.floor(data.success * 1000) / 10).toFixed(data.success === 1 ? 0 : 1)} %`);
  cells.Median = ({ data }) => seconds(data.median);
  cells.Slow = ({ data }) => seconds(data.slow);
  cells.Last = ({ data }) => (data.last ? moment(data.last, "ago") : "");
  cells.NextDue = ({ data }) => (data.due ? moment(data.due, "ago") : "");
  cells.Part = ({ data }) =>
    make("span", { className: "part" }, make("i", { key: "bar", style: { width: `${data.part * 100}%` } }), make("span", { key: "words" }, `${Math.round(data.part * 100)} %`));

  const severity = (row) => make("span", { className: "severity", "data-severity": row.severity }, row.severity);
  const incidentState = (row) => (row.explained ? "explained by another" : row.by ? `acknowledged by ${row.by}` : row.state);
  cells.Severity = ({ data }) => severity(data);
  cells.IncidentLink = ({ data }) => link(data, make("b", { key: "what" }, data.subject), make("span", { key: "rule" }, `${data.kind} ${data.environment}`));
  cells.IncidentState = ({ data }) => incidentState(data);
  cells.Since = ({ data }) => moment(data.since, "ago");
  cells.Acknowledge = ({ data }) =>
    data.by || data.state === "resolved" ? "" : make("button", { className: "plain small", "data-do": "acknowledge", "data-needs": "operate", "data-id": data.id }, "Acknowledge");
  cells.Holds = ({ data }) =>
    make("span", { className: "holds", "data-holds": String(data.holds) }, { true: "holds", false: "broken", null: "unknown" }[String(data.holds)]);
  cells.Subject = ({ data }) => make("span", null, make("b", { key: "name" }, data.subject), make("span", { key: "more", className: "quiet" }, ` ${data.environment}`));

  cells.AssetLink = ({ data }) =>
    make("a", { href: data.href, "data-page": "", className: "asset-link" },
      make("b", { key: "name" }, data.name || data.asset), data.name ? make("span", { key: "key" }, data.asset) : null);
  cells.Made = ({ data }) => (data.made ? moment(data.made, "ago") : "");
  cells.Amount = ({ data }) => (data.rows === null ? "" : data.rows.toLocaleString("en"));
  cells.Times = ({ data }) => (data.times ? data.times.toLocaleString("en") : "");
  cells.MadeBy = ({ data }) =>
    data.run ? make("a", { href: `/runs/${data.run}`, "data-page": "" }, data.flow || "its run") : data.flow;

  // One row on a narrow screen, of a run or of a task run.
  cells.Card = ({ data }) => {
    if (data.severity) {
      return make("div", { className: "card" }, make("div", { className: "card-line" }, cells.IncidentLink({ data }), severity(data)),
        make("div", { className: "card-line quiet" }, data.reason, moment(data.since, "ago")));
    }
    if (data.verdict) {
      return make("div", { className: "card" }, make("div", { className: "card-line" }, cells.Subject({ data }), cells.Holds({ data })),
        make("div", { className: "card-line quiet" }, data.rule));
    }
    if (data.asset) {
      return make("div", { className: "card" }, make("div", { className: "card-line" }, cells.AssetLink({ data }), state(data)),
        make("div", { className: "card-line quiet" }, data.flow || "only read here", cells.Made({ data })));
    }
    if (data.recent) {
      return make("div", { className: "card" }, make("div", { className: "card-line" }, cells.FlowLink({ data }), cells.Share({ data })),
        make("div", { className: "card-line quiet" }, cells.Recent({ data }), seconds(data.median)));
    }
    if (data.part !== undefined) {
      return make("div", { className: "card" }, make("div", { className: "card-line" }, make("b", null, data.task), seconds(data.median)),
        make("div", { className: "card-line quiet" }, cells.Part({ data }), `${data.runs} runs`));
    }
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
