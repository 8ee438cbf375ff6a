import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';

/** The streams that are piped into a response. One that goes without having ended leaves a truncated body, whoever calls `end()` then. */
export class PipedSources {
  private readonly sources = new Set<Readable>();

  constructor(response: ServerResponse, cutOff: () => void) {
    response.on('pipe', (source: Readable) => this.sources.add(source));
    response.on('unpipe', (source: Readable) => {
      this.sources.delete(source);
      if (source.readableEnded === false) cutOff();
    });
  }

  /** Whether one of them has more to say. */
  get areUnfinished(): boolean {
    return [...this.sources].some((source) => source.readableEnded === false);
  }
}
