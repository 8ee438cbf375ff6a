import {
  answer,
  bypass,
  forwardedFields,
  invalidates,
  isOriginError,
  isShareable,
  judge,
  judgeMiss,
  markStale,
  merge304,
  mergeHead,
  select,
  storable,
  type CachePolicy,
  type CacheStatus,
  type Fields,
  type RequestHead,
  type StoredResponse,
} from '../../src/http-semantics/index.js';

export interface Reply {
  readonly status: number;
  readonly headers: Fields;
  readonly body: string;
}

export type Origin = (request: RequestHead & { readonly url: string }) => Reply | Promise<Reply>;

interface Entry {
  readonly stored: StoredResponse;
  readonly headers: Fields;
  readonly body: string;
}

/** What a fill came to: an entry that others may have as well, or a reply for its caller alone. */
type Filled = { readonly entry: Entry; readonly fwdStatus: number } | { readonly reply: Reply };

/**
 * The smallest driver of the engine: one process, a Map, a clock that the test sets. It holds nothing but the order of calls, so what it gets
 * right or wrong is the engine's.
 */
export class ModelCache {
  now = Date.UTC(2026, 10, 21, 8);
  private readonly entries = new Map<string, Entry[]>();
  private readonly flights = new Map<string, Promise<Filled>>();
  private readonly generations = new Map<string, number>();
  readonly refreshes: Promise<unknown>[] = [];

  constructor(
    private readonly policy: CachePolicy,
    private readonly origin: Origin,
  ) {}

  get(url: string, headers: Fields = {}): Promise<Reply> {
    return this.send('GET', url, headers);
  }

  async send(method: string, url: string, headers: Fields = {}, principal?: string): Promise<Reply> {
    const request = { method, headers };
    if (bypass(request, this.policy, principal)) return this.passBy(request, url);
    const key = principal === undefined ? url : JSON.stringify([principal, url]);
    const entry = select(this.entries.get(key) ?? [], headers, this.policy);
    if (!entry) {
      if (judgeMiss(headers, this.policy) === 'gateway-timeout') return { status: 504, headers: {}, body: '' };
      if (method === 'HEAD') return this.passBy(request, url);
      return this.fillOrJoin(key, url, request);
    }
    const judged = judge(entry.stored, headers, this.now, this.policy);
    if (judged.verdict === 'gateway-timeout') return { status: 504, headers: {}, body: '' };
    if (judged.verdict === 'revalidate') {
      if (method === 'HEAD') return this.passBy(request, url, entry);
      return this.fillOrJoin(key, url, request, entry, judged.isUsableOnError);
    }
    if (judged.isRefreshDue && !this.flights.has(key))
      this.refreshes.push(this.fly(key, url, { ...request, method: 'GET' }, entry).catch(() => undefined));
    return this.reply(entry, request, { cache: 'model', hit: true });
  }

  /** Soft (stale from now on) or hard removal of a URL. */
  invalidate(url: string, kind: 'soft' | 'hard'): void {
    this.generations.set(url, (this.generations.get(url) ?? 0) + 1);
    const entries = this.entries.get(url) ?? [];
    if (kind === 'hard') this.entries.delete(url);
    else
      this.entries.set(
        url,
        entries.map((entry) => ({ ...entry, stored: markStale(entry.stored, this.now) })),
      );
  }

  private async passBy(request: RequestHead, url: string, entry?: Entry): Promise<Reply> {
    const requestedAt = this.now;
    const reply = await this.origin({ ...request, url });
    const { uris, groups } = invalidates(request, reply, url);
    for (const uri of uris) this.invalidate(uri, 'hard');
    for (const [at, entries] of this.entries)
      if (entries.some(({ stored }) => stored.groups?.some((group) => groups.includes(group))))
        this.invalidate(at, 'hard');
    if (request.method !== 'HEAD' || !entry) return reply;
    const exchange = { request, response: reply, requestedAt, receivedAt: this.now };
    const effect = mergeHead(entry.stored, entry.headers, exchange, this.policy);
    if (effect) this.replace(url, entry, effect.stored && { ...entry, stored: effect.stored, headers: effect.headers });
    return reply;
  }

