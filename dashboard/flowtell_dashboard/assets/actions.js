// Cancel a run, and answer what a paused one asks: requests of the server's own API, by whoever may.
// A form is made from its question's JSON Schema; whether an answer fits is the server's to say.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const NAME = "flowtell-actor";

  // Who may act is asked once a page; until it is known, nothing is offered (see actions.css).
  fetch("/_may")
    .then((answer) => (answer.ok ? answer.json() : {}))
    .then(({ operate }) => (document.documentElement.dataset.may = operate ? "operate" : "read"))
    .catch(() => {});

  function make(tag, props, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(props || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "text") element.textContent = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // --- what a schema asks for ------------------------------------------------------------------------------------

  const DEEPEST = 32;
  function resolved(schema, root) {
    let found = schema && typeof schema === "object" ? schema : {};
    for (let step = 0; step < DEEPEST && typeof found.$ref === "string"; step++) {
      const { $ref, ...own } = found;
      found = { ...((root.$defs || {})[$ref.replace("#/$defs/", "")] || {}), ...own };
    }
    if (Array.isArray(found.allOf) && found.allOf.length === 1) found = { ...resolved(found.allOf[0], root), ...found };
    return found;
  }
  function plain(schema, root) {
    const found = resolved(schema, root);
    const ways = (found.anyOf || found.oneOf || []).map((each) => resolved(each, root));
    const others = ways.filter((each) => each.type !== "null");
    const nullable = others.length < ways.length;
    if (others.length === 1) return { ...others[0], ...found, nullable };
    const constant = others.length && others.every((each) => "const" in each);
    return constant ? { ...found, enum: others.map((each) => each.const), nullable } : { ...found, nullable };
  }
  const choicesOf = (schema) => schema.enum || ("const" in schema ? [schema.const] : null);

  // Each kind makes its control and says what it holds: undefined for nothing.
  function choice(schema, id) {
    const choices = choicesOf(schema);
    const none = schema.nullable || schema.default === undefined;
    const control = make("select", { id }, none ? make("option", { value: "", text: "choose …" }) : null);
    choices.forEach((value, place) =>
      control.append(make("option", { value: String(place), text: String(value), selected: value === schema.default })));
    return [control, () => (control.value === "" ? undefined : choices[Number(control.value)])];
  }
  function tick(schema, id) {
    const control = make("input", { id, type: "checkbox", checked: schema.default === true });
    return [control, () => control.checked];
  }
  function amount(schema, id) {
    const whole = schema.type === "integer";
    const control = make("input", { id, type: "number", step: whole ? "1" : "any", value: schema.default, min: schema.minimum, max: schema.maximum });
    return [control, () => {
      if (control.validity.badInput) throw new Error("this is no number");
      return control.value === "" ? undefined : Number(control.value);
    }];
  }
  const FORMATS = { date: "date", time: "time", "date-time": "datetime-local", email: "email", uri: "url", password: "password" };
  function words(schema, id) {
    const long = !schema.format && (schema.maxLength === undefined || schema.maxLength > 120);
    const type = FORMATS[schema.format] || "text";
    const cut = type === "datetime-local" && typeof schema.default === "string" ? schema.default.slice(0, 16) : schema.default;
    const step = type === "time" || type === "datetime-local" ? "1" : undefined;
    const control = long
      ? make("textarea", { id, rows: 1, text: schema.default })
      : make("input", { id, type, step, value: cut, autocomplete: "off" });
    return [control, () => (control.value === "" && (schema.format || schema.nullable) ? undefined : control.value)];
  }
  function json(schema, id, root) {
    const begin = schema.default !== undefined ? schema.default : skeleton(schema, root, 0);
    const control = make("textarea", { id, rows: 4, spellcheck: "false", class: "json", text: begin === undefined ? "" : JSON.stringify(begin, null, 2) });
    return [control, () => {
      if (!control.value.trim()) return undefined;
      try {
        return JSON.parse(control.value);
      } catch (error) {
        throw new Error(`this is no JSON: ${error.message}`);
      }
    }];
  }
  function skeleton(schema, root, depth) {
    const found = plain(schema, root);
    if (found.default !== undefined) return found.default;
    if (found.type === "array") return [];
    if (found.type === "string" && depth) return "";
    if (found.type !== "object" || !found.properties || depth > 4) return depth ? null : undefined;
    return Object.fromEntries(Object.entries(found.properties).map(([name, each]) => [name, skeleton(each, root, depth + 1)]));
  }
  function controlOf(schema, id, root) {
    if (choicesOf(schema)) return choice(schema, id);
    if (schema.type === "boolean") return schema.nullable ? choice({ ...schema, enum: [true, false] }, id) : tick(schema, id);
    if (schema.type === "integer" || schema.type === "number") return amount(schema, id);
    return schema.type === "string" ? words(schema, id) : json(schema, id, root);
  }

  let made = 0;
  function field(name, label, given, root, required) {
    const schema = plain(given, root);
    const id = `answer-${++made}`;
    const [control, read] = controlOf(schema, id, root);
    const wrong = make("p", { id: `${id}-wrong`, class: "field-wrong", role: "alert", hidden: true });
    control.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
    if (required && control.type !== "checkbox") control.setAttribute("aria-required", "true");
    const asJson = control.classList.contains("json") ? "as JSON" : "";
    const hint = [schema.description, asJson, required || control.type === "checkbox" ? "" : "may be left out"].filter(Boolean).join(" · ");
    const element = make("div", { class: "field", "data-field": name, "data-kind": control.type || "select" },
      make("label", { for: id, text: label }), control, make("p", { id: `${id}-hint`, class: "hint", text: hint }), wrong);
    const say = (text) => {
      wrong.textContent = text;
      wrong.hidden = !text;
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    };
    const value = () => {
      const held = read();
      return held === undefined && required && schema.nullable ? null : held;
    };
    return { name, element, control, value, say };
  }

  // A title of its own, not that of the model it refers to.
  const labelOf = (name, given) => given.title || (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("_", " ");
  function fieldsOf(schema) {
    const root = schema || {};
    const whole = plain(root, root);
    if (whole.type === "object" && whole.properties) {
      const needed = new Set(whole.required || []);
      return { whole, fields: Object.entries(whole.properties).map(([name, each]) => field(name, labelOf(name, each), each, root, needed.has(name))), parts: true };
    }
    const asks = whole.type !== undefined && whole.type !== "null" ? true : choicesOf(whole) || whole.anyOf;
    return { whole, fields: asks ? [field("", "Answer", root, root, true)] : [], parts: false };
  }

  // --- asking the server -----------------------------------------------------------------------------------------

  function saying(form) {
    const line = form.querySelector(".outcome");
    return (words, wrong) => {
      line.textContent = words;
      line.className = `outcome ${words ? (wrong ? "trouble" : "said") : ""}`;
    };
  }
  async function post(path, body) {
    const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, options).catch(() => null);
    if (!answer) return { error: "The server does not answer. Nothing was changed." };
    const told = await answer.json().catch(() => ({}));
    if (answer.ok) return told;
    if (answer.status === 401) return { error: "You are signed out. Load the page again to sign in; copy what you have typed first." };
    if (answer.status === 403) return { error: "That takes a token of scope operate: sign in with one." };
    return { error: told.error || `The server answered ${answer.status}. Nothing was changed.`, problems: told.problems };
  }
  function nameField() {
    const id = `answer-${++made}`;
    const control = make("input", { id, type: "text", autocomplete: "name", value: localStorage.getItem(NAME) || "" });
    const hint = make("p", { class: "hint", text: "as others will read it" });
    const value = () => {
      const name = control.value.trim();
      if (name) localStorage.setItem(NAME, name);
      return name;
    };
    return { element: make("div", { class: "field" }, make("label", { for: id, text: "Your name" }), control, hint), value };
  }
  function whileSending(form, send) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button.main");
      if (button.disabled) return;
      button.disabled = true;
      await send().finally(() => (button.disabled = false));
    });
  }

  // --- an answer -------------------------------------------------------------------------------------------------

  function questionForm(run, asked) {
    const { whole, fields, parts } = fieldsOf(asked.schema);
    const who = nameField();
    const until = asked.until ? make("span", {}, "It waits until ", make("time", { class: "moment", "data-moment": asked.until, "data-show": "at" }), ".") : null;
    const form = make("form", { novalidate: true, class: "answer" },
      make("div", { class: "answer-fields" }, ...fields.map((each) => each.element), who.element),
      make("div", { class: "buttons" }, make("button", { class: "plain main", type: "submit", text: fields.length ? "Answer" : "Let it go on" }), make("p", { class: "outcome", role: "status" })));
    const say = saying(form);
    whileSending(form, async () => {
      fields.forEach((each) => each.say(""));
      say("");
      const [answer, fits] = gather(fields, parts);
      if (!fits) return focusWrong(fields);
      const told = await post(`/api/runs/${run}/resume`, { key: asked.key, answer, actor: who.value() });
      if (told.error) return tell(told, fields, say);
      say(told.outcome === "resumed" ? "The run has its answer and goes on." : "The answer is kept; the run has not looked yet.");
    });
    const title = whole.title && parts ? `The run asks: ${whole.title}` : "The run waits for an answer";
    return make("section", { class: "sheet question", "data-key": asked.key },
      make("h2", { text: title }), whole.description ? make("p", { class: "asked", text: whole.description }) : null,
      make("p", { class: "quiet" }, until || "It waits until it is answered."), form);
  }
  function gather(fields, parts) {
    let fits = true;
    const held = fields.map((each) => {
      try {
        return [each.name, each.value()];
      } catch (error) {
        each.say(error.message);
        fits = false;
        return [each.name, undefined];
      }
    });
    if (!parts) return [held.length ? held[0][1] : null, fits];
    return [Object.fromEntries(held.filter(([, value]) => value !== undefined)), fits];
  }
  // A problem stands beside the field that it names, with where inside of it.
  function tell({ error, problems }, fields, say) {
    const left = [];
    for (const { field: place = "", problem } of problems || []) {
      const [name, ...inside] = place.split(".");
      const mine = fields.find((each) => each.name === name) || (fields.length === 1 && fields[0].name === "" ? fields[0] : null);
      const told = inside.length && mine && mine.name ? `${inside.join(".")}: ${problem}` : problem;
      if (mine) mine.say(told);
      else left.push(place ? `${place}: ${problem}` : problem);
    }
    const beside = (problems || []).length > left.length;
    say(left.length ? left.join("; ") : beside ? "It does not fit yet; the run waits on." : error, true);
    focusWrong(fields);
  }
  function focusWrong(fields) {
    const first = fields.find((each) => each.control.hasAttribute("aria-invalid"));
    if (first) first.control.focus();
  }

  // --- cancel ----------------------------------------------------------------------------------------------------

  function cancelForm(run) {
    const who = nameField();
    const why = make("input", { id: "cancel-reason", type: "text", autocomplete: "off" });
    const form = make("form", { novalidate: true },
      make("div", { class: "answer-fields" },
        make("div", { class: "field" }, make("label", { for: "cancel-reason", text: "Why" }), why, make("p", { class: "hint", text: "may be left out" })), who.element),
      make("div", { class: "buttons" },
        make("button", { class: "plain main", type: "submit", text: "Cancel the run" }), make("button", { class: "plain", type: "button", "data-act": "cancel-form", text: "Let it run" }),
        make("p", { class: "outcome", role: "status" })));
    const say = saying(form);
    whileSending(form, async () => {
      say("Asked; the run may clean up now.");
      const told = await post(`/api/runs/${run}/cancel`, { reason: why.value, actor: who.value() });
      if (told.error) return say(told.error, true);
      const words = { cancelled: "The run is cancelled.", killed: "The run was killed, as it did not end in time." };
      say(words[told.outcome] || "The run cleans up. It is killed if it has not ended in 30 seconds.");
    });
    return make("section", { id: "cancel-form", class: "sheet", hidden: true },
      make("h2", { text: "Cancel this run" }),
      make("p", { class: "quiet", text: "Its code sees what Ctrl-C raises, and has 30 seconds to clean up; then its process is killed." }), form);
  }
  function toggleCancel() {
    const form = document.getElementById("cancel-form");
    if (!form) return;
    form.hidden = !form.hidden;
    if (!form.hidden) form.querySelector("input").focus();
  }

  // A form stays as it is, with what was typed, for as long as its question does.
  let shown = "";
  flowtell.runActs = function (acts) {
    const place = document.getElementById("run-acts-place");
    if (!place) return;
    const wanted = JSON.stringify(acts);
    if (wanted === shown && place.childElementCount) return;
    if (!acts) return place.replaceChildren();
    shown = wanted;
    const kept = new Map([...place.querySelectorAll(".question")].filter((each) => each.dataset.run === acts.run).map((each) => [each.dataset.key + each.dataset.schema, each]));
    const open = document.getElementById("cancel-form");
    const cancel = open && open.dataset.run === acts.run ? open : cancelForm(acts.run);
    cancel.dataset.run = acts.run;
    const forms = acts.questions.map((asked) => {
      const schema = JSON.stringify(asked.schema);
      const form = kept.get(asked.key + schema) || questionForm(acts.run, asked);
      Object.assign(form.dataset, { run: acts.run, schema });
      return form;
    });
    place.replaceChildren(...(acts.cancel || !cancel.hidden ? [cancel] : []), ...forms);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("[data-act=cancel-form]");
    if (button) toggleCancel();
  });
  document.addEventListener("keydown", (event) => {
    const form = document.getElementById("cancel-form");
    if (event.key === "Escape" && form && !form.hidden && form.contains(event.target)) toggleCancel();
  });
})();
