import type { CacheService } from '../core/cache.service.js';
import type { CachedResponse } from '../core/cached-response.js';
import type { Tier } from '../core/tiers/found.js';
import type { CachePolicy } from '../http-semantics/cache-policy.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { markStale } from '../http-semantics/stored-response.js';
import { selects, variantKey } from '../http-semantics/vary.js';
import { digestOf } from './keys/primary-keys.js';
import { RecentTexts } from './keys/recent-texts.js';
import type { ContextVariant } from './contexts/handler-contexts.js';
import { BY_CONTEXTS, type Fork, type Held, type Page } from './page.js';

/** A request's place among the stored pages. */
export interface Place {
  /** Of all pages for this handler, URL, partition ... */
  readonly primary: string;
  readonly headers: Fields;
  readonly semantics: CachePolicy;
  /** `undefined`: what AsyncLocalStorages hold does not change the response. */
  readonly contexts: ContextVariant | undefined;
}

/** What is stored for a request. */
export interface Located {
  /** Where its page is, or would be looked for. */
  readonly key: string;
  readonly fork: Fork | undefined;
  readonly hit: Hit | undefined;
}

export interface Hit {
  readonly page: Page;
  readonly tier: Tier | undefined;
  /** Now, on the clock by which the page's times are told: freshness is measured by its age in the store, never by two wall clocks. */
  readonly now: number;
}

/** Finds pages: under their primary key, or, where that holds a fork, under the key of the variant. */
export class PageLookup {
  constructor(private readonly cache: CacheService) {}

  /** From the memory tier, at once. `undefined`: there is more to be asked. */
  near(place: Place): Located | undefined {
    const first = this.cache.peekEntry<Held>(place.primary);
    if (first === undefined) return undefined;
    const held = first.value;
    if (held.kind !== 'fork') return this.located(place, place.primary, undefined, first);
    const key = keyOfVariant(place, held.names);
    const second = this.cache.peekEntry<Held>(key);
    return second && this.located(place, key, held, second);
  }

  async far(place: Place): Promise<Located> {
    const first = await this.cache.get<Held>(place.primary);
    const held = first.isFound ? first.value : undefined;
    if (held?.kind !== 'fork') return this.located(place, place.primary, undefined, first);
    const key = keyOfVariant(place, held.names);
    return this.located(place, key, held, await this.cache.get<Held>(key));
  }

  /** Whether a page answers this request, whatever the key under which it was found. */
  matches({ stored: { vary }, contexts }: Page, place: Place): boolean {
    if (contexts !== undefined && contexts !== variantOf(place)) return false;
    return vary === undefined || selects(vary, place.headers, place.semantics);
  }

  private located(place: Place, key: string, fork: Fork | undefined, response: CachedResponse<Held>): Located {
    const held = response.isFound ? response.value : undefined;
    if (held?.kind !== 'page' || !this.matches(held, place)) return { key, fork, hit: undefined };
    const now = held.stored.receivedAt + (response.ageMs ?? 0);
    const { stored } = held;
    // By what has happened to its entry since: a tag of it was expired, or its stamp is a former one.
    const isSoftened = response.isStale && now < stored.freshUntil && !stored.noCache;
    const page = isSoftened ? { ...held, stored: markStale(stored, now) } : held;
    return { key, fork, hit: { page, tier: response.tier, now } };
  }
}

export function keyOfVariant(place: Place, names: readonly string[]): string {
  const { primary, headers, semantics } = place;
  // No field has the other name: in the text it stands with null, as one that is not sent.
  const byFields = variantKey(names, headers, semantics);
  const variant = names.includes(BY_CONTEXTS) ? `${byFields}${variantOf(place) ?? '?'}` : byFields;
  const known = variants.get(variant);
  const digest = known ?? digestOf(variant);
  if (known === undefined) variants.set(variant, digest);
  return `${primary}:${digest}`;
}

function variantOf({ contexts }: Place): string | undefined {
  return contexts === undefined ? '' : contexts.variant;
}

/** Few, and asked for again and again: the languages, types and codings that clients accept. */
const variants = new RecentTexts<string>();
