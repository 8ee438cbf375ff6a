import { types } from 'node:util';
import { CacheUsageError } from '../errors/cache.error.js';
import { readBinary } from './binary-kind.js';
import { isError, readError } from './error-data.js';
import { isObject, isOpaque, unbox } from './object-kind.js';
import { type Branch, MAX_DEPTH, type SideTable, type Special, TAG, type Tag } from './side-table.js';
import { formatPath, type PathStep } from './value-path.js';

/**
 * Splits a value into data that JSON can say and a side table for the rest. One instance per value; the value is only read.
 * @throws CacheUsageError `unsupported_value`
 */
export class JsonProjection {
  /** What the last call of {@link project} found below its value; a field, so that plain leaves cost no object. */
  side: SideTable | undefined;
  /** An object that freezing cannot protect was met. */
  rebuild = false;
  readonly #path: PathStep[] = [];
  readonly #ancestors: object[] = [];

  project(value: unknown): unknown {
    this.side = undefined;
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value;
      case 'number':
        return this.#number(value);
      case 'undefined':
        return this.#special(TAG.undefined);
      case 'bigint':
        return this.#special(TAG.bigint, value.toString(16));
      case 'object':
        return value === null ? null : this.#object(value);
      default:
        return this.#refuse(`a ${typeof value}`, 'Store data only, or leave the property out.');
    }
  }

  #number(value: number): unknown {
    if (value === 0) return 1 / value > 0 ? 0 : this.#special(TAG.minusZero);
    if (Number.isFinite(value)) return value;
    return this.#special(value > 0 ? TAG.infinity : value < 0 ? TAG.minusInfinity : TAG.notANumber);
  }

  /** `asked`: the value is what a `toJSON` returned; as in JSON, its own is not called. */
  #object(value: object, asked = false): unknown {
    if (this.#ancestors.includes(value)) this.#refuse('a cycle', 'Store a tree, or refer to other parts by id.');
    if (this.#ancestors.length >= MAX_DEPTH) {
      this.#refuse(`nested deeper than ${MAX_DEPTH} levels`, 'Flatten the value, or store its parts by themselves.');
    }
    this.#ancestors.push(value);
    const projected = this.#content(value, asked);
    this.#ancestors.pop();
    return projected;
  }

  #content(value: object, asked = false): unknown {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) {
      if (types.isBoxedPrimitive(value)) return this.project(unbox(value));
      if (this.#builtIn(value)) return null;
    }
    const toJSON = asked ? undefined : (value as { toJSON?: unknown }).toJSON;
    if (typeof toJSON === 'function') {
      if (Object.hasOwn(value, 'toJSON')) this.#at('toJSON', toJSON);
      const data: unknown = toJSON.call(value, this.#key());
      if (data !== value) return isObject(data) ? this.#object(data, true) : this.project(data);
    }
    return this.#data(value);
  }

  /** What JSON would pass to `toJSON`. */
  #key(): string {
    const step = this.#path.at(-1);
    return step === undefined || typeof step === 'object' ? '' : String(step);
  }

  #data(value: object): unknown {
    if (Array.isArray(value)) return this.#array(value);
    const keys = Object.keys(value);
    if (keys.length === 0 && isOpaque(value)) this.#refuseObject(value);
    const branch: Branch = [];
    const copy: Record<string, unknown> = {};
    for (const key of keys) {
      if (key === '__proto__') continue;
      copy[key] = this.#at(key, (value as Record<string, unknown>)[key]);
      if (this.side !== undefined) branch.push(key, this.side);
    }
    this.side = branch.length > 0 ? branch : undefined;
    return copy;
  }

  #array(items: readonly unknown[], stepTo?: (index: number) => PathStep): unknown[] {
    const branch: Branch = [];
    const copy: unknown[] = [];
    for (let i = 0; i < items.length; i++) {
      copy.push(this.#at(stepTo ? stepTo(i) : i, items[i]));
      if (this.side !== undefined) branch.push(i, this.side);
    }
    this.side = branch.length > 0 ? branch : undefined;
    return copy;
  }

  #at(step: PathStep, value: unknown): unknown {
    this.#path.push(step);
    const projected = this.project(value);
    this.#path.pop();
    return projected;
  }

  /** Whether `value` is of a kind that has a tag; if so, it is now in `side`. */
  #builtIn(value: object): boolean {
    const special = this.#builtInSpecial(value);
    if (!special) return false;
    this.side = special;
    this.rebuild = true;
    return true;
  }

  #builtInSpecial(value: object): Special | undefined {
    if (types.isDate(value)) return { t: TAG.date, v: Date.prototype.getTime.call(value) };
    if (types.isMap(value)) {
      const items = [...Map.prototype.entries.call(value)].flat(1);
      return this.#nested(TAG.map, items, (i) => ({ place: `${i % 2 === 0 ? 'key' : 'value'} ${i >> 1}` }));
    }
    if (types.isSet(value)) {
      return this.#nested(TAG.set, [...Set.prototype.values.call(value)], (i) => ({ place: `item ${i}` }));
    }
    const binary = readBinary(value);
    if (binary) return { t: TAG.binary, v: binary };
    if (types.isRegExp(value)) return { t: TAG.regexp, v: [value.source, value.flags] };
    if (isError(value)) return this.#nested(TAG.error, readError(value), () => 'cause');
    if (value instanceof URL) return { t: TAG.url, v: value.href };
    const keepsToItself = types.isPromise(value) || types.isWeakMap(value) || types.isWeakSet(value);
    if (keepsToItself || ArrayBuffer.isView(value)) this.#refuseObject(value);
    return undefined;
  }

  #nested(t: Tag, items: readonly unknown[], stepTo: (index: number) => PathStep): Special {
    const v = this.#array(items, stepTo);
    return this.side === undefined ? { t, v } : { t, v, s: this.side };
  }

  #special(t: Tag, v?: unknown): null {
    this.side = v === undefined ? { t } : { t, v };
    return null;
  }

  #refuseObject(value: object): never {
    const mend = types.isPromise(value) ? 'Await it first.' : 'Store what it holds as plain data.';
    return this.#refuse(`a ${Object.prototype.toString.call(value).slice(8, -1)}`, mend);
  }

  #refuse(what: string, mend: string): never {
    throw new CacheUsageError(
      'unsupported_value',
      `${formatPath(this.#path)} is ${what}, which cannot be cached. ${mend}`,
    );
  }
}
