/**
 * A cache in front of the application: a CDN, a reverse proxy. Its name is for logs.
 * @example { name: 'edge', purge: (tags, signal) => edge.purge(tags.map(surrogateKey), { signal }) }
 */
export interface PurgeSink {
  readonly name: string;
  /**
   * Makes every response that carries one of the tags (as `surrogateKey(tag)`) unusable. Never called twice at the same time, and never with
   * a tag twice; after a failure again with at least the same tags. To reject is to fail, and so is to go on once the signal is aborted.
   */
  purge(tags: readonly string[], signal: AbortSignal): Promise<void>;
}
