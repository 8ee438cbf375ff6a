import type { KeyPart } from '../core/cache.options.js';
import type { Lifetime } from '../core/clock/duration.js';
import type { SchemaInput, SchemaOutput, StandardSchema } from './standard-schema.js';

/** One schema for all states, or one for each. */
export type StateSchemas<State extends string = string> = StandardSchema | { readonly [S in State]: StandardSchema };

/** What `defineStateCache()` takes. */
export interface StateCacheOptions<State extends string, Schemas extends StateSchemas<State>, Id extends KeyPart> {
  /** First part of every key, and the name of the namespace: `payment.<id>.<state>` is the key `['payment', id, state]`. */
  name: string;
  /** In precedence, highest first: an entry of a state hides those after it. */
  states: readonly State[];
  /** Any Standard Schema; it must accept its own output, which is what is stored. */
  schema: Schemas;
  /** Lifetime of every entry, whatever its state. Default: the application's (30 min). */
  ttl?: Lifetime;
  /** Tells the id from a value: a value is then only stored under, and read from, its own id. */
  identify?: (value: StateValue<State, Schemas>) => Id;
}

type SchemaOf<State extends string, Schemas> = Schemas extends StandardSchema
  ? Schemas
  : State extends keyof Schemas
    ? Extract<Schemas[State], StandardSchema>
    : never;

/** What may be written in a state. */
export type StateInput<State extends string, Schemas> = SchemaInput<SchemaOf<State, Schemas>>;

/** What is read in a state. */
export type StateValue<State extends string, Schemas> = SchemaOutput<SchemaOf<State, Schemas>>;

/** The state that stands, and its value; tells the values apart by their `state`. */
export type StateEntry<State extends string, Schemas> = {
  [S in State]: { readonly state: S; readonly value: StateValue<S, Schemas> };
}[State];

/** Options of `StateCache.set()`. */
export interface StateWriteOptions {
  /** Why a higher state has to go: removes it and stores the lower one. Without a reason a lower state is refused. */
  overwrite?: string;
}

/** What came of a write. */
export interface StateWrite<State extends string> {
  readonly isStored: boolean;
  /** What stands now: the state written, or the higher one that it was refused for; `undefined` if the store could not say. */
  readonly state: State | undefined;
}

/** Counters since the start. */
export interface StateCacheCounters {
  /** Entries that did not match the schema when they were read. */
  mismatches: number;
  /** Writes that a higher state stood against. */
  refused: number;
  /** Higher states removed for a reason. */
  overwritten: number;
}
