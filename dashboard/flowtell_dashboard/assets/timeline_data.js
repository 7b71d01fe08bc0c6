// Asks for the picture and takes its bytes apart (see timeline/wire.py). One request at a time; the newest wish goes next.
(function () {
  "use strict";
  const flowtell = ((window.dash_clientside = window.dash_clientside || {}).flowtell =
    window.dash_clientside.flowtell || {});
  const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

  function decode(buffer, begin = 0) {
    const length = new DataView(buffer).getUint32(begin, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, begin + 4, length)));
    let at = begin + 4 + length + ((4 - (length % 4)) % 4);
    for (const [name, type, count] of head.columns) {
      head[name] = new ARRAYS[type](buffer, at, count);
      at += head[name].byteLength + ((4 - (head[name].byteLength % 4)) % 4);
    }
    head.knots = head.knots.map(([moment, place]) => [moment / 1000, place]);
    head.from /= 1000;
    head.to /= 1000;
    head.now /= 1000;
    return head;
  }

  async function ask(parameters) {
    const answer = await fetch(`/_timeline/blocks?${new URLSearchParams(parameters)}`);
    if (answer.status === 401 || answer.redirected) throw new Error("You are signed out: load the page again to sign in.");
    if (!answer.ok) throw new Error((await answer.json()).error || `The server answered ${answer.status}.`);
    return Object.assign(decode(await answer.arrayBuffer()), { firstLane: Number(parameters.first || 0) });
  }

  // `wish()` tells what is wanted now; it is asked when the last answer is there, so a slow server is never piled on.
  class Feed {
    constructor(taken, failed) {
      Object.assign(this, { taken, failed, busy: false, next: null });
    }
    want(wish) {
      this.next = wish;
      if (!this.busy) this.run();
    }
    async run() {
      this.busy = true;
      while (this.next) {
        const wish = this.next;
        this.next = null;
        try {
          const parameters = wish();
          this.taken(await ask(parameters), parameters);
        } catch (error) {
          this.failed(error);
        }
      }
      this.busy = false;
    }
  }

  // The page's own line (see timeline/live.py): the server sends the picture anew whenever the log has moved. A line that
  // breaks is taken up again, and goes on after the `seq` of what is shown; until then the page asks as Dash tells it to.
  const RETRY_MS = 2000;
  class Line {
    constructor(taken) {
      Object.assign(this, { taken, number: 0, socket: null, parameters: null, after: -1, triedAt: 0 });
    }
    get open() {
      return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
    }
    follow(parameters, after) {
      Object.assign(this, { parameters, after, number: this.number + 1 });
      if (this.open) this.say();
      else this.connect();
    }
    say() {
      this.socket.send(JSON.stringify({ number: this.number, after: this.after, asked: this.parameters }));
    }
    connect() {
      if (this.socket || Date.now() - this.triedAt < RETRY_MS) return;
      this.triedAt = Date.now();
      const socket = (this.socket = new WebSocket(`${window.location.protocol === "https:" ? "wss" : "ws"}://${window.location.host}/_timeline/live`));
      socket.binaryType = "arraybuffer";
      socket.onopen = () => this.socket === socket && this.say();
      socket.onmessage = ({ data }) => {
        if (this.socket !== socket || new DataView(data).getUint32(0, true) !== this.number) return; // of an older question
        this.taken(Object.assign(decode(data, 4), { firstLane: Number(this.parameters.first || 0) }), this.parameters);
      };
      socket.onclose = () => this.socket === socket && (this.socket = null);
    }
    close() {
      if (this.socket) this.socket.close();
      this.socket = null;
    }
  }

  const labels = new Map();
  async function label(run) {
    if (!labels.has(run)) {
      if (labels.size > 500) labels.clear();
      labels.set(run, fetch(`/_timeline/run?id=${run}`).then((answer) => (answer.ok ? answer.json() : null)).then((found) => (found && found.id ? found : null)).catch(() => null));
      setTimeout(() => labels.delete(run), 5000); // a run that goes on, or is not here yet, is asked for again
    }
    return labels.get(run);
  }

  flowtell.timelineData = { Feed, Line, ask, label };
})();
