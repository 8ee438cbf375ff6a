/** With more reports than this kept, all keys count as reported: rare, and it only costs entries that could have been remembered. */
const MAX_REPORTS = 10_000;

/**
 * Tells which keys were reported as changed since a given moment. Reports are kept only while somebody watches, so that a watch costs two
 * numbers whatever the number of keys, and a report on a quiet process costs nothing.
 */
export class KeyWatch {
  private readonly lastReports = new Map<string, number>();
  private reports = 0;
  private lastOnAll = 0;
  private watching = 0;

  /** Begins a watch over all keys; {@link end} it. The result stands for this moment. */
  begin(): number {
    this.watching++;
    return this.reports;
  }

  /** Whether the key was reported since `moment`. */
  isReported(key: string, moment: number): boolean {
    if (this.lastOnAll > moment) return true;
    // Most often nothing was, and then the key need not be hashed.
    return this.lastReports.size > 0 && (this.lastReports.get(key) ?? 0) > moment;
  }

  end(): void {
    // Clearing makes a Map a new table, even where there was nothing.
    if (--this.watching === 0 && this.lastReports.size > 0) this.lastReports.clear();
  }

  report(key: string): void {
    if (this.watching === 0) return;
    if (this.lastReports.size >= MAX_REPORTS) this.reportAll();
    this.lastReports.set(key, ++this.reports);
  }

  reportAll(): void {
    this.lastReports.clear();
    this.lastOnAll = ++this.reports;
  }

  /** Watches that have not ended. */
  get size(): number {
    return this.watching;
  }
}
