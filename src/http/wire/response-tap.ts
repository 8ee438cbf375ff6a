import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { isCaptured, type TapOutcome, type UnusableReason } from './captured.js';
import { CapturedBytes, byteLength, bytesOf, isChunk, type Chunk } from './captured-bytes.js';
import { headerFields, type HeaderChanges } from './header-fields.js';
import { lateFields } from './late-fields.js';
import { statusWithoutContent } from './raw-exchange.js';
import { setReplacement } from './replacement.js';
import type { Replacement, ResponseHead, ResponseTap, TapDecision, TapOptions } from './tap.options.js';
import { endArguments, type Callback } from './write-arguments.js';
import { parseWriteHead, type WrittenHead } from './written-head.js';

type AnyFunction = (...args: unknown[]) => unknown;

const taps = new WeakMap<ServerResponse, Tap>();

/** The tap of a raw response, if it has one. */
export function tapOf(response: ServerResponse): ResponseTap | undefined {
  return taps.get(response);
}

/**
 * Captures what the application writes to a raw response. To be installed before the handler runs: whatever wrapped the response earlier
 * (compression, sessions) stays between the tap and the wire. A response that has a tap keeps its first one.
 *
 * @example
 * const tap = tapResponse(rawResponseOf(response), { maxBytes: 1 << 20, baseline: baselineOf(response) });
 * const outcome = await tap.finished;
 * if (isCaptured(outcome)) store(outcome.status, ownHeaders(outcome, baseline), outcome.body);
 */
export function tapResponse(response: ServerResponse, options: TapOptions): ResponseTap {
  const present = taps.get(response);
  if (present) return present;
  const tap = new Tap(response, options);
  taps.set(response, tap);
  return tap;
}

/**
 * `writing`: nothing came yet; `headed`: writeHead() was called and its end may follow in the same turn, which is when the whole body is
 * known; `passing` and `swallowing`: decided.
 */
type State = 'writing' | 'headed' | 'passing' | 'swallowing';

class Tap implements ResponseTap {
  readonly finished: Promise<TapOutcome>;
  ended = false;

  private state: State = 'writing';
  private settle!: (outcome: TapOutcome) => void;
  private settled = false;
  private head: ResponseHead | undefined;
  private written: WrittenHead | undefined;
  private readonly bytes = new CapturedBytes();
  private replaceWith: ((outcome: TapOutcome) => Replacement) | undefined;
  private outcome: TapOutcome | undefined;
  private changed: HeaderChanges = {};
  private isDestroyedHere = false;
  private late: readonly string[] = [];
  private readonly sources = new Set<Readable>();
  private readonly inner: Record<
    'writeHead' | 'write' | 'end' | 'flushHeaders' | 'addTrailers' | 'destroy',
    AnyFunction
  >;

  constructor(
    readonly response: ServerResponse,
    private readonly options: TapOptions,
  ) {
    this.finished = new Promise((resolve) => (this.settle = resolve));
    const wrapped = response as unknown as Record<string, AnyFunction>;
    this.inner = {
      writeHead: wrapped['writeHead']!,
      write: wrapped['write']!,
      end: wrapped['end']!,
      flushHeaders: wrapped['flushHeaders']!,
      addTrailers: wrapped['addTrailers']!,
      destroy: wrapped['destroy']!,
    };
    wrapped['writeHead'] = (...args) => this.onWriteHead(args);
    wrapped['write'] = (...args) => this.onWrite(args);
    wrapped['end'] = (...args) => this.onEnd(args);
    wrapped['flushHeaders'] = () => this.onFlushHeaders();
    wrapped['addTrailers'] = (trailers) => this.onAddTrailers(trailers);
    wrapped['destroy'] = (error) => this.onDestroy(error);
    this.watchImplicitHeader(wrapped);
    response.on('pipe', (source) => this.sources.add(source as Readable));
    response.on('unpipe', (source) => this.onUnpipe(source as Readable));
    response.on('close', () => this.onClose());
  }

  get begun(): boolean {
    return this.head !== undefined;
  }

  fail(reason: UnusableReason, error?: unknown): void {
    if (this.outcome) return;
    this.bytes.drop();
    this.outcome = {
      reason,
      ...(this.head && { status: this.head.status }),
      ...(error !== undefined && { error }),
      ...(reason === 'aborted' && this.response.destroyed && !this.isDestroyedHere && { hasClientLeft: true }),
    };
    this.finish();
  }

