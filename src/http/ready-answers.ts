import { answer, type Answer } from '../http-semantics/answer.js';
import type { CacheStatus } from '../http-semantics/fields/cache-status.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { ageAt, remainingAt } from '../http-semantics/stored-response.js';
import type { Page } from './page.js';

const CONDITIONS = ['if-match', 'if-unmodified-since', 'if-none-match', 'if-modified-since', 'range'] as const;

/** A page's answers of one moment: they differ by `Age` and what is left of the lifetime, both told in whole seconds. */
interface Moment {
  readonly age: number;
  readonly left: number;
  whole?: Answer;
  notModified?: Answer;
}

/**
 * The answers that nearly all hits are, made once for all requests of the same second: the whole page, and 304 to who has it. Nobody may
 * change them.
 */
export class ReadyAnswers {
  private readonly moments = new WeakMap<Page, Moment>();

  /** @param status always the same for one instance */
  constructor(private readonly status: CacheStatus) {}

  /** `undefined`: the request asks for something else. */
  of(page: Page, now: number, method: string, headers: Fields): Answer | undefined {
    const isConditional = headers['if-none-match'] !== undefined;
    if (isConditional ? !asksForThis(page, headers) : !asksForAll(headers)) return undefined;
    const moment = this.momentOf(page, now);
    if (isConditional) return (moment.notModified ??= this.make(page, now, method, headers));
    return (moment.whole ??= this.make(page, now, 'GET', headers));
  }

  private momentOf(page: Page, now: number): Moment {
    const age = Math.floor(ageAt(page.stored, now) / 1000);
    const left = Math.floor(remainingAt(page.stored, now) / 1000);
    const known = this.moments.get(page);
    if (known !== undefined && known.age === age && known.left === left) return known;
    const moment = { age, left };
    this.moments.set(page, moment);
    return moment;
  }

  private make(page: Page, now: number, method: string, headers: Fields): Answer {
    const { stored, body } = page;
    return answer(stored, page.headers, { method, headers }, { now, length: body.length, status: this.status });
  }
}

function asksForAll(headers: Fields): boolean {
  for (const name of CONDITIONS) if (headers[name] !== undefined) return false;
  return true;
}

/** The very validator that it was sent, and no other condition that comes before it (RFC 9110 13.2.2). */
function asksForThis({ stored }: Page, headers: Fields): boolean {
  return (
    stored.etag !== undefined &&
    headers['if-none-match'] === stored.etag &&
    headers['if-match'] === undefined &&
    headers['if-unmodified-since'] === undefined &&
    stored.status >= 200 &&
    stored.status <= 299
  );
}
