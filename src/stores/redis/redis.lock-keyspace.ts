/** Names of the keys of one lock, which share a slot by the hash tag in the key, and of this process's channel. */
export class RedisLockKeyspace {
  /** Hand-overs to owners of this process: `owner|fence|name of the lock`. */
  readonly channel: string;

  /** `outer` is what the client itself puts in front of keys (ioredis `keyPrefix`), but not in front of channels. */
  constructor(
    readonly prefix: string,
    private readonly instance: string,
    private readonly outer = '',
  ) {
    this.channel = `${outer}${prefix}:lc:${instance}`;
  }

  under(outer: string): RedisLockKeyspace {
    return new RedisLockKeyspace(this.prefix, this.instance, outer);
  }

  lock(key: string): string {
    return `${this.prefix}:lk:${key}`;
  }

  /** The key of a lock by its name in the server. */
  keyOf(name: string): string {
    return name.slice(this.outer.length + this.lock('').length);
  }

  record(key: string): string {
    return `${this.prefix}:lr:${key}`;
  }

  all(key: string): string[] {
    const { prefix } = this;
    return [this.lock(key), `${prefix}:lf:${key}`, `${prefix}:lq:${key}`, `${prefix}:lw:${key}`];
  }
}