  private onWriteHead(args: readonly unknown[]): unknown {
    if (this.state === 'swallowing' && !this.ended) return this.response;
    if (this.state === 'headed') this.begin(undefined);
    const written = this.state === 'writing' ? parseWriteHead(args) : undefined;
    if (written === undefined) {
      const result = this.sendHead(args);
      if (!this.begun) this.passBy();
      return result;
    }
    this.state = 'headed';
    this.written = written;
    this.shadowHeadersSent();
    process.nextTick(() => {
      if (this.state === 'headed') this.begin(undefined);
    });
    return this.response;
  }

  private onWrite(args: readonly unknown[]): unknown {
    const [chunk, second, third] = args;
    // The end() of HTTP/2 comes by here as well; Node throws for what is no chunk.
    if (this.ended || !isChunk(chunk)) return this.call('write', args);
    const encoding = typeof second === 'string' ? (second as BufferEncoding) : undefined;
    this.begin(undefined);
    this.capture(chunk, encoding);
    if (this.state === 'passing') return this.call('write', args);
    const callback = (typeof second === 'function' ? second : third) as Callback | undefined;
    if (callback) process.nextTick(callback);
    return true;
  }

  private onEnd(args: readonly unknown[]): unknown {
    if (this.ended) return this.call('end', args);
    const [given, encoding, callback] = endArguments(args);
    if (given && !isChunk(given)) return this.call('end', args);
    const chunk = isChunk(given) && given ? given : undefined;
    this.checkSources();
    const whole = !this.begun;
    const body = chunk ? this.bodyOf(chunk, encoding) : Buffer.alloc(0);
    this.begin(whole ? body : undefined);
    if (chunk) this.capture(chunk, encoding, body);
    this.ended = true;
    this.checkLength();
    if (this.state === 'swallowing') this.sendReplacement(callback);
    else {
      // Node writes no head for a client that has left, but listeners on it may set a cookie: they have to be heard.
      if (this.response.destroyed && !this.headSent()) this.sendHead([this.response.statusCode]);
      this.callOrFail('end', args);
    }
    if (this.headSent() || this.response.destroyed) this.finish();
    return this.response;
  }

  private onFlushHeaders(): unknown {
    this.begin(undefined);
    return this.state === 'passing' ? this.call('flushHeaders', []) : undefined;
  }

  private onAddTrailers(trailers: unknown): unknown {
    this.fail('trailers');
    return this.state === 'swallowing' ? undefined : this.call('addTrailers', [trailers]);
  }

  private onDestroy(error: unknown): unknown {
    if (!this.ended && !this.response.destroyed) {
      this.isDestroyedHere = true;
      this.fail('aborted', error);
      if (this.state === 'swallowing') {
        this.ended = true;
        this.sendReplacement(undefined);
        return this.response;
      }
    }
    return this.call('destroy', [error]);
  }

  private onClose(): void {
    // Before anything was written the handler may still finish: its client has left, its answer has not.
    if (this.ended) this.finish();
    else if (this.begun) this.fail('aborted');
  }

  /** A source that goes without having ended leaves a truncated body, whoever calls end() then. */
  private onUnpipe(source: Readable): void {
    this.sources.delete(source);
    if (!this.ended && source.readableEnded === false) this.fail('aborted');
  }

  private checkSources(): void {
    for (const source of this.sources) if (source.readableEnded === false) this.fail('aborted');
  }

  private checkLength(): void {
    const declared = this.head?.headers['content-length'];
    if (this.withoutContent() || declared === undefined || Number(declared) === this.bytes.length) return;
    this.fail('aborted');
  }

  /** Node (or somebody who holds an earlier `end`) writes the head without having come by here. */
  private watchImplicitHeader(wrapped: Record<string, AnyFunction>): void {
    const implicit = wrapped['_implicitHeader'];
    if (!implicit) return;
    wrapped['_implicitHeader'] = () => {
      if (this.written) this.begin(undefined);
      if (!this.begun) this.passBy();
      if (this.headSent()) return undefined;
      return Reflect.apply(implicit, this.response, []);
    };
  }

  private passBy(): void {
    this.head = { status: this.response.statusCode, headers: {} };
    this.state = 'passing';
    this.fail('bypassed');
  }

  private begin(body: Buffer | undefined): void {
    if (this.begun) return;
    this.head = this.readHead();
    const { headers } = this.head;
    if (headers['trailer'] !== undefined) this.fail('trailers');
    if (!this.withoutContent() && Number(headers['content-length'] ?? 0) > this.options.maxBytes)
      this.fail('too-large');
    const decision = this.decided(this.withoutContent() ? undefined : body);
    if (decision.action === 'swallow') {
      this.state = 'swallowing';
      this.replaceWith = decision.replaceWith;
      this.shadowHeadersSent();
      return;
    }
    this.state = 'passing';
    if (decision.capture === false) this.fail('declined');
    this.changed = decision.headers ?? {};
    this.commit();
  }

