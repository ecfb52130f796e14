// Pictures are drawn on canvases from a single answer each, so that the browser keeps no copy to show again unasked.

import { ask } from "./server.js";

export async function draw(path, canvas, signal) {
  const answer = await ask(path, { signal });
  const bitmap = await createImageBitmap(await answer.blob());
  if (!signal.aborted) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }
  bitmap.close();
}

export function wipe(canvas) {
  canvas.width = canvas.height = 0;
}

/** Pixels of the longest side on the screen. */
export function side(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  return Math.round(Math.max(width, height) * window.devicePixelRatio);
}

const AT_ONCE = 4; // browsers open six connections to a server: two stay free for grades and looks

/** Draws tiles in order; `failed` is told those that cannot be drawn, and why. Returns what stops it. */
export function drawTiles(tiles, failed) {
  const stop = new AbortController();
  const waiting = [...tiles];
  const next = async () => {
    while (waiting.length && !stop.signal.aborted) {
      const { sha256, canvas } = waiting.shift();
      try {
        await draw(`/api/tile/${sha256}`, canvas, stop.signal);
        canvas.dataset.drawn = "";
      } catch (error) {
        if (!stop.signal.aborted) failed(canvas, error.message);
      }
    }
  };
  for (let number = 0; number < AT_ONCE; number += 1) next();
  return () => stop.abort();
}

/** A picture shown clearly for as long as a key is held; tells the server how long that was. */
export class Look {
  #outbox;
  #panel = document.getElementById("look");
  #canvas = document.getElementById("clear");
  #words = document.getElementById("look-words");
  #now = null;
  #times = 0;
  #seen = new Map();

  constructor(outbox) {
    this.#outbox = outbox;
  }

  async open(row) {
    this.close();
    const now = { row, stop: new AbortController(), since: null, side: 0 };
    this.#now = now;
    const { what, state, where } = row.words;
    const clip = row.kind === "moving" && "its first frame, and no other";
    this.#words.textContent = [what, clip, state, where].filter(Boolean).join(" · ");
    this.#canvas.setAttribute("aria-label", row.words.what);
    this.#panel.dataset.state = "reading";
    this.#panel.hidden = false;
    this.#times += 1;
    try {
      await draw(`/api/look/${row.sha256}?time=${this.#times}`, this.#canvas, now.stop.signal);
    } catch (error) {
      if (this.#now === now) {
        this.#panel.dataset.state = "failed";
        this.#words.textContent = `It cannot be shown: ${error.message}`;
      }
      return;
    }
    if (this.#now !== now) return;
    this.#panel.dataset.state = "shown";
    now.since = performance.now();
    now.side = side(this.#canvas);
  }

  close() {
    const now = this.#now;
    if (!now) return;
    this.#now = null;
    now.stop.abort();
    this.#panel.hidden = true;
    wipe(this.#canvas);
    if (now.since === null) return;
    const milliseconds = Math.round(performance.now() - now.since);
    const before = this.seen(now.row) ?? { side: 0, clear: true, milliseconds: 0 };
    this.#seen.set(now.row.sha256, {
      side: Math.max(before.side, now.side),
      clear: true,
      milliseconds: before.milliseconds + milliseconds,
    });
    this.#outbox.post("/api/shown", { sha256: now.row.sha256, side: now.side, milliseconds }).catch(() => {});
  }

  /** How a content was seen clearly since the page was loaded, or undefined. */
  seen(row) {
    return this.#seen.get(row.sha256);
  }
}
