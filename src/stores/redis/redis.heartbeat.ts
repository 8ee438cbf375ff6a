import { performance } from 'node:perf_hooks';

const EVERY_MS = 500;
const LIMIT_MS = 1000;

/** Finds out that who is asked is dead: one question each half second, one second to answer it. */
export class RedisHeartbeat {
  #timer: NodeJS.Timeout | undefined;
  #asked: number | undefined;

  constructor(
    /** Rejects when there was no answer; a refusal is one. */
    private readonly question: () => Promise<unknown>,
    private readonly onMissed: () => void,
  ) {}

  start(): void {
    this.stop();
    this.#timer = setInterval(() => this.#beat(), EVERY_MS).unref();
    this.#ask();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#asked = undefined;
  }

  #beat(): void {
    const asked = this.#asked;
    if (asked === undefined) return this.#ask();
    if (performance.now() - asked < LIMIT_MS) return;
    // After a blocked event loop the answer may just not have been read yet: let it in first.
    setImmediate(() => {
      if (this.#timer && this.#asked === asked) this.onMissed();
    });
  }

  #ask(): void {
    const asked = performance.now();
    this.#asked = asked;
    const answered = (): void => {
      if (this.#asked === asked) this.#asked = undefined;
    };
    // A closed connection stops the heartbeat anyway.
    this.question().then(answered, () => {});
  }
}
