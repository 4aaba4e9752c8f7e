// How fast counters grow, over the last seconds: what rose long ago is no news.

const SPAN_S = 6;

export class Trend {
  #now = 0;
  #seen = new Map();

  /// Begins a look at a new document. Judged by the recorder's own monotonic time: a wall clock that is set tells nothing.
  look(uptimeNanos) {
    const now = Number(uptimeNanos) / 1e9;
    if (now < this.#now) this.#seen.clear();
    this.#now = now;
  }

  /// Forgets everything: another run counts from zero.
  clear() {
    this.#seen.clear();
    this.#now = 0;
  }

  /// Growth a second of the counter `name`, which is `value` now; null at the first look.
  growth(name, value) {
    const points = this.#seen.get(name) ?? [];
    this.#seen.set(name, points);
    if (points.at(-1)?.[0] !== this.#now) points.push([this.#now, Number(value)]);
    while (points.length > 2 && this.#now - points[1][0] >= SPAN_S) points.shift();
    const [[from, before], [to, after]] = [points[0], points.at(-1)];
    return to > from ? (after - before) / (to - from) : null;
  }
}
