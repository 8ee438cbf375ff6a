import { CacheUsageError } from '../../core/errors/cache.error.js';
import { fail, isHeaderName, isText, listOf, recordOf, type Check } from '../../option-checks.js';

/** Where an HTTP purge goes. */
export interface HttpPurgeTarget {
  /** Without user and password: these go into `headers`. Several where each node keeps its own: all of them are told, and one that cannot be told makes the purge fail. */
  readonly url: string | readonly string[];
  /** Sent along, e.g. `{ authorization: 'Bearer …' }`. Never logged. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For logs and counters; one of a kind. Default: the host of the first URL. */
  readonly name?: string;
}

const isUrl: Check = (value, field) => {
  if (typeof value !== 'string' || !/^https?:$/.test(URL.canParse(value) ? new URL(value).protocol : ''))
    fail(field, 'a URL that begins with http:// or https://', value);
  const { username, password } = new URL(value);
  if (username !== '' || password !== '') fail(field, 'a URL without user and password: send them in `headers`', value);
};

/** What `fetch()` would refuse each time, and repeat in its message. */
const areHeaders: Check = (value, field) => {
  recordOf(isText)(value, field);
  for (const [name, text] of Object.entries(value as Record<string, string>)) {
    isHeaderName(name, `${field}.${name}`);
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(text.trim()))
      fail(`${field}.${name}`, 'a header of visible characters', text);
  }
};

export const targetChecks = {
  url: (value: unknown, field: string): void =>
    Array.isArray(value) ? listOf(isUrl)(value, field) : isUrl(value, field),
  headers: areHeaders,
  name: isText,
} satisfies Record<keyof HttpPurgeTarget, Check>;

/** The place of purges by HTTP requests; what they say is their callers'. */
export class HttpPurge {
  readonly name: string;
  private readonly urls: readonly URL[];
  private readonly headers: Readonly<Record<string, string>>;

  constructor({ url, headers = {}, name }: HttpPurgeTarget) {
    this.urls = [url].flat().map((one) => new URL(one));
    if (this.urls.length === 0) throw new CacheUsageError('invalid_option', 'url must be a URL or several; got none');
    this.headers = headers;
    this.name = name ?? (this.urls[0] as URL).host;
  }

  /** One request to each; a redirect is no answer. @throws Error with the status: an answer's body may hold anything */
  async send(
    request: { method: string; headers: Record<string, string>; body?: string },
    signal: AbortSignal,
  ): Promise<void> {
    const headers = { ...this.headers, ...request.headers };
    const answers = await Promise.allSettled(
      this.urls.map((url) => fetch(url, { ...request, headers, signal, redirect: 'manual' }).then(accepted)),
    );
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed) throw new Error(reasonOf(failed.reason));
  }
}

async function accepted(response: Response): Promise<void> {
  await response.body?.cancel();
  if (!response.ok) throw new Error(`answered ${response.status}`);
}

/** What fetch tells first is only that it failed. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' ? `${message} (${cause.code})` : message;
}
