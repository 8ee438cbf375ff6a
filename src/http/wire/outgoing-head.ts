import type { ServerResponse } from 'node:http';
import { headerFields, lent, sameValue, type HeaderChanges, type HeaderFields } from './header-fields.js';
import { keepToClient, keepToClientAtLast } from './kept-to-client.js';
import { lateFields } from './late-fields.js';
import { statusWithoutContent } from './raw-exchange.js';
import { setReplacement } from './replacement.js';
import type { ResponseMethods } from './response-methods.js';
import type { Replacement, ResponseHead } from './tap.options.js';
import type { WrittenHead } from './written-head.js';

/** The head of a response: as the application writes it, as it is changed here, and what others add on its way out. */
export class OutgoingHead {
  /** By `writeHead()`, and not sent yet. */
  written: WrittenHead | undefined;
  /** As the application has written it; `undefined` before that. */
  settled: ResponseHead | undefined;
  /** Fields that others have added since. */
  late: readonly string[] = [];
  private changed: HeaderChanges = {};
  /** As it was before anything was changed here. */
  private before: HeaderFields | undefined;
  private readonly response: ServerResponse;

  constructor(private readonly methods: ResponseMethods) {
    this.response = methods.response;
  }

  get status(): number {
    return this.settled?.status ?? this.response.statusCode;
  }

  /** Whether there is no body, whatever the application writes. */
  get isAll(): boolean {
    return this.response.req?.method === 'HEAD' || statusWithoutContent(this.status);
  }

  /** The application writes no more of it. */
  settle(): ResponseHead {
    const headers = this.fieldsSet();
    const { written } = this;
    this.settled = written
      ? { status: written.status, headers: Object.assign(headers, headerFields(Object.fromEntries(written.fields))) }
      : { status: this.response.statusCode, headers };
    return this.settled;
  }

  /** It was written without having come by here. */
  settleUnseen(): void {
    this.settled = { status: this.response.statusCode, headers: {} };
  }

  /** The changes go in; a head that was written is handed on. */
  commit(changes: HeaderChanges): void {
    this.changed = changes;
    this.before = this.fieldsSet();
    const { response, written } = this;
    const names = Object.keys(changes);
    // Node reads a list of fields in two ways, depending on what was set before: one of them loses lines.
    const asSet = names.length > 0 || written?.listed === true;
    if (written && asSet) {
      for (const [name, value] of written.fields) response.setHeader(name, value);
    }
    for (const name of names) {
      const value = changes[name];
      if (value === undefined) response.removeHeader(name);
      else response.setHeader(name, lent(value));
    }
    this.keepToClient(changes['cache-control']);
    if (!written) return;
    if (!asSet) this.send(written.args);
    else this.send(written.reason === undefined ? [written.status] : [written.status, written.reason]);
  }

  /** @returns the bytes to be sent after it, if any */
  replace(replacement: Replacement, baseline: HeaderFields | undefined): Buffer | undefined {
    this.before = this.fieldsSet();
    const content = setReplacement(this.response, replacement, baseline);
    this.keepToClient(replacement.headers['cache-control']);
    this.changed = this.fieldsSet();
    return content;
  }

  /** It was refused, and somebody else will answer: what was changed here is no part of that. */
  takeBack(): void {
    const { before, response } = this;
    if (before === undefined || this.methods.isHeadSent()) return;
    const now = this.fieldsSet();
    const { sendDate } = response;
    for (const name of Object.keys(now)) if (before[name] === undefined) response.removeHeader(name);
    for (const [name, value] of Object.entries(before))
      if (now[name] === undefined || !sameValue(now[name], value)) response.setHeader(name, value);
    response.sendDate = sendDate; // removing a Date turns it off
  }

  send(args: readonly unknown[]): unknown {
    const result = this.methods.call('writeHead', args);
    this.late = this.settled ? lateFields(this.fieldsSet(), this.settled.headers, this.changed) : [];
    return result;
  }

  /** What we say of it holds for what others add, too. HTTP/2 has no place below the tap to see who comes later. */
  private keepToClient(control: HeaderChanges[string]): void {
    if (control === undefined) return;
    const isPrivate = String(control).startsWith('private');
    if (this.response.req?.httpVersionMajor === 2) keepToClient(this.response, isPrivate);
    else keepToClientAtLast(this.response, isPrivate);
  }

  private fieldsSet(): Record<string, string | readonly string[]> {
    return headerFields(this.response.getHeaders() as Record<string, string>);
  }
}
