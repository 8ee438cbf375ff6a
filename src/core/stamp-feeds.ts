/** An Observable, as far as this package looks at one. */
export interface StampFeed {
  subscribe(observer: { next: (stamp: string) => void; error: (error: unknown) => void }): { unsubscribe(): void };
}

/** Told of each stamp in turn; may reject. */
type Announce = (stamp: string) => Promise<unknown>;

interface Followed {
  readonly feed: StampFeed;
  readonly announce: Announce;
  readonly field: string;
}

/** Announces what upstreams say. Of stamps that come while one is being announced, the newest alone follows. */
export class StampFeeds {
  private readonly waiting: Followed[] = [];
  private readonly subscriptions: Array<{ unsubscribe(): void }> = [];
  private isOpen = false;

  constructor(
    /** Told of a feed that has failed, and of a stamp that cannot be one. */
    private readonly failed: (error: unknown, field: string) => void,
  ) {}

  /** From {@link open} on. */
  follow(field: string, feed: StampFeed, announce: Announce): void {
    const followed = { field, feed, announce };
    if (this.isOpen) this.subscribe(followed);
    else this.waiting.push(followed);
  }

  open(): void {
    this.isOpen = true;
    for (const followed of this.waiting.splice(0)) this.subscribe(followed);
  }

  close(): void {
    for (const subscription of this.subscriptions.splice(0)) subscription.unsubscribe();
  }

  private subscribe({ field, feed, announce }: Followed): void {
    const failed = (error: unknown): void => this.failed(error, field);
    let next: { readonly stamp: string } | undefined;
    let isBusy = false;
    const tell = async (): Promise<void> => {
      isBusy = true;
      while (next) {
        const { stamp } = next;
        next = undefined;
        await announce(stamp).catch(failed);
      }
      isBusy = false;
    };
    const heard = (stamp: string): void => {
      next = { stamp };
      if (!isBusy) void tell();
    };
    this.subscriptions.push(feed.subscribe({ next: heard, error: failed }));
  }
}

export function isStampFeed(source: unknown): source is StampFeed {
  return typeof (source as StampFeed | undefined)?.subscribe === 'function';
}
