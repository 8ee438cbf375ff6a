/** In characters. Longer texts are rare, and would make the memory this takes depend on what clients send. */
const LONGEST = 512;
const MOST = 4096;

/** What was worked out from texts of late. Bounded in two generations: what is asked for stays, what is not is gone after `2 * MOST` others. */
export class RecentTexts<T> {
  private young = new Map<string, T>();
  private old = new Map<string, T>();

  get(text: string): T | undefined {
    const found = this.young.get(text);
    if (found !== undefined) return found;
    const earlier = this.old.get(text);
    if (earlier !== undefined) this.set(text, earlier);
    return earlier;
  }

  set(text: string, made: T): void {
    if (text.length > LONGEST) return;
    if (this.young.size >= MOST) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(text, made);
  }
}
