const LONGEST_MS = 600_000;

/**
 * Gives up what a database does not answer, so that it can be asked again on another connection: on a link that has died, libraries wait for ever.
 * Each that is still unanswered doubles the time, for it may hold a connection, or wait for a lock as the next would; the next answer ends that.
 */
export class Patience {
  private readonly unanswered = new Set<Promise<unknown>>();

  /** @param ms longer than anything takes that is answered */
  constructor(private readonly ms: number) {}

  /** @param late given what comes when it was given up */
  async wait<T>(ask: () => T | Promise<T>, late?: (answer: T) => unknown): Promise<T> {
    const limitMs = Math.min(LONGEST_MS, this.ms * 2 ** this.unanswered.size);
    const answer = Promise.resolve(ask());
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.unanswered.add(answer);
        const forget = (): unknown => this.unanswered.delete(answer);
        answer.then((given) => (forget(), late?.(given)), forget).catch(() => undefined);
        reject(new Error(`the database has not answered within ${limitMs} ms`));
      }, limitMs).unref();
    });
    try {
      const given = await Promise.race([answer, tooLate]);
      this.unanswered.clear();
      return given;
    } finally {
      clearTimeout(timer);
    }
  }
}