  private decided(body: Buffer | undefined): TapDecision {
    try {
      return this.options.decide?.(this.head!, body) ?? { action: 'pass' };
    } catch (error) {
      this.fail('failed', error);
      return { action: 'pass' };
    }
  }

  private readHead(): ResponseHead {
    const headers = headerFields(this.response.getHeaders() as Record<string, string>);
    const { written } = this;
    if (!written) return { status: this.response.statusCode, headers };
    return {
      status: written.status,
      headers: Object.assign(headers, headerFields(Object.fromEntries(written.fields))),
    };
  }

  /** The changes go in; a head that was written is handed on. */
  private commit(): void {
    const { response, written } = this;
    const names = Object.keys(this.changed);
    // Node reads a list of fields in two ways, depending on what was set before: one of them loses lines.
    const asSet = names.length > 0 || written?.listed === true;
    if (written && asSet) {
      for (const [name, value] of written.fields) response.setHeader(name, value);
    }
    for (const name of names) {
      const value = this.changed[name];
      if (value === undefined) response.removeHeader(name);
      else response.setHeader(name, value);
    }
    if (!written) return;
    if (!asSet) this.sendHead(written.args);
    else this.sendHead(written.reason === undefined ? [written.status] : [written.status, written.reason]);
  }

  private sendHead(args: readonly unknown[]): unknown {
    const result = this.call('writeHead', args);
    const headers = headerFields(this.response.getHeaders() as Record<string, string>);
    this.late = this.head ? lateFields(headers, this.head.headers, this.changed) : [];
    if (this.ended) this.finish();
    return result;
  }

  private sendReplacement(callback: Callback | undefined): void {
    const { response } = this;
    const content = setReplacement(response, this.replacement(), this.options.baseline);
    this.changed = headerFields(response.getHeaders() as Record<string, string>);
    this.call('end', [...(content ? [content] : []), ...(callback ? [callback] : [])]);
  }

  private replacement(): Replacement {
    const outcome = this.currentOutcome();
    try {
      return this.replaceWith!(outcome);
    } catch (error) {
      this.fail('failed', error);
      // What the handler wrote is still an answer.
      return isCaptured(outcome) ? outcome : { status: 500, headers: {} };
    }
  }

  private bodyOf(chunk: Chunk, encoding: BufferEncoding | undefined): Buffer | undefined {
    if (this.outcome) return undefined;
    try {
      return byteLength(chunk, encoding) > this.options.maxBytes ? undefined : bytesOf(chunk, encoding);
    } catch {
      return undefined;
    }
  }

  private capture(chunk: Chunk, encoding: BufferEncoding | undefined, copy?: Buffer): void {
    if (this.outcome || this.withoutContent()) return;
    try {
      const fits = copy !== undefined || byteLength(chunk, encoding) <= this.options.maxBytes - this.bytes.length;
      if (fits) this.bytes.add(copy ?? bytesOf(chunk, encoding));
      else this.fail('too-large');
    } catch (error) {
      this.fail('failed', error); // an unknown encoding: Node throws for it
    }
  }

  private finish(): void {
    if (this.settled) return;
    this.settled = true;
    this.outcome = this.currentOutcome();
    this.settle(this.outcome);
  }

  private currentOutcome(): TapOutcome {
    if (this.outcome) return this.outcome;
    const { status, headers } = this.head!;
    return { status, headers, body: this.bytes.concat(), addedLate: this.late };
  }

  /** After writeHead() and while swallowing, the application must see what it would see without a tap. */
  private shadowHeadersSent(): void {
    if (Object.hasOwn(this.response, 'headersSent')) return;
    Object.defineProperty(this.response, 'headersSent', {
      configurable: true,
      enumerable: true,
      get: () => this.state === 'headed' || this.state === 'swallowing' || this.headSent(),
    });
  }

  private headSent(): boolean {
    return Reflect.get(Object.getPrototypeOf(this.response) as object, 'headersSent', this.response) as boolean;
  }

  private isHead(): boolean {
    return this.response.req?.method === 'HEAD';
  }

  private withoutContent(): boolean {
    return this.isHead() || statusWithoutContent(this.head?.status ?? this.response.statusCode);
  }

  private call(name: keyof Tap['inner'], args: readonly unknown[]): unknown {
    return Reflect.apply(this.inner[name], this.response, args);
  }

  private callOrFail(name: keyof Tap['inner'], args: readonly unknown[]): unknown {
    try {
      return this.call(name, args);
    } catch (error) {
      this.fail('failed', error);
      throw error;
    }
  }
}
