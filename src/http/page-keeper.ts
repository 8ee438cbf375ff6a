import type { CacheService } from '../core/cache.service.js';
import type { LoadRun } from '../core/flights/load-run.js';
import { makeEntityTag } from '../http-semantics/fields/entity-tag.js';
import { usableUntil } from '../http-semantics/stored-response.js';
import type { FillOrder } from './fill-order.js';
import { ABANDONED, BY_CONTEXTS, NOT_SHARED, type Fork, type Held, type Page, type PageParts } from './page.js';
import { keyOfVariant } from './page-lookup.js';

/** What those who wait for a fill are told, and what is kept of it. */
export class PageKeeper {
  constructor(
    private readonly order: FillOrder,
    private readonly run: LoadRun,
    private readonly cache: CacheService,
  ) {}

  /** Gives the page its lives, its labels, and, if it varies, its own place behind a fork. */
  async keep(made: PageParts, labels: readonly string[]): Promise<Held> {
    const { order, run } = this;
    const { stored } = made;
    const hasValidator = stored.etag !== undefined || stored.lastModified !== undefined;
    const keepUntil = usableUntil(stored) + (hasValidator ? order.keepToConfirmMs : 0);
    const freshMs = stored.noCache ? 0 : Math.max(0, stored.freshUntil - stored.receivedAt);
    run.setTtl(Math.max(0, keepUntil - stored.receivedAt), freshMs);
    const late = labels.filter((tag) => !order.tags.includes(tag));
    if (late.length > 0) run.setTags(late);
    const page: Page = { kind: 'page', ...made, tags: [...order.tags, ...late] };
    const learned = (stored.vary ?? []).map(([name]) => name);
    if (made.contexts !== undefined) learned.push(BY_CONTEXTS);
    const names = [...new Set([...(order.fork?.names ?? []), ...learned])].sort();
    if (names.length > 0 && !(await this.forked(names))) run.skip();
    return page;
  }

  /** What was stored before is not true any more. */
  async remove(): Promise<void> {
    await this.cache.delete(this.order.key).catch(() => undefined);
  }

  notShared(): Held {
    return this.skipped(NOT_SHARED);
  }

  abandoned(): Held {
    return this.skipped(ABANDONED);
  }

  /** @param names of header fields on which the failure may depend */
  failed(status: number, names: readonly string[]): Held {
    return this.skipped({ kind: 'failed', status, names, variant: keyOfVariant(this.order.place, names) });
  }

  private skipped(held: Held): Held {
    this.run.skip();
    return held;
  }

  /** `false`: there are as many variants as there may be. */
  private async forked(names: readonly string[]): Promise<boolean> {
    const { place, fork, key, maxVariants, tags } = this.order;
    const target = keyOfVariant(place, names);
    if (target !== key) this.run.storeUnder(target);
    // Clients make up values of fields. Contexts they do not, and each process has its own.
    const fields = names.filter((name) => name !== BY_CONTEXTS);
    const variant = makeEntityTag(Buffer.from(keyOfVariant(place, fields)));
    const variants = fork?.variants ?? [];
    const isKnown = variants.includes(variant);
    if (isKnown && fork?.names.length === names.length) return true;
    if (!isKnown && variants.length >= maxVariants) return false;
    const next: Fork = { kind: 'fork', names, variants: isKnown ? variants : [...variants, variant] };
    await this.cache.set(place.primary, next, { ttl: '1d', tags });
    return true;
  }
}
