import { OldestKeys } from '../oldest-keys.js';
import type { WaitBudget } from '../outage/store-guard.js';
import { Epoch, type Grace } from './epoch.js';
import { APPLICATION_STAMP, isTagToken, partsOf, readingOf, type TokenReading } from './token-parts.js';

/** Tags beyond this are forgotten, oldest first; forgetting one makes the entries that carry it misses. */
const MAX_TAGS = 50_000;
/**
 * A token that is in use is asked for so often, though it is known, along with what is read anyway: a server that has to evict takes first what
 * nobody reads, and with a namespace's token it would take all that the namespace has.
 */
const WARM_MS = 10_000;
/** Asked for in one go for that reason. */
const MOST_COLD = 250;
/** A token that keeps changing while it is read is used once and not remembered. */
const MAX_READS = 3;

interface TokenRecord {
  epoch: Epoch | undefined;
  /** Raised by every report on this name, so that a reading overtaken by a report is not believed; and when it is forgotten. */
  reports: number;
  /** When the store was last asked for it. */
  askedAt: number;
}

/** A record, and its reports at a moment. */
interface RecordThen {
  readonly record: TokenRecord;
  readonly reports: number;
}

/**
 * The tokens of namespaces, tags and prefixes as far as this process knows them. No clock is compared anywhere: a token that is
 * missing, replaced or in doubt can only cause misses.
 */
export class TokenRegistry {
  /** Of namespaces and prefixes, as many as there are: what they are forgotten for would be all that a namespace has. */
  private readonly records = new Map<string, TokenRecord>();
  private readonly tags = new Map<string, TokenRecord>();
  private readonly oldestTags = new OldestKeys(this.tags);
  /** In use, and not asked for of late. */
  private readonly cold = new Set<string>();

  /**
   * @param fetch reads (or creates) what the store keeps
   * @param isHeard whether the store reports changes right now; if not, nothing remembered is relied upon
   */
  constructor(
    private readonly fetch: (names: readonly string[], budget: WaitBudget) => Promise<string[]>,
    private readonly isHeard: () => boolean,
    private readonly clock: () => number,
  ) {}

  /** The epochs of `names` if all are known beyond doubt. */
  known(names: readonly string[]): Epoch[] | undefined {
    const epochs: Epoch[] = [];
    for (const name of names) {
      const epoch = this.current(name);
      if (epoch === undefined) return undefined;
      epochs.push(epoch);
    }
    for (const name of names) this.use(name);
    return epochs;
  }

  /** The epoch of one name if it is known beyond doubt. */
  current(name: string): Epoch | undefined {
    const epoch = this.isHeard() ? this.find(name)?.epoch : undefined;
    return epoch?.alive === true && epoch.token !== undefined ? epoch : undefined;
  }

  /** An entry that carries it is being read or written. */
  use(name: string): void {
    const record = this.find(name);
    const now = this.clock();
    if (record === undefined || now - record.askedAt < WARM_MS) return;
    record.askedAt = now;
    this.cold.add(name);
  }

  /** Asks for what is in use and was not asked for of late. To be called when the store is asked anyway. */
  warm(budget: () => WaitBudget): void {
    if (this.cold.size === 0) return;
    const names = [...this.cold].slice(0, MOST_COLD);
    for (const name of names) this.cold.delete(name);
    // What it was good for has not come about; nobody waits for it.
    this.read(names, budget(), true).catch(() => undefined);
  }

  /**
   * As {@link known}, asking the store where needed. Rejects when the store does not answer.
   * @param isAnew also for what is known
   */
  async read(names: readonly string[], budget: WaitBudget, isAnew = false): Promise<Epoch[]> {
    for (let attempt = 1; ; attempt++) {
      const known = isAnew && attempt === 1 ? undefined : this.known(names);
      if (known) return known;
      const then = names.map(this.now);
      const readings = await this.ask(names, budget);
      if (!then.some(isOvertaken))
        return names.map((name, i) =>
          this.adoptInto((then[i] as RecordThen).record, name, readings[i] as TokenReading),
        );
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
    const then = names.map(this.now);
    return (tokens) => {
      names.forEach((name, i) => {
        const before = then[i] as RecordThen;
        const isGood = !isOvertaken(before) && partsOf(name).length === 1;
        this.doubt([name]);
        if (isGood) this.adoptInto(before.record, name, readingOf([tokens[i] as string]));
      });
    };
  }

  /** These tokens, or parts of tokens, were, or may have been, replaced. */
  doubt(names: readonly string[]): void {
    for (const name of names) {
      const record = this.find(name);
      if (record) kill(record);
      else if (name.startsWith(APPLICATION_STAMP)) this.doubtWholes(name);
    }
  }

  private doubtWholes(part: string): void {
    for (const [name, record] of this.records) if (partsOf(name).includes(part)) kill(record);
  }

  doubtAll(): void {
    for (const records of [this.records, this.tags]) for (const record of records.values()) kill(record);
  }

  private adoptInto(record: TokenRecord, name: string, { token, graces }: TokenReading): Epoch {
    record.askedAt = this.clock();
    const epoch = record.epoch;
    if (epoch !== undefined && epoch.token === token && areSame(epoch.graces, graces)) {
      epoch.alive = true;
      return epoch;
    }
    if (epoch) epoch.alive = false;
    return (record.epoch = new Epoch(name, token, graces));
  }

  private find(name: string): TokenRecord | undefined {
    return this.tableOf(name).get(name);
  }

  /** At once, for to make the record of the next name may be to forget this one. */
  private readonly now = (name: string): RecordThen => {
    const record = this.record(name);
    return { record, reports: record.reports };
  };

  private record(name: string): TokenRecord {
    const table = this.tableOf(name);
    let record = table.get(name);
    if (record === undefined) {
      if (table === this.tags && table.size >= MAX_TAGS) this.forgetOldestTag();
      record = { epoch: undefined, reports: 0, askedAt: -Infinity };
      table.set(name, record);
    }
    return record;
  }

  private tableOf(name: string): Map<string, TokenRecord> {
    return isTagToken(name) ? this.tags : this.records;
  }

  private forgetOldestTag(): void {
    const name = this.oldestTags.take() as string;
    kill(this.tags.get(name) as TokenRecord);
    this.tags.delete(name);
    this.cold.delete(name);
  }
}

function isOvertaken({ record, reports }: RecordThen): boolean {
  return record.reports !== reports;
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
