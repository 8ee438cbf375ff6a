import type { Flight } from './flight.js';

/**
 * The flights of one namespace, by their key in the memory tier's index. No Map: V8 links every table that a Map has outgrown to the next
 * one, so that one old table keeps all later ones alive, with all they held, until a major collection. In a table as restless as this
 * one that was a twelfth of everything allocated.
 */
export class FlightTable {
  size = 0;
  private byKey = emptyDictionary();

  get(key: string): Flight | undefined {
    return this.size === 0 ? undefined : this.byKey[key];
  }

  set(key: string, flight: Flight): void {
    if (this.byKey[key] === undefined) this.size++;
    this.byKey[key] = flight;
  }

  delete(key: string): void {
    if (this.get(key) === undefined) return;
    this.size--;
    delete this.byKey[key];
  }

  /** Nobody may join those that are under way, nor have what they offer, from that moment on. */
  end(at: number): void {
    if (this.size > 0) for (const key in this.byKey) (this.byKey[key] as Flight).goodUntil = at;
  }

  /** Nobody may join those that are under way. */
  detachAll(): void {
    if (this.size === 0) return;
    for (const key in this.byKey) (this.byKey[key] as Flight).detached = true;
    this.byKey = emptyDictionary();
    this.size = 0;
  }
}

function emptyDictionary(): Record<string, Flight> {
  return Object.create(null) as Record<string, Flight>;
}
