import type { WaitBudget } from '../outage/store-guard.js';
import { Epoch, type Grace } from './epoch.js';
import { APPLICATION_STAMP, partsOf, readingOf, type TokenReading } from './token-parts.js';

/** Records beyond this are forgotten, oldest first; forgetting one makes the entries that carry it misses. */
const MAX_RECORDS = 50_000;
/** A token that keeps changing while it is read is used once and not remembered. */
const MAX_READS = 3;

interface TokenRecord {
  epoch: Epoch | undefined;
  /** Raised by every report on this name, so that a reading overtaken by a report is not believed. */
  reports: number;
}

/**
 * The tokens of namespaces, tags and prefixes as far as this process knows them. No clock is compared anywhere: a token that is
 * missing, replaced or in doubt can only cause misses.
 */
export class TokenRegistry {
  private readonly records = new Map<string, TokenRecord>();

  /**
   * @param fetch reads (or creates) what the store keeps
   * @param isHeard whether the store reports changes right now; if not, nothing remembered is relied upon
   */
  constructor(
    private readonly fetch: (names: readonly string[], budget: WaitBudget) => Promise<string[]>,
    private readonly isHeard: () => boolean,
  ) {}

  /** The epochs of `names` if all are known beyond doubt. */
  known(names: readonly string[]): Epoch[] | undefined {
    const epochs: Epoch[] = [];
    for (const name of names) {
      const epoch = this.current(name);
      if (epoch === undefined) return undefined;
      epochs.push(epoch);
    }
    return epochs;
  }

  /** The epoch of one name if it is known beyond doubt. */
  current(name: string): Epoch | undefined {
    const epoch = this.isHeard() ? this.records.get(name)?.epoch : undefined;
    return epoch?.alive === true && epoch.token !== undefined ? epoch : undefined;
  }

  /** As {@link known}, asking the store where needed. Rejects when the store does not answer. */
  async read(names: readonly string[], budget: WaitBudget): Promise<Epoch[]> {
    for (let attempt = 1; ; attempt++) {
      const known = this.known(names);
      if (known) return known;
      const records = names.map((name) => this.record(name));
      const reports = records.map((record) => record.reports);
      const readings = await this.ask(names, budget);
      const overtaken = records.some((record, i) => record.reports !== reports[i]);
      if (!overtaken)
        return names.map((name, i) => this.adoptInto(records[i] as TokenRecord, name, readings[i] as TokenReading));
      if (attempt === MAX_READS) return names.map((name, i) => unreliable(name, readings[i] as TokenReading));
    }
  }

  private async ask(names: readonly string[], budget: WaitBudget): Promise<TokenReading[]> {
    const stored = [...new Set(names.flatMap(partsOf))];
    const tokens = await this.fetch(stored, budget);
    return names.map((name) => readingOf(partsOf(name).map((part) => tokens[stored.indexOf(part)] as string)));
  }

  /** Epochs for values that are kept in this process only, while the store cannot be asked. */
  provisional(names: readonly string[]): Epoch[] {
    return names.map((name) => {
      const record = this.record(name);
      if (record.epoch === undefined || !record.epoch.alive) record.epoch = new Epoch(name, undefined);
      return record.epoch;
    });
  }

  /**
   * Begins a replacement of tokens by this process; call the result with the new tokens, once the store has acknowledged them. Those that are
   * parts of a token will be asked for with the others.
   */
  replace(names: readonly string[]): (tokens: readonly string[]) => void {
    const records = names.map((name) => this.record(name));
    const reports = records.map((record) => record.reports);
    return (tokens) => {
      names.forEach((name, i) => {
        const record = records[i] as TokenRecord;
        const overtaken = record.reports !== reports[i];
        this.doubt([name]);
        if (!overtaken && partsOf(name).length === 1) this.adoptInto(record, name, readingOf([tokens[i] as string]));
      });
    };
  }

  /** These tokens, or parts of tokens, were, or may have been, replaced. */
  doubt(names: readonly string[]): void {
    for (const name of names) {
      const record = this.records.get(name);
      if (record) kill(record);
      else if (name.startsWith(APPLICATION_STAMP)) this.doubtWholes(name);
    }
  }

  private doubtWholes(part: string): void {
    for (const [name, record] of this.records) if (partsOf(name).includes(part)) kill(record);
  }

  doubtAll(): void {
    for (const record of this.records.values()) kill(record);
  }

  private adoptInto(record: TokenRecord, name: string, { token, graces }: TokenReading): Epoch {
    const epoch = record.epoch;
    if (epoch !== undefined && epoch.token === token && areSame(epoch.graces, graces)) {
      epoch.alive = true;
      return epoch;
    }
    if (epoch) epoch.alive = false;
    return (record.epoch = new Epoch(name, token, graces));
  }

  private record(name: string): TokenRecord {
    let record = this.records.get(name);
    if (record === undefined) {
      if (this.records.size >= MAX_RECORDS) this.forgetOldest();
      record = { epoch: undefined, reports: 0 };
      this.records.set(name, record);
    }
    return record;
  }

  private forgetOldest(): void {
    for (const [name, record] of this.records) {
      kill(record);
      this.records.delete(name);
      return;
    }
  }
}

function kill(record: TokenRecord): void {
  record.reports++;
  if (record.epoch) record.epoch.alive = false;
}

/** What is in memory may be served to the end of the grace that it was read under. */
function areSame(some: readonly Grace[], others: readonly Grace[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ token, until }, i) => token === others[i]?.token && until === others[i]?.until)
  );
}

function unreliable(name: string, { token, graces }: TokenReading): Epoch {
  const epoch = new Epoch(name, token, graces);
  epoch.alive = false;
  return epoch;
}
