import { createHash } from 'node:crypto';
import { encodeKey } from '../../core/keys/key-encoding.js';
import type { CompiledPolicy } from '../policy/compiled.policy.js';
import type { RequestView } from '../policy/request-view.js';
import type { BypassedPage, PageKey } from './page-key.js';
import { keyUnder, refusalOf } from './page-key.js';
import { hostText } from './origin-part.js';
import { RecentTexts } from './recent-texts.js';

/** Where a call's page is kept. */
export interface KeyedPage {
  /** Letters, digits and `_ . : -`, few enough for every tier to take it as it is. */
  readonly primary: string;
  /** Made when it is asked for: only a fill needs it. */
  readonly key: () => PageKey;
}

interface Spelling {
  /** Readable beginning of its keys, so that people can tell them apart. */
  readonly label: string;
  /** What its raw texts begin with; `undefined` if it has none. */
  readonly raw: string | undefined;
}

const LONGEST_LABEL = 40;

/** The primary keys of pages: a digest of the {@link PageKey}, found again by a cheaper text where all components have one. */
export class PrimaryKeys {
  private readonly recent = new RecentTexts<string>();
  private readonly spellings = new WeakMap<CompiledPolicy, Spelling>();
  private policies = 0;

  /** The primary key, or why there is none. @throws CacheUsageError if a function of the policy answers nonsense */
  of(view: RequestView, policy: CompiledPolicy): KeyedPage | BypassedPage {
    const bypass = refusalOf(view, policy);
    if (bypass !== undefined) return { bypass };
    const { label, raw: start } = this.spellingOf(policy);
    const raw = start === undefined ? undefined : rawText(start, view, policy);
    const known = raw === undefined ? undefined : this.recent.get(raw);
    if (known !== undefined) return { primary: known, key: () => keyUnder(view, policy) as PageKey };
    const key = keyUnder(view, policy);
    if ('bypass' in key) return key;
    const primary = `${label}:${digestOf(encodeKey(key.key))}`;
    if (raw !== undefined) this.recent.set(raw, primary);
    return { primary, key: () => key };
  }

  private spellingOf(policy: CompiledPolicy): Spelling {
    const known = this.spellings.get(policy);
    if (known) return known;
    const { components, keyFunction, where } = policy;
    const isShared = !components.some(({ name }) => name === 'route');
    const hasRaw = keyFunction === undefined && components.every(({ raw }) => raw !== undefined);
    const spelling = {
      label: isShared ? 'page' : where.replaceAll(/[^A-Za-z0-9_.-]/g, '_').slice(0, LONGEST_LABEL),
      raw: hasRaw ? `${++this.policies}:` : undefined,
    };
    this.spellings.set(policy, spelling);
    return spelling;
  }
}

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** Lengths stand before what came from outside, so that no text can be read as another. */
function rawText(start: string, view: RequestView, { components }: CompiledPolicy): string | undefined {
  const { protocol } = view;
  if (view.contextPayload !== undefined) return undefined;
  let text = `${start}${protocol.length}:${protocol}${hostText(view)}`;
  for (const component of components) {
    const raw = component.raw?.(view);
    if (raw === undefined) return undefined;
    text += `${raw.length}:${raw}`;
  }
  return text;
}
