import type { CacheKey } from '../../core/cache.options.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { changeOf, type EntityChange, type EntityId } from '../entity-change.js';
import type { EntityRules } from '../entity-rules.js';
import { areChanges, isId, targetChecks, type InvalidatesCacheOptions } from './invalidates-cache.options.js';

/** What one call invalidates. */
export interface InvalidationTargets {
  readonly tags: readonly string[];
  readonly keys: readonly CacheKey[];
  readonly prefixes: readonly CacheKey[];
  /** What is wrong with functions of the options; the others have been asked. */
  readonly faults: readonly Error[];
}

/** What was declared to be invalidated, by a decorator or for an event, wherever it happens. */
export class DeclaredInvalidation {
  constructor(
    /** For messages: `@InvalidatesCache() of Courses.edit`. */
    readonly label: string,
    readonly options: InvalidatesCacheOptions,
  ) {}

  targetsOf(rules: EntityRules, self: unknown, result: unknown, args: unknown[]): InvalidationTargets {
    const faults: Error[] = [];
    const ask = <S>(read: () => readonly S[]): readonly S[] => {
      try {
        return read();
      } catch (error) {
        faults.push(error as Error);
        return [];
      }
    };
    const listed = <S>(field: 'tags' | 'keys' | 'prefixes'): readonly S[] => {
      const option = this.options[field];
      if (typeof option !== 'function') return (option ?? []) as readonly S[];
      const answer = this.called(`${field}()`, () => option.call(self as never, result, args));
      targetChecks[field](answer, `${this.label}.${field}()`);
      return answer as readonly S[];
    };
    return {
      tags: [
        ...ask(() => listed<string>('tags')),
        ...ask(() => rules.tagsOf(this.changes(self, result, args, faults))),
      ],
      keys: ask(() => listed<CacheKey>('keys')),
      prefixes: ask(() => listed<CacheKey>('prefixes')),
      faults,
    };
  }

  private changes(self: unknown, result: unknown, args: unknown[], faults: Error[]): readonly EntityChange[] {
    const { entities = [] } = this.options;
    if (typeof entities !== 'function')
      return entities.map(({ entity, id }, i) => {
        if (typeof id !== 'function') return changeOf(entity, id);
        const field = `entities[${i}].id()`;
        const read = (): EntityId => this.called(field, () => id.call(self as never, result, args));
        return changeOf(entity, this.idFrom(read, field, faults));
      });
    const answer = this.called('entities()', () => entities.call(self as never, result, args));
    areChanges(answer, `${this.label}.entities()`);
    for (const change of [answer].flat())
      if (change.kind !== 'table') this.idFrom(() => change.id, 'entities().id', faults);
    return [answer].flat() as EntityChange[];
  }

  /** `undefined`, besides the fault, where it is not known which row has changed: then any may have. */
  private idFrom(read: () => EntityId, field: string, faults: Error[]): EntityId | undefined {
    try {
      const id = read();
      isId(id, `${this.label}.${field}`);
      return id;
    } catch (error) {
      faults.push(error as Error);
      return undefined;
    }
  }

  private called<S>(what: string, call: () => S): S {
    try {
      return call();
    } catch (error) {
      const type = error instanceof Error ? error.name : typeof error;
      const fault = new CacheUsageError(
        'failed_invalidation',
        `${this.label}: ${what} has thrown a ${type}, so that what it names was not invalidated; let it take every result and every argument (the error is the cause of this one)`,
      );
      fault.cause = error;
      throw fault;
    }
  }
}
