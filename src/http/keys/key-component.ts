import type { KeyPart } from '../../core/cache.options.js';
import type { InputName } from '../policy/input-name.js';
import type { RequestView } from '../policy/request-view.js';
import type { Bypass } from './bypass.js';

/** The query parameters a key distinguishes. The handler sees these and no others while an entry is filled. */
export interface QueryAllowance {
  readonly allow: readonly string[];
  /** What an absent parameter is taken for, by the key and by the handler. */
  readonly defaults: Readonly<Record<string, string>>;
  /** Declared by the route, and left out on purpose. */
  readonly ignore: readonly string[];
}

/**
 * One component of a response's key. What it says of itself is checked against what the handler reads: a response that depends on an input
 * no component covers is not stored.
 */
export interface KeyComponent {
  readonly name: string;
  read(view: RequestView): KeyPart | Bypass;
  /**
   * A text that differs wherever the part differs, and is made more cheaply: the key made for it before is used again. `undefined`: there is
   * none for this call.
   */
  raw?(view: RequestView): string | undefined;
  /** Inputs of which two values never share an entry. */
  readonly covers: readonly InputName[];
  /** Besides `covers`, what `read` looks at is covered. */
  readonly isLearned?: boolean;
  /** `read` may go by more than the call shows: no cache in front can tell what. */
  readonly isOpaque?: boolean;
  /** Says who asks: the entry belongs to the principal partition. Only a user stands for the credentials by which it was recognised. */
  readonly principal?: 'user' | 'tenant';
  readonly query?: QueryAllowance;
  /** The handler sees these cookies and no others while an entry is filled. */
  readonly cookies?: readonly string[];
  /** Request headers as the handler sees them while an entry is filled: the value the key was made of, `undefined` for none. */
  rewrites?(view: RequestView): Readonly<Record<string, string | undefined>>;
  /** Labels for the entry. */
  readonly tags?: readonly string[];
}
