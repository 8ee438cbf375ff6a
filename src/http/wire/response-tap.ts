import type { ServerResponse } from 'node:http';
import { Capture } from './capture.js';
import { isCaptured, type TapOutcome, type UnusableReason } from './captured.js';
import { isChunk } from './captured-bytes.js';
import { OutgoingHead } from './outgoing-head.js';
import { PipedSources } from './piped-sources.js';
import { ResponseMethods } from './response-methods.js';
import type { Replacement, ResponseTap, TapDecision, TapOptions } from './tap.options.js';
import { endArguments, type Callback } from './write-arguments.js';
import { parseWriteHead } from './written-head.js';

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
  ended = false;

  private state: State = 'writing';
  private readonly methods: ResponseMethods;
  private readonly head: OutgoingHead;
  private readonly captured: Capture;
  private readonly sources: PipedSources;
  private replaceWith: ((outcome: TapOutcome) => Replacement) | undefined;
  private isDestroyedHere = false;

  constructor(
    readonly response: ServerResponse,
    private readonly options: TapOptions,
  ) {
    this.methods = new ResponseMethods(response);
    this.head = new OutgoingHead(this.methods);
    this.captured = new Capture(this.head, options.maxBytes);
    this.methods.replace({
      writeHead: (args) => this.onWriteHead(args),
      write: (args) => this.onWrite(args),
      end: (args) => this.onEnd(args),
      flushHeaders: () => this.onFlushHeaders(),
      addTrailers: ([trailers]) => this.onAddTrailers(trailers),
      destroy: ([error]) => this.onDestroy(error),
    });
    this.methods.watchImplicitHeader(() => this.onImplicitHeader());
    this.sources = new PipedSources(response, () => {
      if (!this.ended) this.fail('aborted');
    });
    response.on('close', () => this.onClose());
  }

  get finished(): Promise<TapOutcome> {
    return this.captured.finished;
  }

  get begun(): boolean {
    return this.head.settled !== undefined;
  }

  fail(reason: UnusableReason, error?: unknown): void {
    const hasClientLeft = reason === 'aborted' && this.response.destroyed && !this.isDestroyedHere;
    this.captured.fail(reason, error, hasClientLeft);
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
    this.head.written = written;
    this.shadowHeadersSent();
    process.nextTick(() => {
      if (this.state === 'headed') this.beginUnasked();
    });
    return this.response;
  }

  private onWrite(args: readonly unknown[]): unknown {
    const [chunk, second, third] = args;
    // The end() of HTTP/2 comes by here as well; Node throws for what is no chunk.
    if (this.ended || !isChunk(chunk)) return this.methods.call('write', args);
    const encoding = typeof second === 'string' ? (second as BufferEncoding) : undefined;
    this.begin(undefined);
    this.captured.add(chunk, encoding);
    if (this.state === 'passing') return this.methods.call('write', args);
    const callback = (typeof second === 'function' ? second : third) as Callback | undefined;
    if (callback) process.nextTick(callback);
    return true;
  }

  private onEnd(args: readonly unknown[]): unknown {
    if (this.ended) return this.methods.call('end', args);
    const [given, encoding, callback] = endArguments(args);
    if (given && !isChunk(given)) return this.methods.call('end', args);
    const chunk = isChunk(given) && given ? given : undefined;
    if (this.sources.areUnfinished) this.fail('aborted');
    const whole = !this.begun;
    const body = chunk ? this.captured.wholeOf(chunk, encoding) : Buffer.alloc(0);
    this.begin(whole ? body : undefined);
    if (chunk) this.captured.add(chunk, encoding, body);
    this.ended = true;
    if (!this.captured.isComplete) this.fail('aborted');
    if (this.state === 'swallowing') this.sendReplacement(callback);
    else this.sendEnd(args);
    if (this.methods.isHeadSent() || this.response.destroyed) this.captured.end();
    return this.response;
  }

  private onFlushHeaders(): unknown {
    this.begin(undefined);
    return this.state === 'passing' ? this.methods.call('flushHeaders', []) : undefined;
  }

  private onAddTrailers(trailers: unknown): unknown {
    this.fail('trailers');
    return this.state === 'swallowing' ? undefined : this.methods.call('addTrailers', [trailers]);
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
    return this.methods.call('destroy', [error]);
  }

  private onClose(): void {
    // Before anything was written the handler may still finish: its client has left, its answer has not.
    if (this.ended) this.captured.end();
    else if (this.begun) this.fail('aborted');
  }

  private onImplicitHeader(): void {
    if (this.head.written) this.begin(undefined);
    if (!this.begun) this.passBy();
  }

  private passBy(): void {
    this.head.settleUnseen();
    this.state = 'passing';
    this.fail('bypassed');
  }

  private begin(body: Buffer | undefined): void {
    if (this.begun) return;
    const { headers } = this.head.settle();
    if (headers['trailer'] !== undefined) this.fail('trailers');
    if (!this.head.isAll && Number(headers['content-length'] ?? 0) > this.options.maxBytes) this.fail('too-large');
    const decision = this.decided(this.head.isAll ? undefined : body);
    if (decision.action === 'swallow') {
      this.state = 'swallowing';
      this.replaceWith = decision.replaceWith;
      this.shadowHeadersSent();
      return;
    }
    this.state = 'passing';
    if (decision.capture === false) this.fail('declined');
    this.orTakenBack(() => this.head.commit(decision.headers ?? {}));
  }

  /** Nobody is there to be told of an error: who wrote the head has gone on. */
  private beginUnasked(): void {
    try {
      this.begin(undefined);
    } catch (error) {
      this.methods.call('destroy', [error]);
    }
  }

  /** Where Node or a listener refuses the head, an exception filter may still answer: by itself, and for this client only. */
  private orTakenBack<T>(send: () => T): T {
    try {
      return send();
    } catch (error) {
      this.state = 'passing';
      this.fail('failed', error);
      this.head.takeBack();
      throw error;
    }
  }

  private decided(body: Buffer | undefined): TapDecision {
    try {
      return this.options.decide?.(this.head.settled!, body) ?? { action: 'pass' };
    } catch (error) {
      this.fail('failed', error);
      return { action: 'pass' };
    }
  }

  private sendHead(args: readonly unknown[]): unknown {
    const result = this.head.send(args);
    if (this.ended) this.captured.end();
    return result;
  }

  private sendEnd(args: readonly unknown[]): void {
    // Node writes no head for a client that has left, but listeners on it may set a cookie: they have to be heard.
    if (this.response.destroyed && !this.methods.isHeadSent()) this.sendHead([this.response.statusCode]);
    this.orTakenBack(() => this.methods.call('end', args));
  }

  private sendReplacement(callback: Callback | undefined): void {
    this.orTakenBack(() => {
      const content = this.head.replace(this.replacement(), this.options.baseline);
      this.methods.call('end', [...(content ? [content] : []), ...(callback ? [callback] : [])]);
    });
  }

  private replacement(): Replacement {
    const outcome = this.captured.current;
    try {
      return this.replaceWith!(outcome);
    } catch (error) {
      this.fail('failed', error);
      // What the handler wrote is still an answer.
      return isCaptured(outcome) ? outcome : { status: 500, headers: {} };
    }
  }

  /** After writeHead() and while swallowing. */
  private shadowHeadersSent(): void {
    this.methods.shadowHeadersSent(() => this.state === 'headed' || this.state === 'swallowing');
  }
}
