// Acknowledge, silence, end a silence: requests of the server's own API, by whoever may.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const NAME = "flowtell-actor";
  const MATCHERS = ["flow", "environment", "rule", "severity", "owner", "tag"];
  const $ = (id) => document.getElementById(id);

  function say(words, wrong) {
    const place = $("alerts-said");
    if (!place) return;
    const line = document.createElement("p");
    line.className = wrong ? "trouble" : "said";
    line.textContent = words;
    place.replaceChildren(...(words ? [line] : []));
  }
  async function ask(method, path, body) {
    const options = { method, headers: { "content-type": "application/json" } };
    if (body) options.body = JSON.stringify(body);
    const answer = await fetch(path, options).catch(() => null);
    if (!answer) return void say("The server does not answer. Nothing was changed.", true);
    if (answer.ok) return answer.json();
    if (answer.status === 401 || answer.status === 403) return void say("That takes a token of scope operate: sign in with one.", true);
    const told = await answer.json().catch(() => ({}));
    say(told.error || `The server answered ${answer.status}. Nothing was changed.`, true);
  }
  function actor() {
    const known = localStorage.getItem(NAME);
    const name = known || window.prompt("Your name, as others will read it:");
    if (name && name.trim()) localStorage.setItem(NAME, name.trim());
    return (name || "").trim();
  }
  async function acknowledge(id) {
    const name = actor();
    if (name && (await ask("POST", `/api/incidents/${id}/ack`, { actor: name }))) say(`${name} looks after it.`);
  }
  async function unsilence(id) {
    const name = actor();
    if (name && (await ask("DELETE", `/api/silences/${id}?actor=${encodeURIComponent(name)}`))) say("The silence has ended.");
  }
  async function silence() {
    const value = (name) => ($(`silence-${name}`).value || "").trim();
    const matchers = Object.fromEntries(MATCHERS.map((name) => [name, value(name)]).filter(([, text]) => text));
    if (!Object.keys(matchers).length) return say("Say what it is about: a flow, an environment, a rule, a severity, an owner or a tag.", true);
    if (!value("reason") || !value("actor")) return say("Say why, and who you are: whoever wonders at the silence will read it.", true);
    localStorage.setItem(NAME, value("actor"));
    const made = await ask("POST", "/api/silences", { matchers, lasts: value("lasts"), reason: value("reason"), actor: value("actor") });
    if (!made) return;
    $("silence-form").hidden = true;
    say("Nobody is told of incidents that fit, until the silence ends.");
  }
  const DO = {
    acknowledge,
    unsilence,
    silence,
    "silence-form": () => {
      $("silence-form").hidden = !$("silence-form").hidden;
      if (!$("silence-form").hidden) $("silence-flow").focus();
    },
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("[data-do]");
    if (button) DO[button.dataset.do](button.dataset.id);
  });
  flowtell.acknowledge = acknowledge;
})();
