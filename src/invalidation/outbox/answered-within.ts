import type { SqlQuery } from '../../sql/sql-result.js';

const LONGEST_MS = 600_000;

/**
 * Gives up a statement that is not answered, so that the next can be sent on another connection: on a link that has died, libraries wait for ever.
 * Each that is still unanswered doubles the time, for it may hold a connection, or wait for a lock as the next would. Its late answer is dropped.
 * @param ms longer than any statement takes that is answered
 */
export function answeredWithin(ms: number, query: SqlQuery): (...asked: Parameters<SqlQuery>) => Promise<unknown> {
  let unanswered = 0;
  return async (text, values) => {
    const limitMs = Math.min(LONGEST_MS, ms * 2 ** unanswered);
    const answer = Promise.resolve(query(text, values));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        unanswered++;
        const answered = (): unknown => unanswered--;
        answer.then(answered, answered);
        reject(new Error(`the database has not answered within ${limitMs} ms`));
      }, limitMs).unref();
      answer.finally(() => clearTimeout(timer)).then(resolve, reject);
    });
  };
}