  private async fillOrJoin(
    key: string,
    url: string,
    request: RequestHead,
    entry?: Entry,
    isCovered = false,
  ): Promise<Reply> {
    const joined = this.flights.get(key);
    const flight = joined ?? this.fly(key, url, request, entry);
    try {
      const filled = await flight;
      if (!('entry' in filled)) {
        // Not storable, so not to be shared: whoever waited goes forward alone.
        const own = joined ? await this.fill(key, url, request, entry) : filled;
        return 'entry' in own
          ? this.reply(own.entry, request, { cache: 'model', fwd: 'miss', collapsed: false })
          : this.own(own.reply, isCovered, entry, request);
      }
      if (joined && !isShareable(filled.entry.stored, request.headers, this.now, this.policy))
        return await this.send(request.method, url, request.headers);
      const status: CacheStatus = {
        cache: 'model',
        fwd: entry ? 'stale' : 'uri-miss',
        fwdStatus: filled.fwdStatus,
        stored: true,
      };
      return this.reply(filled.entry, request, status);
    } catch (error) {
      if (entry && isCovered) return this.reply(entry, request, { cache: 'model', hit: true });
      throw error;
    }
  }

  private own(reply: Reply, isCovered: boolean, entry: Entry | undefined, request: RequestHead): Reply {
    if (entry && isCovered && isOriginError(reply.status))
      return this.reply(entry, request, { cache: 'model', hit: true });
    return reply;
  }

  private fly(key: string, url: string, request: RequestHead, entry?: Entry): Promise<Filled> {
    const flight = this.fill(key, url, request, entry).finally(() => this.flights.delete(key));
    this.flights.set(key, flight);
    return flight;
  }

  private async fill(key: string, url: string, request: RequestHead, entry?: Entry): Promise<Filled> {
    const generation = this.generations.get(key);
    const requestedAt = this.now;
    const headers = forwardedFields(request.headers, entry?.stored);
    const reply = await this.origin({ method: 'GET', headers, url });
    const exchange = { request, response: reply, requestedAt, receivedAt: this.now };
    if (reply.status === 304 && entry) {
      const merged = merge304(entry.stored, entry.headers, exchange, this.policy);
      if (!merged) return this.fill(key, url, request);
      if (!merged.stored) {
        if (merged.isWithdrawn) this.replace(key, entry, undefined);
        return { reply: { status: entry.stored.status, headers: merged.headers, body: entry.body } };
      }
      const updated = { stored: merged.stored, headers: merged.headers, body: entry.body };
      if (this.generations.get(key) === generation) this.replace(key, entry, updated);
      return { entry: updated, fwdStatus: 304 };
    }
    const body = { bytes: reply.body.length, isComplete: true };
    const made = storable({ ...exchange, body }, this.policy);
    if (!made.isStorable) return { reply };
    const filled = { stored: made.stored, headers: made.headers, body: reply.body };
    if (this.generations.get(key) === generation) this.replace(key, entry, filled);
    return { entry: filled, fwdStatus: reply.status };
  }

  private replace(key: string, old: Entry | undefined, entry: Entry | undefined): void {
    const others = (this.entries.get(key) ?? []).filter((other) => other !== old);
    this.entries.set(key, entry ? [...others, entry] : others);
  }

  private reply(entry: Entry, request: RequestHead, status: CacheStatus): Reply {
    const sent = answer(entry.stored, entry.headers, request, { now: this.now, length: entry.body.length, status });
    const body =
      sent.body === 'full' ? entry.body : sent.body === 'none' ? '' : entry.body.slice(sent.body.start, sent.body.end);
    return { status: sent.status, headers: sent.headers, body };
  }
}
