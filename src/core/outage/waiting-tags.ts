import { MAX_PENDING } from './invalidation-queue.js';

/** The tags whose invalidation waits for the store, by the names of their tokens: those cannot be told from a name. Bounded as the queue is. */
export class WaitingTags {
  private readonly tags = new Map<string, string>();

  add(names: readonly string[], tags: readonly string[]): void {
    names.forEach((name, i) => {
      if (this.tags.size < MAX_PENDING) this.tags.set(name, tags[i] as string);
    });
  }

  /** @param isAll nothing waits any more: what is not among `names` has become part of something larger */
  take(names: readonly string[], isAll: boolean): string[] {
    const landed = isAll ? [...this.tags.keys()] : names;
    const taken = landed.flatMap((name) => this.tags.get(name) ?? []);
    for (const name of landed) this.tags.delete(name);
    return taken;
  }
}
