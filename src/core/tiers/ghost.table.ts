// 16 hashes of 4 bytes are one cache line.
const WAYS = 16;

/**
 * Remembers the last keys that were evicted unread, as 32-bit hashes: 4 bytes a key, whatever its length.
 * A hash has one bucket of 16 places, and the bucket forgets its oldest. A stranger's hash is taken
 * for a known one in about 1 of 268 million look-ups; all that does is to admit a key to the wrong queue.
 */
export class GhostTable {
  private table = new Uint32Array(WAYS);
  private buckets = 1;

  /** @param ofKey a good one @param space keeps equal keys of different namespaces apart */
  static hash(ofKey: number, space: number): number {
    let hash = Math.imul(ofKey ^ Math.imul(space, 0x9e3779b1), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    // 0 marks an empty place.
    return (hash ^ (hash >>> 16)) >>> 0 || 1;
  }

  add(hash: number): void {
    const first = (hash % this.buckets) * WAYS;
    for (let at = first + WAYS - 1; at > first; at--) this.table[at] = this.table[at - 1] as number;
    this.table[first] = hash;
  }

  /** Whether the hash was remembered; it no longer is afterwards. */
  take(hash: number): boolean {
    const first = (hash % this.buckets) * WAYS;
    const last = first + WAYS - 1;
    for (let at = first; at <= last; at++) {
      if (this.table[at] !== hash) continue;
      for (; at < last; at++) this.table[at] = this.table[at + 1] as number;
      this.table[last] = 0;
      return true;
    }
    return false;
  }

  /** Makes room for about `keys` keys; what is remembered stays so. */
  resize(keys: number): void {
    const old = this.table;
    this.buckets = Math.max(1, Math.ceil(keys / WAYS));
    this.table = new Uint32Array(this.buckets * WAYS);
    // Oldest first, so that the order within a bucket survives.
    for (let way = WAYS - 1; way >= 0; way--) {
      for (let at = way; at < old.length; at += WAYS) if (old[at] !== 0) this.add(old[at] as number);
    }
  }
}
