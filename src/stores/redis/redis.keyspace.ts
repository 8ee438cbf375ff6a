/** Names of all keys and channels of one prefix. An entry and its lease share a slot by the hash tag in the key. */
export class RedisKeyspace {
  /** Released leases, one a message. */
  readonly channel: string;
  /** Filled entries and replaced tokens, one a message, for who cannot have the server track them; '' where they are not published. */
  readonly changes: string;
  /** Written and removed entries, one a message, with their frames if these are small; for everybody. '' where they are not published. */
  readonly updates: string;
  readonly entries: string;
  readonly tokens: string;

  /** `outer` is what the client itself puts in front of keys (ioredis `keyPrefix`): the server knows it, the commands must not. */
  constructor(
    readonly prefix: string,
    outer = '',
    isReported = true,
  ) {
    this.channel = `${outer}${prefix}:bus`;
    this.changes = isReported ? `${outer}${prefix}:chg` : '';
    this.updates = isReported ? `${outer}${prefix}:upd` : '';
    this.entries = `${outer}${prefix}:e:`;
    this.tokens = `${outer}${prefix}:t:`;
  }

  entry(key: string): string {
    return `${this.prefix}:e:${key}`;
  }

  lease(key: string): string {
    return `${this.prefix}:l:${key}`;
  }

  token(name: string): string {
    return `${this.prefix}:t:${name}`;
  }
}
