/**
 * The keys of a map, oldest first, for who deletes each key that it takes. Goes on where it was: asked for its first key again and again, a
 * Map steps each time over all that was deleted since its table was last rebuilt.
 */
export class OldestKeys<Key> {
  #ahead: Iterator<Key> | undefined;

  constructor(private readonly map: ReadonlyMap<Key, unknown>) {}

  /** The oldest key; `undefined` if the map is empty. */
  take(): Key | undefined {
    const next = (this.#ahead ??= this.map.keys()).next();
    if (!next.done) return next.value;
    // At its end an iterator stays there, whatever is added.
    this.#ahead = undefined;
    return this.map.size === 0 ? undefined : this.take();
  }

  /** Begins anew with the next key that is taken: an iterator at rest keeps alive every table that its map has outgrown. */
  rest(): void {
    this.#ahead = undefined;
  }
}
