import type { ServerResponse } from 'node:http';
import { byteLength, isChunk } from './captured-bytes.js';
import { headerFields } from './header-fields.js';
import { statusWithoutContent } from './raw-exchange.js';
import { ResponseMethods } from './response-methods.js';
import type { ResponseHead } from './tap.options.js';
import { endArguments } from './write-arguments.js';
import { parseWriteHead, type WrittenHead } from './written-head.js';

/** What has to be done before an answer is out; `undefined`: nothing. Never rejects. */
export type BeforeAnswer = (head: ResponseHead) => Promise<void> | undefined;

interface Step {
  readonly send: () => void;
  /** The client will know that it has all. */
  readonly isLast: boolean;
}

/**
 * Asks `before` ahead of the first byte of an answer, and of its last one if that comes by itself: a handler may go on working between them.
 * Whoever writes it, and however: nothing is sent until that is done. The application sees what it would see otherwise.
 */
export function holdAnswer(response: ServerResponse, before: BeforeAnswer): void {
  new HeldAnswer(response, before).install();
}

class HeldAnswer {
  private readonly methods: ResponseMethods;
  private readonly waiting: Step[] = [];
  private written: WrittenHead | undefined;
  private bytes = 0;
  /** As many bytes as the head has promised were written. */
  private isWhole = false;
  private hasBegun = false;
  private isHeld = false;
  private isEnded = false;
  /** What is sent here comes by again: the `end()` of HTTP/2 calls `write()`. */
  private isSending = false;
  private owesDrain = false;

  constructor(
    private readonly response: ServerResponse,
    private readonly before: BeforeAnswer,
  ) {
    this.methods = new ResponseMethods(response);
  }

  install(): void {
    this.methods.replace({
      writeHead: (args) => this.onWriteHead(args),
      write: (args) => this.onWrite(args),
      end: (args) => this.onEnd(args),
      flushHeaders: (args) => this.onFlush(args),
      addTrailers: (args) => this.methods.call('addTrailers', args),
      destroy: (args) => this.methods.call('destroy', args),
    });
  }

  private onWriteHead(args: readonly unknown[]): unknown {
    if (!this.isSending) this.written ??= parseWriteHead(args);
    if (this.isSending || !this.isHttp2 || this.written === undefined) return this.methods.call('writeHead', args);
    // There it is sent at once.
    this.step({ send: () => this.methods.call('writeHead', args), isLast: false });
    return this.response;
  }

  private onFlush(args: readonly unknown[]): unknown {
    if (this.isSending) return this.methods.call('flushHeaders', args);
    this.step({ send: () => this.methods.call('flushHeaders', args), isLast: false });
    return undefined;
  }

  private onWrite(args: readonly unknown[]): unknown {
    const [chunk, encoding] = args;
    // Node throws for what is no chunk, and after the end.
    if (this.isSending || this.isEnded || !isChunk(chunk)) return this.methods.call('write', args);
    this.bytes += byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : undefined);
    let hasRoom = false;
    const send = (): void => {
      hasRoom = this.methods.call('write', args) as boolean;
      if (!hasRoom) this.owesDrain = false;
    };
    this.isWhole = this.head.headers['content-length'] === String(this.bytes);
    if (this.step({ send, isLast: this.isWhole })) return hasRoom;
    this.owesDrain = true;
    return false;
  }

  private onEnd(args: readonly unknown[]): unknown {
    const [chunk, encoding] = endArguments(args);
    const isWrong = chunk !== undefined && chunk !== null && !isChunk(chunk);
    if (this.isSending || this.isEnded || isWrong) return this.methods.call('end', args);
    this.isEnded = true;
    const isSent = this.step(
      { send: () => this.methods.call('end', args), isLast: !this.isWhole },
      isChunk(chunk) ? byteLength(chunk, encoding) : 0,
    );
    if (!isSent) Object.defineProperty(this.response, 'writableEnded', { configurable: true, value: true });
    return this.response;
  }

  /** @returns whether it was sent at once */
  private step(step: Step, length?: number): boolean {
    if (this.isHeld) return this.waiting.push(step) === 0;
    const isAsked = this.hasBegun && !step.isLast;
    this.hasBegun = true;
    if (isAsked || !this.asks()) {
      this.send(step);
      return true;
    }
    this.waiting.push(step);
    this.settleHead(length);
    return false;
  }

  /** `false`: nothing has to be done first. */
  private asks(): boolean {
    const asked = this.before(this.head);
    if (asked === undefined) return false;
    this.isHeld = true;
    asked
      .then(() => {
        this.isHeld = false;
        this.goOn();
      })
      // Whoever wrote it is not there any more to be told.
      .catch((error: unknown) => this.response.destroy(error as Error));
    return true;
  }

  private goOn(): void {
    // It was asked for the first of them.
    let step = this.waiting.shift();
    while (step !== undefined) {
      this.send(step);
      if (this.waiting[0]?.isLast && this.asks()) return;
      step = this.waiting.shift();
    }
    if (this.owesDrain && !this.isEnded) this.response.emit('drain');
    this.owesDrain = false;
  }

  private send({ send }: Step): void {
    this.isSending = true;
    try {
      send();
    } finally {
      this.isSending = false;
    }
  }

  /** Nobody may change it any more: it counts as sent. @param length of the body, where all of it is known */
  private settleHead(length: number | undefined): void {
    if (this.isHttp2) return this.methods.shadowHeadersSent(() => true);
    if (this.methods.isHeadSent()) return;
    const { response } = this;
    const isFramed = response.hasHeader('content-length') || response.hasHeader('transfer-encoding');
    // As Node does it in `end()`.
    if (length !== undefined && !isFramed && !statusWithoutContent(response.statusCode))
      response.setHeader('content-length', length);
    this.methods.call('writeHead', [response.statusCode]);
  }

  private get head(): ResponseHead {
    const { response, written } = this;
    const headers = headerFields(response.getHeaders() as Record<string, string>);
    if (!written) return { status: response.statusCode, headers };
    return {
      status: written.status,
      headers: Object.assign(headers, headerFields(Object.fromEntries(written.fields))),
    };
  }

  private get isHttp2(): boolean {
    return this.response.req?.httpVersionMajor === 2;
  }
}
