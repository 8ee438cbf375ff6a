const LONGEST_LINE = 2048;
/** No server keeps more. */
const MOST_DATA = 2 ** 30;
const CRLF = '\r\n';

/** One answer of the server. */
export class MemcachedReply {
  constructor(
    /** `HD`, `VA`, `EN`, `NF`, `NS`, `EX`, `MN`, or `STORED`, `ERROR`, `CLIENT_ERROR`, `SERVER_ERROR`. */
    readonly status: string,
    private readonly flags: readonly string[],
    /** Of a `VA`. */
    readonly data: Buffer | undefined,
  ) {}

  /** What follows the letter of a flag: `'12'` of `c12`; `undefined` if it was not sent. */
  flag(letter: string): string | undefined {
    return this.flags.find((flag) => flag.startsWith(letter))?.slice(1);
  }
}

/** What came is no answer: nothing that follows it can be trusted. */
export class MemcachedProtocolError extends Error {}

/** Makes answers of bytes, however they are cut. */
export class MemcachedReplies {
  private rest: Buffer = Buffer.alloc(0);

  /** The answers that are complete by now. @throws MemcachedProtocolError from then on the connection is of no use */
  push(chunk: Buffer): MemcachedReply[] {
    this.rest = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    const replies: MemcachedReply[] = [];
    for (let reply = this.next(); reply; reply = this.next()) replies.push(reply);
    return replies;
  }

  private next(): MemcachedReply | undefined {
    const lineEnd = this.rest.indexOf(CRLF);
    if (lineEnd > LONGEST_LINE || (lineEnd < 0 && this.rest.length > LONGEST_LINE))
      throw new MemcachedProtocolError('a line that does not end');
    if (lineEnd < 0) return undefined;
    const line = this.rest.toString('latin1', 0, lineEnd);
    const [, status, tail = ''] =
      /^(HD|VA|EN|NF|NS|EX|MN|STORED|ERROR|CLIENT_ERROR|SERVER_ERROR)(?: ([\x20-\x7e]*))?$/.exec(line) ?? [];
    if (status === undefined) throw new MemcachedProtocolError('a line that is no answer');
    const flags = tail.split(' ');
    if (status !== 'VA') return this.take(lineEnd + 2, new MemcachedReply(status, flags, undefined));
    const size = /^\d{1,10}$/.test(flags[0] as string) ? Number(flags[0]) : Infinity;
    if (size > MOST_DATA) throw new MemcachedProtocolError('a value without a size');
    const end = lineEnd + 2 + size;
    if (this.rest.length < end + 2) return undefined;
    if (this.rest.toString('latin1', end, end + 2) !== CRLF)
      throw new MemcachedProtocolError('a value of another size than it says');
    return this.take(end + 2, new MemcachedReply(status, flags.slice(1), this.rest.subarray(lineEnd + 2, end)));
  }

  private take(bytes: number, reply: MemcachedReply): MemcachedReply {
    this.rest = this.rest.subarray(bytes);
    return reply;
  }
}
