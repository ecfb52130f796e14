// Talks to the server. Fetch keeps its default mode: with any other, the Referrer-Policy would make Origin null.

/** The server answered, and the answer is no; `message` is its sentence. */
export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  const sentence = await answer.json().then((said) => said.error, () => answer.statusText);
  throw new Refused(sentence, answer.status);
}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return (await ask(query ? `${path}?${query}` : path)).json();
}

const AGAIN_MILLISECONDS = 2000;

/**
 * What is to be kept goes out one at a time, in the order in which it was said. Without an answer it is sent again
 * until there is one, and the officer sees that it waits; a refusal is not repeated.
 */
export class Outbox {
  #last = Promise.resolve();
  #changed;
  waiting = 0;
  trouble = "";

  constructor(changed) {
    this.#changed = changed;
  }

  /** Resolves with the answer; rejects with `Refused`. */
  post(path, said) {
    this.waiting += 1;
    this.#changed();
    const mine = this.#last.then(() => this.#deliver(path, JSON.stringify(said)));
    this.#last = mine.then(() => this.#done(), () => this.#done());
    return mine;
  }

  async #deliver(path, body) {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true };
    for (;;) {
      try {
        return await (await ask(path, options)).json();
      } catch (error) {
        if (error instanceof Refused && error.status !== 503) throw error;
        this.trouble = error instanceof Refused ? error.message : "the page's server does not answer.";
        this.#changed();
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MILLISECONDS));
    }
  }

  #done() {
    this.waiting -= 1;
    this.trouble = "";
    this.#changed();
  }
}
