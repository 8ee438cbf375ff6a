import type { KeyPart } from '../core/cache.options.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { EncodedKey } from '../core/keys/encoded-key.js';
import { encodeKey } from '../core/keys/key-encoding.js';

/** Of each of two generations. */
const MAX_REMEMBERED = 1024;
const MAX_TEXT = 100;

/** What of a call counts. */
export type Rewrite = (...args: unknown[]) => KeyPart | readonly KeyPart[];

/**
 * The keys of one function: `[...head, ...arguments]`, without trailing `undefined`s, since to leave an argument out and to pass `undefined`
 * is the same to a parameter. Remembers the encoded keys of calls with one primitive argument, so that a hit encodes nothing.
 */
export class FunctionKeys {
  private recent = new Map<unknown, EncodedKey>();
  private older = new Map<unknown, EncodedKey>();

  constructor(
    /** For messages. */
    private readonly label: string,
    private readonly head: readonly string[],
    private readonly takesNothing: boolean,
    private readonly rewrite: Rewrite | undefined,
  ) {}

  /** The key of a call with this argument only, or none, if it is remembered. */
  known(only: unknown): EncodedKey | undefined {
    const key = this.recent.get(only);
    return key === undefined && this.older.size > 0 ? this.recalled(only) : key;
  }

  /** @throws CacheUsageError `invalid_key`, naming the position of the argument */
  of(self: object, args: readonly unknown[]): EncodedKey {
    const key = this.encode(this.parts(self, args));
    if (this.rewrite === undefined && args.length <= 1 && isShort(args[0])) this.remember(args[0], key);
    return key;
  }

  private parts(self: object, args: readonly unknown[]): readonly KeyPart[] {
    if (this.rewrite !== undefined) return [...this.head, ...rewritten(this.rewrite, self, args, this.label)];
    if (this.takesNothing) return this.head;
    let { length } = args;
    while (length > 0 && args[length - 1] === undefined) length--;
    return [...this.head, ...(args.slice(0, length) as KeyPart[])];
  }

  private encode(parts: readonly KeyPart[]): EncodedKey {
    try {
      return new EncodedKey(parts);
    } catch (error) {
      throw this.explained(error, parts);
    }
  }

  private recalled(only: unknown): EncodedKey | undefined {
    const key = this.older.get(only);
    if (key !== undefined) this.remember(only, key);
    return key;
  }

  private remember(only: unknown, key: EncodedKey): void {
    if (this.recent.size >= MAX_REMEMBERED) {
      this.older = this.recent;
      this.recent = new Map();
    }
    this.recent.set(only, key);
  }

  /** Names the argument that cannot be part of a key. */
  private explained(error: unknown, key: readonly KeyPart[]): unknown {
    if (!(error instanceof CacheUsageError) || error.code !== 'invalid_key') return error;
    const [what, whose] = this.rewrite === undefined ? ['argument', this.label] : ['part', `key() of ${this.label}`];
    for (const [i, part] of key.slice(this.head.length).entries()) {
      const problem = problemOf(part);
      if (problem === undefined) continue;
      const { path, found } = problem;
      return invalid(`${what} ${i + 1}${path} of ${whose} is ${found}; let the option "key" say what of it counts`);
    }
    return invalid(`the arguments of ${this.label}: ${error.message}`);
  }
}

function rewritten(rewrite: Rewrite, self: object, args: readonly unknown[], label: string): readonly KeyPart[] {
  const chosen = rewrite.apply(self, args as unknown[]);
  // A forgotten `return` would make one entry of all calls.
  if (chosen === undefined) throw invalid(`key() of ${label} returned undefined; let it return null for "nothing"`);
  return Array.isArray(chosen) ? (chosen as readonly KeyPart[]) : [chosen as KeyPart];
}

function isShort(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= MAX_TEXT;
  return typeof value !== 'object' || value === null;
}

/** What of a part is wrong, in the words of the one who refuses it. */
function problemOf(part: KeyPart): { path: string; found: string } | undefined {
  try {
    encodeKey([part]);
    return undefined;
  } catch (error) {
    const [, path = '', found = ''] = /^key(?:\[0\])?(.*?) is (.*)$/s.exec((error as Error).message) ?? [];
    return { path, found };
  }
}

function invalid(message: string): CacheUsageError {
  return new CacheUsageError('invalid_key', message);
}
