/** A value as bytes. */
export interface EncodedValue {
  readonly payload: Uint8Array;
  /** Side table, empty when there is none. */
  readonly side: Uint8Array;
  /**
   * The decoded value holds objects that freezing cannot protect (Map, Set, Date, Buffer, typed arrays, RegExp, URL, Error): it must be
   * decoded anew for every reader.
   */
  readonly rebuild: boolean;
}

/** How values become bytes and come back. Both directions are synchronous and share no state between calls. */
export interface ValueCodec {
  /** Written into every entry; never reused for another format. */
  readonly id: number;
  readonly name: string;
  /**
   * Takes a snapshot: later changes of `value` do not reach the result, and `value` itself is never changed.
   * @throws CacheUsageError `unsupported_value`, naming the place and the type, never the value
   */
  encode(value: unknown): EncodedValue;
  /**
   * Gives a value that shares nothing with the input or with another call's result.
   * @throws TieredCacheError `malformed_value`; the envelope turns that into a miss
   */
  decode(payload: Uint8Array, side: Uint8Array): unknown;
  /**
   * As {@link decode} without a side table, but deep-frozen, for a codec that has a quicker way than to freeze what it decoded. The payload
   * is what `bytes` hold from `from` on: a view of a small one costs more than to read it.
   * @throws TieredCacheError `malformed_value`
   */
  decodeFrozen?(bytes: Uint8Array, from: number): unknown;
}
