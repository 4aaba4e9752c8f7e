// The stream of status documents: read with `fetch`, because a token may have to go with it, which an EventSource cannot
// send other than in the address. Goes on by itself after whatever ended it.

import { parse } from "./numbers.js";

// The recorder sends one a second.
const SILENCE_MS_MAX = 5000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 4000;
// A page that nobody looks at does not keep one of the few connections a browser opens to one host.
const HIDDEN_MS_MAX = 30000;

export class Connection {
  #token = null;
  #retryMs = RETRY_MS_MIN;
  #calls;
  #abort = null;
  #alarm = null;

  /// `calls`: onDocument(document), onLost(reason), onHistory(history), askToken(wasRefused) which promises one.
  constructor(calls) {
    this.#calls = calls;
  }

  /// Never ends.
  async run() {
    for (;;) {
      await shown();
      try {
        await this.#stream();
      } catch (error) {
        this.#calls.onLost(error instanceof Refused ? error.message : "the recorder does not answer");
        await pause(this.#retryMs);
        this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
      }
    }
  }

  async #get(path) {
    for (let wasRefused = false; ; wasRefused = true) {
      const headers = this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` };
      this.#alarm.set();
      const response = await fetch(path, { headers, cache: "no-store", signal: this.#abort.signal });
      this.#alarm.clear();
      if (response.ok) return response;
      if (response.status !== 401) throw new Refused(`the recorder answers ${response.status}`);
      this.#token = await this.#calls.askToken(wasRefused || this.#token !== null);
    }
  }

  async #stream() {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const alarm = (this.#alarm = new Alarm(SILENCE_MS_MAX, this.#abort));
    const onHidden = new Alarm(HIDDEN_MS_MAX, this.#abort);
    const look = () => (document.hidden ? onHidden.set() : onHidden.clear());
    document.addEventListener("visibilitychange", look);
    try {
      // Before the stream, so that a chart never shows what is older after what is newer.
      this.#calls.onHistory(parse(await (await this.#get("/history")).text()));
      const reader = (await this.#get("/events")).body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      look();
      for (;;) {
        alarm.set();
        const { done, value } = await reader.read();
        if (done) throw new Refused("the recorder ended the connection");
        text += value;
        const end = text.lastIndexOf("\n\n");
        if (end < 0) continue;
        // Whoever was slow needs the newest only.
        const event = text.slice(text.lastIndexOf("\n\n", end - 1) + 1, end).trim();
        text = text.slice(end + 2);
        if (!event.startsWith("data:")) continue;
        this.#calls.onDocument(parse(event.slice("data:".length)));
        this.#retryMs = RETRY_MS_MIN;
      }
    } catch (error) {
      // Hidden: the next round begins when the page is looked at again.
      if (!(signal.aborted && document.hidden)) throw error;
    } finally {
      alarm.clear();
      onHidden.clear();
      document.removeEventListener("visibilitychange", look);
      this.#abort.abort();
    }
  }
}

class Refused extends Error {}

class Alarm {
  #timer = null;
  #ms;
  #abort;

  constructor(ms, abort) {
    this.#ms = ms;
    this.#abort = abort;
  }

  set() {
    this.clear();
    this.#timer = setTimeout(() => this.#abort.abort(), this.#ms);
  }

  clear() {
    clearTimeout(this.#timer);
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function shown() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}
